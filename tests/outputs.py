"""What twenty calibrations of all kinds say, written into a folder: to hold one version of tempfit against another.

`python -m tests.outputs FOLDER` in the checkout of each version, then `python -m tests.outputs --compare OLD NEW`:
words have to be the same, numbers to 1e-9, and what is not is printed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = """t_u,t_c
35.7,0.5
55.9,14.0
58.2,15.0
81.9,28.0
56.3,11.0
48.9,8.0
33.9,3.0
21.8,-4.0
48.4,6.0
60.4,13.0
68.4,21.0
"""
STATED = "t_u,t_c,u_c\n" + "".join(
    f"{10 * k},{5 * k - 17 + (-1) ** k * 0.3 * (k % 3)},{0.2 + 0.05 * k}\n" for k in range(12)
)
BOTH = "t_u,t_c,u_c,u_u\n" + "".join(f"{10 * k},{5 * k - 17 + (-1) ** k * 0.3},0.4,{0.5 + 0.1 * k}\n" for k in range(9))
BENT = "t_u,t_c\n" + "".join(f"{5 * k},{2.5 * k - 17 + 0.004 * (5 * k) ** 2 + (-1) ** k * 0.1}\n" for k in range(15))
PERFECT = "t_u,t_c\n1,3\n2,5\n3,7\n4,9\n"
OUTLIER = "t_u,t_c\n" + "".join(f"{4 * k},{2 * k - 5 + (-1) ** k * 0.2 + 9 * (k == 7)}\n" for k in range(20))

CASES: dict[str, tuple[str, list[str]]] = {
    "line": (TUTORIAL, []),
    "raw readings crawl": (TUTORIAL, ["--scaling", "none", "--learning-rate", "1e-4", "--n-epochs", "3000"]),
    "explodes": (TUTORIAL, ["--scaling", "none", "--learning-rate", "1e-2"]),
    "a tenth": (TUTORIAL, ["--scaling", "factor", "--learning-rate", "1e-2"]),
    "min-max, momentum": (TUTORIAL, ["--scaling", "minmax", "--learning-rate", "0.1", "--momentum", "0.5"]),
    "adam": (TUTORIAL, ["--optimizer", "adam", "--learning-rate", "0.1", "--n-epochs", "4000"]),
    "clipped": (TUTORIAL, ["--scaling", "none", "--learning-rate", "1e-2", "--clip-norm", "1", "--n-epochs", "500"]),
    "L2": (TUTORIAL, ["--l2", "0.01"]),
    "L1": (TUTORIAL, ["--l1", "0.05"]),
    "huber": (OUTLIER, ["--loss", "huber"]),
    "outlier": (OUTLIER, []),
    "bent": (BENT, []),
    "quadratic": (BENT, ["--model", "polynomial", "--degree", "2", "--t0", "20"]),
    "degree 5": (BENT, ["--model", "polynomial", "--degree", "5"]),
    "stated": (STATED, ["--u-common", "0.1", "--coverage", "0.99"]),
    "york": (BOTH, []),
    "perfect": (PERFECT, []),
    "held out": (TUTORIAL, ["--holdout-rows", "2,10"]),
    "folds": (TUTORIAL, ["--folds", "11"]),
    "network": (TUTORIAL, ["--model", "mlp", "--n-epochs", "300"]),
}
NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
ROUNDING = 1e-9  # relative, of a number that both versions mean


RUN_OF_ITS_OWN = re.compile(
    r"[0-9a-f]{32,64}(-dirty)?|\b[0-9a-f]{7,12}…|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?|\d+\.\d+ s|/\S+/mlruns"
)


def write(folder: Path) -> None:
    """`--json`, the summary and the report of every case, by the command line of this checkout."""
    folder.mkdir(parents=True)
    for name, (readings, options) in CASES.items():
        data = folder / f"{name}.csv"
        data.write_text(readings, encoding="utf-8")
        run = ["calibrate", data.name, "--experiment", name, *options]
        (folder / f"{name}.summary").write_text(_tempfit(folder, *run), encoding="utf-8")
        written = _tempfit(folder, *run, "--json")
        (folder / f"{name}.json").write_text(written, encoding="utf-8")
        run_id = json.loads(written.partition("\n")[2])["run_id"]
        _tempfit(folder, "report", run_id, "--output", f"{name}.html")
        print(name, flush=True)


def _tempfit(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tempfit", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return f"exit {done.returncode}\n{done.stdout}"


def compare(old: Path, new: Path) -> None:
    """Print, file by file, what is not the same: words, and numbers by more than rounding."""
    for path in sorted(path for path in old.iterdir() if path.suffix in (".summary", ".json", ".html")):
        before, after = (_told(folder / path.name) for folder in (old, new))
        if path.suffix == ".json":
            _compare_values(path.name, *(json.loads(text.partition("\n")[2]) for text in (before, after)))
            continue
        lines = zip(before.splitlines(), after.splitlines(), strict=False)
        for one, other in lines:
            if not _alike(one, other):
                print(f"{path.name}\n- {one[:300]}\n+ {other[:300]}")
        if len(before.splitlines()) != len(after.splitlines()):
            print(f"{path.name}: {len(before.splitlines())} lines, {len(after.splitlines())} now")


def _told(path: Path) -> str:
    """Without pictures and what is each run's own: ids, digests, times, folders."""
    text = path.read_text(encoding="utf-8") if path.exists() else "not written"
    text = re.sub(r"data:image[^\"]*", "picture", text)
    return RUN_OF_ITS_OWN.sub("#", text)


def _alike(one: str, other: str) -> bool:
    """The same words; numbers equal to ROUNDING, or both next to nothing, as what rounding leaves of a difference."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(_equal(*(float(text.replace(",", "").replace("−", "-")) for text in pair)) for pair in pairs)


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING * max(abs(one), abs(other)) or max(abs(one), abs(other)) < 1e-9


def _compare_values(place: str, one: object, other: object) -> None:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if (key in one) != (key in other):
                print(f"{place}: {key} is {'new' if key in other else 'gone'}")
            else:
                _compare_values(f"{place}.{key}", one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for k, (before, after) in enumerate(zip(one, other, strict=True)):
            _compare_values(f"{place}[{k}]", before, after)
    elif isinstance(one, str) and isinstance(other, str):
        if not _alike(one, other):
            print(f"{place}\n- {one}\n+ {other}")
    elif isinstance(one, float | int) and isinstance(other, float | int):
        if not _equal(one, other):
            print(f"{place}: {one} {other}")
    elif one != other:
        print(f"{place}: {one} {other}")


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        write(Path(sys.argv[1]))

"""Records: what is written is read back equal; what was damaged, by hand or by chance, is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tempfit.calibration.filed import DELIVERED, as_record, read_file
from tempfit.calibration.json_values import digest_of
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.recording import record_of
from tempfit.errors import RunsError
from tests.cli.test_commands import run
from tests.conftest import T_C, T_U, THERMOMETER
from tests.records import write_signed

OFF = np.where(np.arange(11) == 5, T_C + 100, T_C)
STATED = pd.DataFrame({"t_u": T_U, "t_c": T_C, "u_c": 2.5 + 0.1 * np.arange(11)})
BOTH = STATED.assign(u_u=0.3)
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "line": ((T_U, T_C), {}),
    "about a reference point": ((T_U, T_C), {"t0": 50.0, "u_common": 0.3, "coverage": 0.99, "x_unit": "mV"}),
    "polynomial in folds": ((T_U, T_C), {"model": "polynomial", "degree": 3, "folds": 5}),
    "mlp": ((T_U, T_C), {"model": "mlp", "hidden": "4x3", "n_epochs": 20, "holdout": 0.2}),
    "huber": ((T_U, OFF), {"loss": "huber"}),
    "york": (BOTH, {}),
    "stated": (STATED, {"u_common": 0.2}),
    "stated, by residuals": (STATED, {"uncertainty_from": "residuals"}),
    "exploded": ((T_U, T_C), {"scaling": "none", "learning_rate": 1e-2}),
    "exploding": ((T_U, T_C), {"scaling": "none", "learning_rate": 1e-2, "n_epochs": 30}),
    "exploded mlp": ((T_U, T_C), {"model": "mlp", "activation": "relu", "optimizer": "sgd", "learning_rate": 1.0}),
    "perfect": (([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]), {}),
    "held out": ((T_U, T_C), {"holdout_rows": "2,10"}),
    "penalty": ((T_U, T_C), {"l2": 0.1}),
    "crawls": ((T_U, T_C), {"scaling": "none", "learning_rate": 1e-4}),
    "far and large": ((1e30 * T_U, 1e30 * T_C), {"scaling": "minmax"}),
    "raw powers of tiny readings": (
        (1e-30 * T_U, T_C),
        {"model": "polynomial", "degree": 3, "scaling": "none", "t0": 5e-29, "n_epochs": 300},
    ),
    "beyond float64": ((1e70 * T_U, T_C), {"model": "polynomial", "degree": 5}),
}
SHARES = 8
IMPOSSIBLE = ("", "nan", 1, True, None, [], {}, [1.0], {"a": 1}, 0, -1, 0.5, 1e300, -1e300)
GONE = object()


@pytest.fixture(scope="module", params=KINDS)
def record(request: pytest.FixtureRequest) -> Record:
    data, settings = KINDS[request.param]
    return record_of(calibrate(data, **settings))


def places(value: Any, *above: Any) -> Iterator[tuple[Any, ...]]:
    """The place of every leaf and inner node, as keys and numbers from the top."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*above, key)
        yield from places(item, *above, key)


def damaged(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The values with each node in turn removed, retyped, cut, or set to what it cannot be, and where."""
    for place in list(places(values)):
        *above, key = place
        parent = values
        for step in above:
            parent = parent[step]
        was = parent[key]
        for value in (GONE, *IMPOSSIBLE, *_near(was)):
            if value is not GONE and digest_of({"": value}) == digest_of({"": was}):  # 1 for 1.0 changes nothing
                continue
            if value is not GONE:
                parent[key] = value
            elif isinstance(parent, dict):
                del parent[key]
            else:
                parent.pop(key)
            yield ".".join(map(str, place)), values
            if value is GONE and isinstance(parent, list):
                parent.insert(key, was)
            else:
                parent[key] = was


def _near(value: Any) -> list[Any]:
    """What looks like it, and is another."""
    match value:
        case bool():
            return [not value, str(value).lower()]
        case int():
            return [value + 1, str(value)]
        case float():
            return [value * (1 + 1e-12), -value, 2 * value, str(value)]
        case str():
            return [f"{value}x", value[:-1], [value]]
        case list():
            return [value[:-1], [*value, *value[-1:]], value[::-1], str(value)]
    return []


def test_a_record_is_read_back_equal(record, tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(record.as_text(), encoding="utf-8")
    again = read_file(path).record
    assert again == record
    assert again.as_text() == record.as_text()
    assert as_record({**record.as_dict(), **dict.fromkeys(DELIVERED)}, "--json") == record


def test_another_program_may_write_it_anew(record):
    """Other spaces, another order of keys, whole numbers without their fraction: nothing was changed."""
    text = json.dumps(_whole(record.as_dict()), sort_keys=True, separators=(",", ":"))
    assert as_record(json.loads(text), "rewritten") == record


def _whole(value: Any) -> Any:
    """JSON values as JavaScript writes them."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def refusal(values: dict[str, Any]) -> str:
    """What is said against the values; nothing where they are a Record."""
    try:
        as_record(values, "damaged.json")
    except RunsError as error:
        return str(error)
    return ""


def test_what_was_changed_is_refused_by_its_name_or_by_the_digest(record, request):
    """No change is accepted: the digest is of all that the file holds, so there is no list of exceptions.

    Of each kind a share of the changes, another for each, so that all come to pass.
    """
    first = list(KINDS).index(request.node.callspec.params["record"])
    changes = damaged(json.loads(record.as_text()))
    found = [(place, refusal(values)) for place, values in islice(changes, first % SHARES, None, SHARES)]
    assert [place for place, said in found if not said.startswith("damaged.json: ") or not said.isprintable()] == []
    by_name = [place for place, said in found if "digest" not in said]
    assert len(by_name) > 0.6 * len(found) > 150


def spoiled(**fields: Any) -> dict[str, Any]:
    """A line's JSON values with others, by their dotted names, `curve__factor`."""
    values = json.loads(record_of(calibrate((T_U, T_C))).as_text())
    for name, value in fields.items():
        *above, key = name.split("__")
        parent = values
        for step in above:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        parent[int(key) if isinstance(parent, list) else key] = value
    return values


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"curve__factor": 0.0}, "curve.factor: should be greater than 0, got 0.0"),
        ({"curve__factor": 0.1}, "scaled.factor is 0.0623107, not the 0.1 of the scaling standardize"),
        ({"curve__coverage": -1.0}, "curve.coverage: should be greater than 0, got -1.0"),
        ({"curve__coverage": 0.9}, "curve.coverage is 0.9, the setting is 0.95"),
        ({"curve__cofactor": [[1.0, 0.5], [0.4, 1.0]]}, "curve.cofactor is not symmetric and positive definite"),
        ({"curve__cofactor": [[1.0, 2.0], [2.0, 1.0]]}, "curve.cofactor is not symmetric and positive definite"),
        ({"curve__cofactor__0__0": 1e300}, "uncertainty.coefficients say"),
        ({"curve__params__0": 8.7}, "coefficients do not follow from curve.params"),
        ({"curve__matrix__0__1": 1.0}, "curve.matrix is not lower triangular"),
        ({"curve__t_u_range": [81.9, 21.8]}, "curve.t_u_range is from 81.9 to 21.8"),
        ({"curve__observation_sd": 2.0}, "uncertainty.observation_sd is 1.89162"),
        ({"curve": None}, "curve is missing"),
        ({"uncertainty__coefficients__1": 1e300}, "uncertainty.covariance_matrix is not that of"),
        ({"uncertainty__degrees_of_freedom": 10}, "uncertainty.degrees_of_freedom is 10"),
        ({"uncertainty__coverage_factor": 2.0}, "uncertainty.coverage_factor is 2.0, the curve's is 2.26"),
        ({"exact__uncertainty__correlation": 0.5}, "exact.uncertainty.correlation is 0.5, the others say -0.95"),
        ({"w": 0.5}, "w is 0.5, coefficients say 0.53"),
        ({"usable": "false"}, "usable: should be a valid boolean, got false"),
        ({"usable": False}, "usable is false, which its checks contradict"),
        ({"checks__0__verdict": "fails"}, "usable is true, which its checks contradict"),
        ({"checks__0__verdict": "fine"}, "checks.0.verdict should be 'passes', 'doubtful', 'fails' or 'not checked'"),
        ({"checks": []}, "checks are missing"),
        ({"status": "done"}, "status should be 'converged', 'exhausted', 'diverged' or 'stopped', got done"),
        ({"status": "diverged"}, "outcome is arrives, of a fit that diverged"),
        ({"outcome": "explodes"}, "curve is that of a fit that left nothing to use"),
        ({"n": 11.5}, "n: should be a valid integer"),
        ({"n": 1}, "n: should be greater than or equal to 2, got 1"),
        ({"n": 10}, "n is 10, of 11 readings of which none was held out"),
        ({"n_epochs": 6000}, "n_epochs is 6000, of 5000 at most"),
        ({"model": "polynomial"}, "model is polynomial, of a line"),
        ({"config__learning_rate": -1.0}, "config.learning_rate: should be greater than 0, got -1.0"),
        ({"config__y": "t_u"}, "config: `x` and `y` name the same column 't_u'"),
        ({"data__sha256": "cafe"}, "data.sha256: string should match pattern"),
        ({"scales__0__compatible": False}, "scales.0.compatible is false, p is 0.609192"),
        ({"scales__0__w": 0.5}, "scales.0 is no known scale"),
        ({"validation": {"method": "x"}}, "validation.n is missing"),
        ({"colour": "red"}, "colour is no field of a calibration"),
        ({"a\nb": 1}, "a\\nb is no field of a calibration"),
        ({"why": "\ud800"}, "a text in it is no Unicode"),
        ({"rmse": float("inf")}, "rmse: should be a finite number"),
        ({"rmse": 10**400}, "rmse: "),
        ({"n": 10**400}, "n: should be less than or equal to 9223372036854775807"),
        ({"why": "x" * 100_000}, "digest is that of other values"),
        ({"schema": 2}, "schema 2 is of a newer tempfit, this one reads 1: update tempfit"),
        ({"schema": "1"}, "schema should be 1, got 1"),
        ({"digest": "0" * 64}, "digest is that of other values: some were changed since they were written"),
    ],
)
def test_each_is_told_in_words(fields, words):
    with pytest.raises(RunsError) as caught:
        as_record(spoiled(**fields), "c.json")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_no_calibration_or_an_old_one(tmp_path):
    for content, words in (
        ("[1]", "holds no calibration; name a run, or its calibration.json"),
        ('{"schema": 1}', "holds no calibration"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not JSON"),
        ('{"config": {}, "data": {}, "curve": {}}', "schema is missing: it was written by an older tempfit"),
    ):
        path = tmp_path / "c.json"
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(RunsError, match=words) as caught:
            read_file(path)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("command", [["report"], ["export", "--format", "json"], ["predict"]], ids=lambda c: c[0])
def test_commands_refuse_a_damaged_file_in_one_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cases = {
        "zero": (spoiled(curve__factor=0.0), "curve.factor"),
        "huge": (spoiled(curve__cofactor__0__0=1e300), "uncertainty.coefficients"),
        "text": (spoiled(curve__params="x"), "curve.params"),
        "list": (spoiled(checks=[1]), "checks.0"),
        "none": (spoiled(data=None), "data"),
        "usable": (spoiled(usable="false"), "usable"),
    }
    for name, (values, place) in cases.items():
        path = write_signed(Path(f"{name}.json"), values)
        files = [str(THERMOMETER)] if command[0] == "predict" else []
        code, out, err = run(capsys, command[0], str(path), *files, *command[1:])
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"error: {name}.json: {place}")
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(cases)


def test_a_changed_copy_is_told_apart():
    """By itself a digest says nothing of who changed what: it tells that the values are no longer those written."""
    values = json.loads(record_of(calibrate((T_U, T_C))).as_text())
    bent = deepcopy(values)
    bent["config"]["y_unit"] = "°F"
    with pytest.raises(RunsError, match="digest is that of other values"):
        as_record(bent, "c.json")
    del values["digest"]
    with pytest.raises(RunsError, match="digest is missing"):
        as_record(values, "c.json")

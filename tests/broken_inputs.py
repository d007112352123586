"""More than 200 files that are no readings: (name, suffix, content), the random ones from fixed seeds."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import THERMOMETER

VALID = THERMOMETER.read_bytes()
HEADER, *ROWS = VALID.decode().splitlines()


def broken_inputs() -> Iterator[tuple[str, str, bytes]]:
    for name, content in BY_HAND.items():
        yield name, ".csv", content if isinstance(content, bytes) else content.encode()
    yield from _broken_parquet()
    yield from _broken_at_random()


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _table(*rows: str, header: str = "t_u,t_c") -> str:
    return "\n".join([header, *rows]) + "\n"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readings.csv", VALID)
    return buffer.getvalue()


BY_HAND: dict[str, str | bytes] = {
    "zero bytes": b"",
    "one newline": "\n",
    "blanks": "  \n \n\t\n",
    "byte order mark only": b"\xef\xbb\xbf",
    "header only": "t_u,t_c\n",
    "header without line end": "t_u,t_c",
    "one row": _table("1,2"),
    "two rows": _table("1,2", "3,4"),
    "two rows and blanks": _table("1,2", "", "3,4", "", ""),
    "no header": _table("3,4", "5,6", "7,8", header="1,2"),
    "other columns": _table("1,2", "3,4", "5,6", header="a,b"),
    "column t_c missing": _table("1", "3", "5", header="t_u"),
    "column t_u missing": _table("1,2", "3,4", "5,6", header="x,t_c"),
    "wrong case": _table("1,2", "3,4", "5,6", header="T_U,T_C"),
    "duplicate t_u": _table("1,2,3", "3,4,5", "5,6,7", header="t_u,t_u,t_c"),
    "duplicate t_c": _table("1,2,3", "3,4,5", "5,6,7", header="t_u,t_c,t_c"),
    "identical readings": _table("7,1", "7,2", "7,3"),
    "nearly identical readings": _table("1e9,1", "1000000000.0000001,2", "1e9,3"),
    "all zero": _table("0,0", "0,0", "0,0"),
    "text in t_u": _table("1,2", "warm,4", "5,6"),
    "text in t_c": _table("1,2", "3,cold", "5,6"),
    "unit in the cell": _table("1,2", "3,4 °C", "5,6"),
    "hexadecimal": _table("1,2", "0x10,4", "5,6"),
    "underscore in a number": _table("1,2", "1_000,4", "5,6"),
    "two points": _table("1,2", "1.2.3,4", "5,6"),
    "sign alone": _table("1,2", "-,4", "5,6"),
    "exponent without digits": _table("1,2", "3e,4", "5,6"),
    "arabic digits": _table("1,2", "٣,4", "5,6"),
    "full-width digits": _table("1,2", "３,4", "5,6"),
    "minus sign of typography": _table("1,2", "−3,4", "5,6"),
    "1e400": _table("1,2", "1e400,4", "5,6"),
    "-1e400": _table("1,2", "3,-1e400", "5,6"),
    "1e200, whose square overflows": _table("1,2", "1e200,4", "5,6"),
    "nan": _table("1,2", "nan,4", "5,6"),
    "NaN in t_c": _table("1,2", "3,NaN", "5,6"),
    "NA": _table("1,2", "NA,4", "5,6"),
    "null": _table("1,2", "3,null", "5,6"),
    "inf": _table("1,2", "inf,4", "5,6"),
    "-inf": _table("1,2", "3,-inf", "5,6"),
    "Infinity": _table("1,2", "Infinity,4", "5,6"),
    "empty cell": _table("1,2", ",4", "5,6"),
    "empty last cell": _table("1,2", "3,", "5,6"),
    "short row": _table("1,2", "3", "5,6"),
    "long row": _table("1,2", "3,4,5", "5,6"),
    "decimal comma with commas between": _table("1,5,2,5", "3,5,4,5", "5,5,6,5"),
    "both decimal marks": _table("1.5;2", "3,5;4", "5.5;6", header="t_u;t_c"),
    "separators of thousands": _table("1.234,5;2", "3.456,7;4", "5.678,9;6", header="t_u;t_c"),
    "semicolon in one row": _table("1,2", "3;4", "5,6"),
    "tab in one row": _table("1,2", "3\t4", "5,6"),
    "separators change halfway": "t_u,t_c\n1,2\n3,4\nt_u;t_c\n5;6\n7;8\n",
    "second header": _table("1,2", "3,4", "t_u,t_c", "5,6"),
    "spaces between": _table("1 2", "3 4", "5 6", header="t_u t_c"),
    "pipes between": _table("1|2", "3|4", "5|6", header="t_u|t_c"),
    "open quotation mark": _table("1,2", '"3,4', "5,6"),
    "quotation mark inside": _table("1,2", '3"4,4', "5,6"),
    "open quotation mark in the header": _table("1,2", "3,4", "5,6", header='"t_u,t_c'),
    "line end inside a cell": _table("1,2", '"3\n",4', "5,6"),
    "utf-16": VALID.decode().encode("utf-16"),
    "utf-16 without a mark": VALID.decode().encode("utf-16-le"),
    "utf-32": VALID.decode().encode("utf-32"),
    "latin-1": "t_u,t_c,note\n1,2,20 °C\n3,4,\n5,6,\n".encode("latin-1"),
    "utf-7": "t_u,t_c\n1,2\n3,4 °C\n5,6\n".encode("utf-7"),
    "nul byte": b"t_u,t_c\n1,2\n3\x00,4\n5,6\n",
    "ends in nul bytes": VALID + b"\0" * 512,
    "gzip": gzip.compress(VALID),
    "zip": _zip(),
    "old excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "html": "<!doctype html><html><body><table><tr><td>t_u</td><td>t_c</td></tr></table>",
    "json": '[{"t_u": 1, "t_c": 2}, {"t_u": 3, "t_c": 4}, {"t_u": 5, "t_c": 6}]',
    "json, one value per line": '{\n"t_u": [1, 3, 5],\n"t_c": [2, 4, 6]\n}\n',
    "terminal escapes": _table("1,2", "\x1b[31m3,4", "5,6"),
    "very long cell": _table("1,2", f"{'9' * 5000}x,4", "5,6"),
    "very many digits": _table("1,2", f"{'9' * 400},4", "5,6"),
    "rich markup": _table("1,2", "[red]3[/red],4", "5,6"),
    "a thousand columns": _table("1", header=",".join(f"c{i}" for i in range(1000))),
    "parquet by its first bytes alone": b"PAR1",
    "parquet that is not": b"PAR1" + VALID + b"PAR1",
}


def _broken_parquet() -> Iterator[tuple[str, str, bytes]]:
    good = parquet(t_u=[1.0, 2.0, 3.0, 4.0], t_c=[2.0, 4.0, 6.0, 8.0])
    rng = random.Random(1)
    for cut in sorted(rng.sample(range(1, len(good)), 20)):
        yield f"parquet cut after {cut} bytes", ".parquet", good[:cut]
    yield "csv named parquet", ".parquet", VALID
    yield "parquet of text", ".parquet", parquet(t_u=["a", "b", "c"], t_c=[1.0, 2.0, 3.0])
    yield "parquet of digits as text", ".parquet", parquet(t_u=["1", "2", "3"], t_c=[1.0, 2.0, 3.0])
    yield "parquet of booleans", ".parquet", parquet(t_u=[True, False, True], t_c=[1.0, 2.0, 3.0])
    yield "parquet of lists", ".parquet", parquet(t_u=[[1.0], [2.0], [3.0]], t_c=[1.0, 2.0, 3.0])
    yield "parquet without t_c", ".parquet", parquet(t_u=[1.0, 2.0, 3.0])
    yield "parquet without rows", ".parquet", parquet(t_u=pa.array([], pa.float64()), t_c=pa.array([], pa.float64()))
    yield "parquet with a null", ".parquet", parquet(t_u=[1.0, None, 3.0], t_c=[1.0, 2.0, 3.0])
    yield "parquet with a nan", ".parquet", parquet(t_u=[1.0, float("nan"), 3.0], t_c=[1.0, 2.0, 3.0])
    yield "parquet with an infinity", ".parquet", parquet(t_u=[1.0, 2.0, 3.0], t_c=[1.0, float("inf"), 3.0])
    yield "parquet of identical readings", ".parquet", parquet(t_u=[5, 5, 5], t_c=[1.0, 2.0, 3.0])


def _broken_at_random() -> Iterator[tuple[str, str, bytes]]:
    rng = random.Random(2)
    for number in range(30):
        yield f"random bytes {number}", ".csv", rng.randbytes(rng.randrange(1, 3000))
    for number in range(15):
        yield f"random bytes as parquet {number}", ".parquet", rng.randbytes(rng.randrange(1, 3000))
    for number in range(20):
        end = rng.randrange(1, len(f"{HEADER}\n{ROWS[0]}\n{ROWS[1]}"))
        yield f"cut after {end} bytes ({number})", ".csv", VALID[:end]
    for number in range(20):
        position = rng.randrange(len(VALID))
        yield f"not utf-8 at {position} ({number})", ".csv", VALID[:position] + b"\xff" + VALID[position:]
    rubbish = ["x", "--1", "1e999", "NaN", "inf", "", "1,2", "#REF!", "12:30", "1/2", "3 4", "e5", "0b1", "½"]
    for number in range(30):
        rows = [row.split(",") for row in ROWS]
        row, column = rng.randrange(len(rows)), rng.randrange(2)
        rows[row][column] = rng.choice(rubbish)
        yield f"rubbish in a cell {number}", ".csv", "\n".join([HEADER, *map(",".join, rows)]).encode()

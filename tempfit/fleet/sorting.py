"""The command that sorts a table by sensor, for who has one that is not."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from tempfit.config import ReadingsConfig
from tempfit.readings.cells import split_header
from tempfit.readings.partitions import File
from tempfit.readings.storage import is_url, opened
from tempfit.wording import printable

HEAD_BYTES = 1024 * 1024  # of CSV, in which its header is

_SORT = 'import pandas; pandas.read_{read}.sort_values({by}, kind="stable").to_{write}'


def command_that_sorts(source: str, files: list[File], by: str | None, config: ReadingsConfig) -> str | None:
    """A line for a shell that writes the readings of `source` into one table beside it, sorted by sensor, the rows of
    each in their order; by pandas, in memory. None for a store, and for what is neither a file nor a folder
    of Parquet that has the column `by`.

    files: all of the source. Raises ReadingsError.
    """
    told = {file.path: _is_parquet(file.path) for file in files if not is_url(file.path)}
    if by is None or len(told) < len(files) or any(file.thermometer is not None for file in files):
        return None
    path = Path(os.path.abspath(source))
    is_file = path.is_file()
    target = str(path.with_name(f"{path.stem}-sorted{path.suffix}" if is_file else f"{path.name}-sorted.parquet"))
    if all(told.values()):
        read = f'parquet({_literal(source)}, dtype_backend="numpy_nullable")'
        write = f"parquet({_literal(target)}, index=False, row_group_size=1_000_000)"
    elif is_file:
        sep = _literal(_delimiter_of(source, config))
        read = f"csv({_literal(source)}, sep={sep}, dtype=str, keep_default_na=False, skipinitialspace=True)"
        write = f"csv({_literal(target)}, sep={sep}, index=False)"
    else:
        return None
    return shlex.join([sys.executable, "-P", "-c", _SORT.format(read=read, by=_literal(by), write=write)])


def _literal(text: str) -> str:
    """Of Python, with the quotation marks that a shell does not take for its own."""
    return json.dumps(text, ensure_ascii=False)


def _is_parquet(path: str) -> bool:
    with opened(path) as file:
        return file.read(4) == b"PAR1"


def _delimiter_of(path: str, config: ReadingsConfig) -> str:
    with opened(path) as file:
        header, _ = split_header(file.read(HEAD_BYTES), 0, printable(path), config, [])
    return header.delimiter

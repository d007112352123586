"""Where files are: on this machine, or in a store that a URL names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from tempfit.errors import ReadingsError
from tempfit.readings.tables import open_table
from tempfit.wording import printable, shown

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_url(path: str) -> bool:
    return _URL.match(path) is not None


def list_files(folder: str) -> list[tuple[str, int]] | None:
    """The files in a folder and in those in it, sorted, and how many bytes each has, but for those whose name, or that
    of a folder that they are in, begins with a dot or an underscore; None where it is a file itself.

    Raises ReadingsError.
    """
    if is_url(folder):
        with _refusing(folder):
            store, path = _open_store(folder)
            if store.isfile(path):
                return None
            found = {store.unstrip_protocol(name): it["size"] for name, it in store.find(path, detail=True).items()}
            root = store.unstrip_protocol(path)
        if not found:
            raise ReadingsError(f"{printable(folder)}: no such file; check the path")
    elif not os.path.isdir(folder):
        return None
    else:
        root, found = folder, {}
        with _refusing(folder):
            for place, _, names in os.walk(folder, onerror=_raise):
                paths = (os.path.join(place, name) for name in names)
                found |= {path: os.path.getsize(path) for path in paths if os.path.isfile(path)}
    return sorted((path, size) for path, size in found.items() if not _is_hidden(path[len(root) :]))


def size_of(path: str) -> int:
    """Bytes of a file. Raises ReadingsError."""
    if is_url(path):
        with _refusing(path):
            store, inner = _open_store(path)
            return int(store.size(inner))
    with opened(path):
        return Path(path).stat().st_size


@contextmanager
def opened(path: str) -> Iterator[BufferedIOBase]:
    """The file, to be read from its start or any place. Raises ReadingsError."""
    if not is_url(path):
        with open_table(path) as local:
            yield local
        return
    with _refusing(path):
        store, inner = _open_store(path)
        remote = store.open(inner, "rb", cache_type="readahead")
    with remote:
        yield cast(BufferedIOBase, remote)


def pieces_of(
    file: BufferedIOBase, n_bytes: int, n_all: int, on_share: Callable[[float], None] = lambda share: None
) -> Iterator[bytes]:
    """The bytes of a file that has so many, so many at once; on_share: called with the share that is read."""
    n_read = 0
    while piece := file.read(n_bytes):
        n_read += len(piece)
        on_share(n_read / max(n_read, n_all))
        yield piece


def _raise(error: OSError) -> None:
    raise error


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in re.split(r"[/\\]", path))


def _open_store(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    store, path = url_to_fs(url)
    return store, path


@contextmanager
def _refusing(url: str) -> Iterator[None]:
    """Whatever a store says as ReadingsError: each has errors of its own."""
    place = printable(url)
    try:
        yield
    except FileNotFoundError:
        raise ReadingsError(f"{place}: no such file; check the path") from None
    except ImportError as error:
        what = "pip install 'tempfit[s3]'" if url.lower().startswith("s3") else printable(str(error))
        raise ReadingsError(f"{place}: what reads such a URL is not installed: {what}") from None
    except Exception as error:
        why = shown(str(error) or type(error).__name__, 100)
        way = "; check the URL, and that the environment says who you are there" if is_url(url) else ""
        raise ReadingsError(f"{place}: cannot be read ({why}){way}") from None

"""Bytes of a text file to blocks of whole lines; what is no text in UTF-8 is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tempfit.errors import ReadingsError

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of the longest line in text that is read block by block."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_NOT_TEXT = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a zip archive or Excel workbook; export the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; export the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
}


def whole_lines(pieces: Iterable[bytes], source: str) -> Iterator[tuple[bytes, int]]:
    """Blocks of text that end with a line's end (but for the last), and the number of lines before each.

    pieces: the file's bytes, cut anywhere; one piece is one block. Lines end with \\n in the blocks, whatever they end
    with in the file, and a byte order mark is left out. The first block is not blank, unless all the text is.
    Raises ReadingsError, naming `source` (shown as it is) and the line, where a block is reached that is not UTF-8, and
    where more than 16 MiB have no line's end.
    """
    n_bytes = n_lines = 0
    rest = b""
    for piece, is_last in _with_last(pieces):
        data = rest + piece
        # After a \r that is the last byte, \n may follow.
        end = len(data) if is_last else max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        if n_bytes == 0 and not is_last and not data[:end].removeprefix(_BOM).strip(_BLANKS):
            end = 0
        if end or (n_bytes == 0 and is_last):
            _refuse_other_than_utf8(data[:end], source, n_bytes, n_lines)
            text = _with_plain_ends(data[:end] if n_bytes else data[:end].removeprefix(_BOM))
            yield text, n_lines
            n_bytes += end
            n_lines += text.count(b"\n")
        rest = data[end:]
        if len(rest) > LONGEST_LINE:
            raise ReadingsError(
                f"{source}: no row ends within {LONGEST_LINE:,} bytes from line {n_lines + 1}; "
                "a table of readings has shorter lines"
            )


def _with_last(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last; an empty one, where there is none."""
    held = None
    for piece in pieces:
        if held is not None:
            yield held, False
        held = piece
    yield held or b"", True


def _with_plain_ends(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _refuse_other_than_utf8(data: bytes, source: str, n_bytes: int, n_lines: int) -> None:
    """n_bytes, n_lines: what of the text comes before `data`."""
    for magic, name in _NOT_TEXT.items():
        if data.startswith(magic) and n_bytes == 0:
            raise ReadingsError(f"{source}: not CSV text: the file is {name}")
    if (byte := data.find(b"\0")) >= 0:
        raise ReadingsError(
            f"{source}: line {n_lines + _line_number(data, byte)} holds a NUL byte (byte {n_bytes + byte}); "
            "the file is binary or UTF-16: save it as CSV in UTF-8"
        )
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ReadingsError(
            f"{source}: line {n_lines + _line_number(data, error.start)} is not UTF-8 "
            f"(byte {n_bytes + error.start} is 0x{data[error.start]:02x}); save the file as CSV in UTF-8"
        ) from None


def _line_number(data: bytes, byte: int) -> int:
    """Number, from 1, of the line that holds the byte at this position."""
    return _with_plain_ends(data[:byte]).count(b"\n") + 1

"""A look into a file without downloading it: text, a table, an image, the names in an archive."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field

LARGEST_TEXT = 512 << 10
LARGEST_WHOLE = 8 << 20
MOST_ROWS = 500
MOST_CELLS = 60
_LONGEST_CELL = 200

# Kinds of images that cannot carry a program.
IMAGE_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
}
_SEPARATORS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Preview:
    """What a page shows of a file.

    :param kind: ``text``, ``table``, ``image``, ``archive`` or ``none``.
    :param text: the text.
    :param rows: cells of a table, the heading first; or name and size of what is in an archive.
    :param note: what is left out.
    """

    kind: str
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


def ending(path: str) -> str:
    """Give the ending of a file's name in small letters, without its dot."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else ""


def preview(path: str, size: int, pieces: Iterable[bytes], *, plain: bool = False) -> Preview:
    """Make the preview of a file.

    :param path: its path.
    :param size: its size in bytes.
    :param pieces: its content.
    :param plain: show the text of a table as it is.
    """
    kind = ending(path)
    if kind in IMAGE_TYPES and size <= LARGEST_WHOLE:
        return Preview("image")
    content = _beginning(pieces, LARGEST_WHOLE if kind == "zip" else LARGEST_TEXT)
    if kind == "zip" and size <= LARGEST_WHOLE:
        return _archive(content)
    text = _text(content, is_whole=len(content) == size)
    if text is None:
        return Preview("none")
    note = "" if len(content) == size else f"These are the first {len(content) >> 10} KiB of the file."
    if kind in _SEPARATORS and not plain:
        return _table(text, _SEPARATORS[kind], note)
    return Preview("text", text=_indented(text) if kind == "json" and not note and not plain else text, note=note)


def _beginning(pieces: Iterable[bytes], largest: int) -> bytes:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) >= largest:
            break
    return bytes(found[:largest])


def _text(content: bytes, *, is_whole: bool) -> str | None:
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # A cut may go through a character.
        if not is_whole and error.start > len(content) - 4:
            return content[: error.start].decode()
        return None


def _table(text: str, separator: str, note: str) -> Preview:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if len(rows) > MOST_ROWS:
                note = f"These are the first {MOST_ROWS} rows."
                break
            rows.append([_shortened(cell) for cell in row[:MOST_CELLS]])
            if len(row) > MOST_CELLS:
                note = note or f"Only the first {MOST_CELLS} columns are shown."
    except csv.Error:
        return Preview("text", text=text, note=note)
    return Preview("table", rows=rows[: MOST_ROWS + 1], note=note)


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _LONGEST_CELL else f"{cell[:_LONGEST_CELL]}…"


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _archive(content: bytes) -> Preview:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return Preview("none")
    rows = [[entry.filename, str(entry.file_size)] for entry in entries[:MOST_ROWS]]
    note = f"These are the first {MOST_ROWS} of {len(entries)} files." if len(entries) > MOST_ROWS else ""
    return Preview("archive", rows=rows, note=note)

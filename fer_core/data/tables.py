"""Tables of text (csv, with semicolons, tabs or blanks; UTF-8, UTF-16 or cp1252), read line by line within bounds.

pandas would read a line of any length into memory.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from fer_core.data.folder_names import TABLE_BYTES_READ
from fer_core.data.tree import Tree
from fer_core.errors import DatasetError

LONGEST_LINE = 2**20
"""A picture of FER-2013 has 9,000 characters; the csv module would read a line of any length into memory."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST_MATCHED = 1000
_UTF8, _LOOKED_AT = "utf-8-sig", 4096
_SEPARATORS = ",;\t"
_HINT = "Expected is a table with a line for each picture, its cells separated by commas."


def encoding_of(start: bytes) -> str:
    """Returns the encoding of a text that begins so; that of Western Windows where it is no UTF."""
    if start.startswith(UTF16):
        return "utf-16"
    try:
        codecs.getincrementaldecoder(_UTF8)().decode(start[:_LOOKED_AT])
    except UnicodeError:
        return _UTF8 if b"\0" in start else "cp1252"
    return _UTF8


def first_rows(start: bytes, most: int = 200) -> list[list[str]]:
    """Returns the cells of the whole lines that a table begins with; of what is no text, nothing."""
    try:
        text = codecs.getincrementaldecoder(encoding_of(start))().decode(start)
    except UnicodeError:
        return []
    lines = text.splitlines()
    is_cut = len(start) >= TABLE_BYTES_READ and not text.endswith("\n")
    lines = lines[:-1] if len(lines) > 1 and is_cut else lines
    separator = separator_of(lines[0]) if lines else None
    return [row for line in lines[:most] if (row := _cells(line, separator)) is not None]


def separator_of(line: str) -> str | None:
    """Returns what stands between the cells of a line; None where it is blanks."""
    found = max(_SEPARATORS, key=line.count)
    return found if found in line else None


def rows(stream: BinaryIO, name: str, *, hint: str = _HINT) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the cells of each line. Raises DatasetError where it is no table."""
    buffered = io.BufferedReader(stream)
    number, separator = 0, ","
    try:
        text = io.TextIOWrapper(buffered, encoding=encoding_of(buffered.peek(_LOOKED_AT)))
        for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE), ""), start=1):
            if len(line) == LONGEST_LINE:
                raise csv.Error(f"longer than {LONGEST_LINE:,} characters")
            separator = separator_of(line) if number == 1 else separator
            yield number, _read(line, separator)
    except (csv.Error, UnicodeError) as error:
        raise DatasetError(f"{name}: line {number} is no csv: {error}.", hint=hint) from None
    except OSError as error:
        raise DatasetError(f"{name} cannot be read: {error}.", hint="Download it again.") from None


def table_rows(tree: Tree, name: str) -> Iterator[list[str]]:
    """Yields the cells of each line of a table that is not empty."""
    with tree.open(name) as stream:
        for _, row in rows(stream, name):
            if any(cell.strip() for cell in row):
                yield [cell.strip() for cell in row]


def _read(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    return next(csv.reader([line], delimiter=separator, strict=True), [])


def _cells(line: str, separator: str | None) -> list[str] | None:
    try:
        cells = [cell.strip() for cell in _read(line, separator)]
    except csv.Error:
        return None
    return cells if any(cells) else None


def matching(start: bytes, pattern: re.Pattern[str]) -> bool:
    """Returns whether nearly all lines that a file begins with match the pattern."""
    lines = [line.strip() for line in start.decode("utf-8-sig", "replace").splitlines()[:200]]
    lines = [line for line in lines[: max(1, len(lines) - 1)] if line and len(line) < _LONGEST_MATCHED]
    lines = lines[1:] if len(lines) > 1 and not pattern.fullmatch(lines[0]) else lines  # a header
    return bool(lines) and sum(pattern.fullmatch(line) is not None for line in lines) >= 0.9 * len(lines)

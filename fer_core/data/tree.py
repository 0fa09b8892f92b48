"""What lies in a folder or an archive, as formats of data sets look at it, and what they find there.

Formats read no picture. Label files are read within bounds, however large they say they are: tables (csv, with
semicolons, tabs or blanks; UTF-8, UTF-16 or cp1252) line by line. pandas would read a line of any length into memory.
"""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

from fer_core.data import folder_names
from fer_core.data.picture_header import HEAD_BYTES
from fer_core.data.picture_header import is_picture as begins_like_picture
from fer_core.errors import DatasetError
from fer_core.labels import normalized

MOST_LABEL_BYTES = 2**28
"""Of all label files that are read at once; AffectNet's 300,000 take less than a fifth."""
MOST_LEVELS = 100
_TABLES_FIRST = {".csv": 0, ".tsv": 1, ".lst": 2, ".yaml": 3, ".yml": 3, ".json": 4, ".names": 5, ".txt": 6}
_LISTS_IN_A_FOLDER = 3
"""More small texts in one folder are each about one picture."""

ReadFiles = Callable[[Collection[str], int], Iterator[tuple[str, bytes]]]
"""Yields the names of files and how each begins, at most so many bytes of it."""

LONGEST_LINE = 2**20
"""A picture of FER-2013 has 9,000 characters; the csv module would read a line of any length into memory."""
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST_MATCHED = 1000
_WINDOWS = "cp1252"
"""What bytes are read as that are no UTF-8: such a letter may come late in a table."""
codecs.register_error(_WINDOWS, lambda error: (error.object[error.start : error.end].decode(_WINDOWS), error.end))
_SEPARATORS = ",;\t"
_HINT = "Expected is a table with a line for each picture, its cells separated by commas."


class FaceBox(NamedTuple):
    """Where a face is: in pixels, or in parts of the picture's width and height."""

    left: float
    top: float
    width: float
    height: float
    in_parts: bool = False

    @classmethod
    def between(cls, left: float, top: float, right: float, bottom: float) -> "FaceBox":
        """Returns the box with these ends, in pixels."""
        return cls(left, top, right - left, bottom - top)


@dataclass(frozen=True)
class Placed:
    """A picture's name in its source, and what is known of it.

    `votes` are how many people voted for each label; `face` counts the faces of one picture, from 1.
    """

    name: str
    part: str
    label: str
    box: FaceBox | None = None
    person: str = ""
    votes: tuple[int, ...] | None = None
    face: int = 0

    @property
    def title(self) -> str:
        """Its name, with the number of the face where the picture has several."""
        return f"{self.name}#{self.face}" if self.face else self.name


@dataclass
class Found:
    """A data set of one format: its pictures, or tables of pixels (name and part of each)."""

    format: str
    pictures: list[Placed] = field(default_factory=list)
    tables: list[tuple[str, str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Pictures and tables that are not used, and why."""
    rest: str = ""
    """Why the pictures are not used that are in neither."""
    root: tuple[str, ...] | None = None
    """The folder around its pictures, where that is not simply what they have in common."""
    notes: list[str] = field(default_factory=list)
    is_usual: bool = False
    read_table: Callable[..., Iterator] | None = None
    """Yields the pictures in a table of another kind than pixels, of (stream, name, reading, report)."""


def faces_of(name: str | PurePosixPath, part: str, faces: Collection[tuple[str, FaceBox]]) -> list[Placed]:
    """Returns the faces of one picture, each with its label and box; numbered where there are several."""
    several = len(faces) > 1
    return [Placed(str(name), part, *face, face=number * several) for number, face in enumerate(faces, start=1)]


@dataclass(frozen=True)
class Tree:
    """The visible files and folders of a source, by names with / between folders, and how to look into them."""

    source: str
    names: tuple[str, ...]
    folders: tuple[str, ...]
    read_files: ReadFiles = field(repr=False)
    open: Callable[[str], AbstractContextManager[BinaryIO]] = field(repr=False)
    """Opens one file to be read forwards."""

    @classmethod
    def of(cls, names: Collection[str], folders: Collection[str], *, source: str, **ways: Callable) -> "Tree":
        """Returns the tree of these names, without what is hidden or left behind by systems.

        `ways` are `read_files` and `open`. Raises DatasetError where folders lie in each other without end: each level
        costs its whole path.
        """
        if any(name.count("/") > MOST_LEVELS for name in names):
            raise DatasetError(
                f"{source} has more than {MOST_LEVELS} folders inside of each other.",
                hint="Give the one with the data.",
            )
        visible = (tuple(sorted(itertools.filterfalse(folder_names.is_hidden, some))) for some in (names, folders))
        return cls(source, *visible, **ways)

    @cached_property
    def pictures(self) -> tuple[PurePosixPath, ...]:
        """The files that are named like pictures; of those without a suffix, what begins like one."""
        unnamed = [name for name in self.names if folder_names.lacks_suffix(name)]
        started = self.read_files(unnamed, HEAD_BYTES) if unnamed else ()
        found = {name for name, start in started if begins_like_picture(start)}
        return tuple(PurePosixPath(name) for name in self.names if folder_names.is_picture(name) or name in found)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The other files."""
        return tuple(name for name in self.names if name not in self.picture_names)

    @cached_property
    def beginnings(self) -> dict[str, bytes]:
        """How the files begin that may be lists of labels: a few of them, the likeliest first."""
        stems = {path.stem for path in self.pictures}
        in_folder: Counter[PurePosixPath] = Counter()
        ranked = []
        for path in map(PurePosixPath, self.others):
            if path.suffix.lower() in folder_names.TABLE_SUFFIXES and path.stem not in stems:
                in_folder[path.parent] += 1
                is_one_of_many = in_folder[path.parent] > _LISTS_IN_A_FOLDER
                ranked.append((is_one_of_many, _TABLES_FIRST.get(path.suffix.lower(), 9), len(path.parts), path))
        likely = [path for *_, path in sorted(ranked)]
        chosen = [str(path) for path in likely[: folder_names.MOST_TABLES_READ]]
        read = dict(self.read_files(chosen, folder_names.TABLE_BYTES_READ)) if chosen else {}
        return {name: read[name] for name in chosen if name in read}

    @cached_property
    def picture_names(self) -> frozenset[str]:
        """The names of `pictures`."""
        return frozenset(map(str, self.pictures))

    @cached_property
    def _by_file_name(self) -> dict[str, list[PurePosixPath]]:
        found: dict[str, list[PurePosixPath]] = {}
        for path in self.pictures:
            found.setdefault(normalized(path.name), []).append(path)
            found.setdefault(normalized(path.stem), []).append(path)
        return found

    def pictures_called(self, name: str) -> list[PurePosixPath]:
        """Returns the pictures with this file name, with or without its suffix, in any folder and letter case."""
        return self._by_file_name.get(normalized(name), [])

    def split_around(self, name: str | PurePosixPath) -> str | None:
        """Returns the split that the nearest folder around a file is named after that has such a name."""
        folders = PurePosixPath(name).parts[:-1]
        return next((split for folder in reversed(folders) if (split := folder_names.split_of(folder))), None)

    def read(self, names: Collection[str], most: int) -> dict[str, bytes]:
        """Returns the files' contents, of which each may have so many bytes. Raises DatasetError of larger ones."""
        found: dict[str, bytes] = {}
        left = MOST_LABEL_BYTES
        for name, content in self.read_files(set(names), most + 1) if names else ():
            left -= len(content)
            if len(content) > most or left < 0:
                raise DatasetError(
                    f"{self.source}: {name if left >= 0 else 'all its label files'} have more bytes than labels take.",
                    hint="Get the data from where its authors publish it.",
                )
            found[name] = content
        return found


def encoding_of(start: bytes) -> str:
    """Returns the encoding of a text that begins so."""
    return "utf-16" if start.startswith(UTF16) else "utf-8-sig"


def first_rows(start: bytes, most: int = 200) -> list[list[str]]:
    """Returns the cells of the whole lines that a table begins with; of what is no text, nothing."""
    encoding = encoding_of(start)
    if encoding != "utf-16" and b"\0" in start:
        return []
    try:
        text = codecs.getincrementaldecoder(encoding)(_WINDOWS).decode(start)
    except UnicodeError:
        return []
    lines = text.splitlines()
    is_cut = len(start) >= folder_names.TABLE_BYTES_READ and not text.endswith("\n")
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
        text = io.TextIOWrapper(buffered, encoding=encoding_of(buffered.peek(2)), errors=_WINDOWS)
        for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE), ""), start=1):
            if len(line) == LONGEST_LINE:
                raise csv.Error(f"longer than {LONGEST_LINE:,} characters")
            if "\0" in line:
                raise csv.Error("it is no text")
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

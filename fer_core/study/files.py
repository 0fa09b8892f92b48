"""What a study reads: the pictures and videos of a folder, a pattern or a list, and how they are divided into parts."""

import csv
import glob
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fer_core.data.folder_names import OTHER_PICTURE_SUFFIXES, PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_hidden
from fer_core.data.report import listed
from fer_core.errors import FerError, SourceError
from fer_core.live.sources import in_natural_order
from fer_core.live.video import open_reader
from fer_core.paths import expanded
from fer_core.study.settings import Part, state_of

PICTURES_IN_A_PART = 100
PIECE_SECONDS = 300.0
"""Of a video; one that is not longer than one and a half of it stays whole."""
_PICTURES_IN_A_SECOND = 8.0
"""So many pictures take as long as a second of video, of which most frames need no detection."""
_LIST_SUFFIXES = (".csv", ".tsv", ".txt")
_FILE_COLUMNS = ("file", "path", "filename", "name", "video", "picture", "source")
_WHAT = "A study reads a folder, a pattern such as 'videos/**/*.mp4', a picture, a video, or a list of them as .csv."


class File(NamedTuple):
    """A picture or a video of a study, or a time of one: `start` and `end` are seconds.

    `name` is how tables call it: the path in the folder, with `#t=10,20` behind it where not all of it is meant.
    """

    name: str
    path: Path
    start: float = 0.0
    end: float = math.inf

    @property
    def is_video(self) -> bool:
        """Whether its suffix is that of a video."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


class FoundFiles(NamedTuple):
    """The files of a study in their natural order, each once, and what was left out, in words."""

    files: list[File]
    left_out: str


def find_files(source: str, *, without: Path | None = None) -> FoundFiles:
    """Returns what a folder (with all in it), a pattern or a list names. `without`: a folder that is left out.

    A list is a csv with the file in its first column, or in one called file, path or name, and `start` and `end` in
    seconds or as 1:02:03, if not all of it is meant; files are looked for from the list's own folder.

    Raises SourceError: there is nothing, or a list that cannot be read.
    """
    path, others = expanded(source), Counter()
    if path.is_dir():
        found = _in_folder(path, without, others)
    elif path.is_file() and path.suffix.lower() in _LIST_SUFFIXES:
        found = _in_list(path)
    elif path.is_file():
        found = [File(path.name, path)]
    else:
        matches = sorted(glob.glob(str(path), recursive=True), key=in_natural_order)  # noqa: PTH207 - any pattern
        found = [File(Path(name).as_posix(), Path(name)) for name in matches if _is_wanted(Path(name))]
        found = [file for file in found if file.path.is_file()]
    files = []
    for file in dict.fromkeys(found):
        if os.fsencode(file.path) == str(file.path).encode(errors="replace"):
            files.append(file)
        else:  # which is what tables are, and what the processes tell each other
            others["whose name is no UTF-8"] += 1
    left_out = f"left out: {listed([f'{count:,} {kind}' for kind, count in sorted(others.items())])}" if others else ""
    if not files:
        is_missing = not path.exists() and not glob.has_magic(source)
        nothing = "is not there" if is_missing else "names no picture and no video"
        raise SourceError(f"{source} {nothing}{f' ({left_out})' if left_out else ''}.", hint=_WHAT)
    return FoundFiles(files, left_out)


def whole_source(source: str) -> str:
    """Returns a source that is found from any folder."""
    path = expanded(source)
    return str(path.resolve()) if path.exists() or glob.has_magic(source) else source


def make_parts(files: Sequence[File], settings: str) -> Iterator[Part]:
    """Yields the parts, the longest videos first. `settings`: a text that changes with what is read of a file."""
    pieces = [piece for file in files if file.is_video for piece in _pieces(file)]
    pieces.sort(key=lambda piece: -(piece[2] - piece[1] if math.isfinite(piece[2]) else math.inf))
    for file, start, end, number in pieces:
        until = end if math.isfinite(end) else None
        made = {"kind": "video", "files": ((file.name, str(file.path.absolute())),), "start": start, "end": until}
        seconds = (until or start + PIECE_SECONDS) - start
        yield _part(settings, made | {"piece": number, "work": seconds * _PICTURES_IN_A_SECOND})
    pictures = [(file.name, str(file.path.absolute())) for file in files if not file.is_video]
    for first in range(0, len(pictures), PICTURES_IN_A_PART):
        chosen = tuple(pictures[first : first + PICTURES_IN_A_PART])
        yield _part(settings, {"kind": "pictures", "files": chosen, "work": len(chosen)})


def _part(settings: str, made: Mapping) -> Part:
    states = [state_of(path) for _, path in made["files"]]
    identity = json.dumps([settings, states, made], sort_keys=True, default=str)
    return Part(id=hashlib.sha256(identity.encode()).hexdigest()[:16], **made)


def _pieces(file: File) -> list[tuple[File, float, float, int]]:
    """Returns (file, start, end, number) for each piece of a video."""
    end = file.end
    try:
        reader = open_reader(file.path)
        seconds = reader.seconds
        reader.release()
    except (FerError, OSError):  # whoever reads it says why it cannot be read
        seconds = None
    until = min(end, seconds) if seconds else end
    count = max(1, math.ceil((until - file.start) / PIECE_SECONDS - 0.5)) if math.isfinite(until) else 1
    cuts = [file.start + number * PIECE_SECONDS for number in range(count)] + [end]
    return [(file, cuts[number], cuts[number + 1], number) for number in range(count)]


def _in_folder(folder: Path, without: Path | None, others: Counter[str]) -> list[File]:
    """Returns what is read of a folder; `others` counts the rest by suffix."""
    files = []
    without = without and without.resolve()
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name) and (Path(root) / name).resolve() != without]
        for name in names:
            path = Path(root) / name
            if is_hidden(name):
                continue
            if _is_wanted(path):
                files.append(File(path.relative_to(folder).as_posix(), path))
            else:
                others[path.suffix.lower() or "without suffix"] += 1
    return sorted(files, key=lambda file: in_natural_order(file.name))


def _is_wanted(path: Path) -> bool:
    return path.suffix.lower() in (*PICTURE_SUFFIXES, *OTHER_PICTURE_SUFFIXES, *VIDEO_SUFFIXES)


def _in_list(path: Path) -> list[File]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "it is no text")
        raise SourceError(f"{path} cannot be read: {why}.", hint=_WHAT) from None
    first = text.splitlines()[0] if text.strip() else ""
    rows = list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    place = next((header.index(name) for name in _FILE_COLUMNS if name in header), None)
    columns = {name: header.index(name) for name in ("start", "end") if place is not None and name in header}
    files = []
    for number, row in enumerate(rows[place is not None :], 1 + (place is not None)):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        try:
            times = {name: _seconds(cells[column]) for name, column in columns.items() if cells[column]}
            name = cells[place or 0]
        except (IndexError, ValueError):
            problem = f"{path}, line {number}: {','.join(row)[:80]!r} is no file with times."
            raise SourceError(problem, hint=_WHAT) from None
        file = File(name, path.parent / expanded(name), **times)
        until = f",{file.end:g}" if math.isfinite(file.end) else ""
        files.append(file._replace(name=f"{name}#t={file.start:g}{until}") if times else file)
        if not file.start < file.end:
            raise SourceError(f"{path}, line {number}: it ends before it begins.", hint="start and end are in seconds.")
    return files


def _seconds(text: str) -> float:
    """Returns the seconds of 12.5, 1:02 or 1:02:03."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text):
        raise ValueError(text)
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds

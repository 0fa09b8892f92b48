"""`read_video`, `read_folder` and `read_files`: a study's readings in Python, without a study's folder."""

import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.errors import SourceError
from fer_core.paths import Paths
from fer_core.study.files import File, find_files, make_parts
from fer_core.study.reading import StudyReader
from fer_core.study.settings import StudySettings

if TYPE_CHECKING:
    import pandas


def read_video(
    path: str | PathLike, *, start: float = 0.0, end: float = math.inf, paths: Paths | None = None, **settings
) -> "pandas.DataFrame":
    """Returns a row for every face in every frame of a video that is read; a frame without a face has one without.

    Columns: file, seconds, frame, person, x, y, width, height (pixels), label, confidence, unsure, and the probability
    of each emotion.

    Args:
        start, end: in seconds. settings: `fps`, `model`, `detector` and the others of a study.

    Raises:
        SourceError: no readable video. ConfigError: a wrong setting. ArtifactError: no usable model.
    """
    path = Path(path)
    return _whole(_reader(settings, paths), [File(path.name, path, start, end)])


def read_folder(source: str | PathLike, *, paths: Paths | None = None, **settings) -> "pandas.DataFrame":
    """Returns the rows of all pictures and videos of a folder, a pattern or a list, as `read_video` does.

    Files that cannot be read are left out; `read_files` names them. It is read in this process alone: for many videos
    make a study (`--study`).
    """
    import pandas

    tables = [table for _, table, problem in read_files(source, paths=paths, **settings) if not problem]
    filled = [table for table in tables if len(table)]
    return pandas.concat(filled, ignore_index=True) if filled else pandas.DataFrame()


def read_files(
    source: str | PathLike, *, paths: Paths | None = None, **settings
) -> Iterator[tuple[str, "pandas.DataFrame", str]]:
    """Yields (name, rows, problem) of each picture and video, in their order; `problem` is empty if it was read."""
    reader = _reader(settings, paths)
    for file in find_files(str(source)).files:
        try:
            yield file.name, _whole(reader, [file]), ""
        except SourceError as error:
            yield file.name, _nothing(reader), str(error)


def _reader(settings: dict, paths: Paths | None) -> StudyReader:
    return StudyReader(StudySettings.checked(settings), paths or Paths.from_environment())


def _whole(reader: StudyReader, files: list[File]) -> "pandas.DataFrame":
    """Returns the rows of a file. Raises SourceError."""
    from fer_core.study.tables import joined

    tables, records = [], []
    for part in sorted(make_parts(files, ""), key=lambda part: part.piece):
        table, (record,) = reader.read(part)
        if record.status == "failed":
            raise SourceError(record.reason)
        tables.append(table)
        records.append(record)
    return joined(tables, records)


def _nothing(reader: StudyReader) -> "pandas.DataFrame":
    import pandas

    return pandas.DataFrame(columns=reader.columns)

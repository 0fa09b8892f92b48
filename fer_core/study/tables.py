"""The tables of a study: written whole, read back as they were, and the pieces of a video joined into one."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ArtifactError, ConfigError
from fer_core.faces import Box
from fer_core.store.files import replacing
from fer_core.study.settings import WARM_UP, FileRecord, Format

if TYPE_CHECKING:
    import pandas

COLUMNS = ("file", "seconds", "frame", "person", "x", "y", "width", "height", "label", "confidence", "unsure")
"""Of every table of readings; after them one for each emotion. Pictures have no seconds, frame and person."""
_LEAST_OVERLAP = 0.5
"""Boxes of one person at one time in two pieces of a video have more than this in common; they are hardly different."""


def labels_of(readings: "pandas.DataFrame") -> dict[str, str]:
    """Returns the column of each label in a table of readings, by label."""
    columns = readings.columns[list(readings.columns).index("unsure") + 1 :]
    return {
        name.removeprefix("emotion_") if name.removeprefix("emotion_") in COLUMNS else name: name for name in columns
    }


def write_table(table: "pandas.DataFrame", path: Path) -> None:
    """Writes a table, by its suffix as csv or Parquet, whole or not at all. Raises DiskFullError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def read_table(path: Path) -> "pandas.DataFrame":
    """Returns a table that `write_table` wrote. Raises ArtifactError if it is missing or broken."""
    import pandas

    try:
        if path.suffix == ".parquet":
            return pandas.read_parquet(path)
        dtypes = dict.fromkeys(("file", "label", "reason", "table"), str)
        # A class may be called null, which is no missing value.
        return pandas.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}.", hint="Remove files.csv, and all is read again."
        ) from None


def check_format(wanted: Format) -> None:
    """Raises ConfigError where Parquet cannot be written."""
    if wanted == "parquet" and find_spec("pyarrow") is None:
        raise ConfigError("Parquet needs pyarrow.", hint="pip install pyarrow, or --study-format csv")


def joined(pieces: Sequence["pandas.DataFrame"], records: Sequence[FileRecord] = ()) -> "pandas.DataFrame":
    """Returns one table of a video's pieces, in their order; who goes from one into the next keeps the number.

    Each piece but the first begins before its time, and so has frames that the one before has too: by their boxes in
    these it is seen who is who. With embeddings in the records of the pieces, so do people who come back.
    """
    import pandas

    whole, most, embeddings = [], 0, {}
    for place, piece in enumerate(pieces):
        table, numbers = piece, {}
        if WARM_UP in piece:
            warm_up = piece[WARM_UP].astype(bool)
            numbers = _known_people(whole[-1], piece[warm_up]) if whole else {}
            table = piece[~warm_up].drop(columns=WARM_UP)
        for person in sorted(set(table["person"].dropna()) - numbers.keys()):
            most += 1
            numbers[person] = most
        whole.append(table.assign(person=table["person"].map(numbers)))
        for person, vector in (records[place].embeddings if records else {}).items():
            if (number := numbers.get(int(person))) is not None:
                embeddings[number] = embeddings.get(number, 0.0) + np.array(vector)
    filled = [table for table in whole if len(table)] or whole[:1]
    table = filled[0] if len(filled) == 1 else pandas.concat(filled, ignore_index=True)
    table = table.assign(person=table["person"].astype("Int64"), frame=table["frame"].astype("Int64"))
    if not embeddings:
        return table
    from fer_core.study.identity import with_people_known_again

    return with_people_known_again(table, embeddings)


def _known_people(before: "pandas.DataFrame", again: "pandas.DataFrame") -> dict[float, int]:
    """Returns the number that each person of `again` has in `before`, the latest frames deciding."""
    from fer_core.faces.framing import overlap

    both = before.dropna(subset=["person"]).merge(again.dropna(subset=["person"]), on="frame", suffixes=("", "_again"))
    numbers: dict[float, int] = {}
    for row in both.sort_values("frame", ascending=False, kind="stable").to_dict("records"):
        box = Box(*(row[name] for name in ("x", "y", "width", "height")))
        other = Box(*(row[f"{name}_again"] for name in ("x", "y", "width", "height")))
        is_new = row["person_again"] not in numbers and int(row["person"]) not in numbers.values()
        if overlap(box, other) > _LEAST_OVERLAP and is_new:
            numbers[row["person_again"]] = int(row["person"])
    return numbers

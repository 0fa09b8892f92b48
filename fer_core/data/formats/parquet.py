"""Image data sets of Hugging Face as Parquet: a column of pictures (their bytes), and one of labels.

The names of the labels stand in the file's metadata (ClassLabel). The split is in the file's name:
data/train-00000-of-00001.parquet. Needs pyarrow, which is an extra.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from fer_core.data.contents import ALL_IMAGES, Picture
from fer_core.data.face_picture import MAX_FILE_BYTES, UnreadablePictureError, decode_picture
from fer_core.data.folder_names import split_in
from fer_core.data.report import DataReport, guessed
from fer_core.data.tree import Found, Tree
from fer_core.data.votes import ReadOptions
from fer_core.errors import DatasetError
from fer_core.labels import is_emotion, normalized
from fer_core.resources import memory_bytes

SUFFIX, MARK = ".parquet", b"PAR1"
_FORMAT = "Parquet with pictures"
_ROWS_AT_ONCE = 64
_SHARE_OF_MEMORY = 4
_LABEL_WORDS = ("label", "labels", "emotion", "expression", "class")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, NotImplementedError, MemoryError, RecursionError)

if TYPE_CHECKING:
    import pyarrow as pa


class _Columns(NamedTuple):
    image: str
    label: str
    names: tuple[str, ...]


def recognise(tree: Tree) -> Found | None:
    """Returns the Parquet files, where no folders of emotions have pictures."""
    files = [name for name in tree.names if name.lower().endswith(SUFFIX)]
    if not files or any(is_emotion(path.parent.name) for path in tree.pictures):
        return None
    tables = [(name, split_in(PurePosixPath(name).stem) or tree.split_around(name) or ALL_IMAGES) for name in files]
    return Found(_FORMAT, tables=tables, rest="as beside Parquet files", read_table=pictures)


def pictures(stream: BinaryIO, name: str, part: str, *, options: ReadOptions, report: DataReport) -> Iterator[Picture]:
    """Yields the pictures in one file. Raises DatasetError where it has none, or pyarrow is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise DatasetError(f"{name} is Parquet, which needs pyarrow.", hint="pip install pyarrow") from None
    with tempfile.TemporaryFile() as copy:
        if not stream.seekable():
            shutil.copyfileobj(stream, copy)
            stream = copy
        try:
            file = parquet.ParquetFile(stream)
            columns = _columns(file.schema_arrow, name)
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            if max((group.total_byte_size for group in groups), default=0) > memory_bytes() // _SHARE_OF_MEMORY:
                message = f"{name} has groups of rows that do not fit into the memory of this machine."
                raise DatasetError(message, hint="Write smaller groups.")
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=[columns.image, columns.label])
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, read, content in _labelled(rows, columns, name, options=options, report=report):
                yield Picture(f"{name} row {number:06}", part, read, partial(_decoded, content), len(content))
        except _DAMAGED as error:
            reason = f"{name} is no Parquet file that can be read: {error}."
            raise DatasetError(reason, hint="Download it again.") from None


def _labelled(
    rows: Iterator[dict], columns: _Columns, name: str, *, options: ReadOptions, report: DataReport
) -> Iterator[tuple[int, str, bytes]]:
    """Yields the number, the label and the picture's bytes of each row that has a label."""
    of_names = options.labels.read(columns.names) if columns.names else {}
    found: set[str] = set()
    for number, row in enumerate(rows):
        label = _label(row[columns.label], columns.names)
        if not label:
            report.leave_out("as they have no label", name)
            continue
        read = of_names[label] if label in of_names else options.labels.read([label])[label]
        report.read_as |= {label: read} if label != read else {}
        if read:
            found.add(read)
            value = row[columns.image]
            content = value.get("bytes") if isinstance(value, dict) else value
            yield number, read, content if isinstance(content, bytes) else b""
    report.notes += [note for note in guessed(found) if note not in report.notes]


def _columns(schema: "pa.Schema", name: str) -> _Columns:
    import pyarrow as pa

    images = [one.name for one in schema if pa.types.is_struct(one.type) and one.type.get_field_index("bytes") >= 0]
    images += [one.name for one in schema if pa.types.is_binary(one.type) or pa.types.is_large_binary(one.type)]
    features = _features(schema.metadata or {})
    named = [one for one, about in features.items() if isinstance(about, dict) and about.get("names")]
    labels = [word for word in (*named, *_LABEL_WORDS) if word in schema.names and word not in images]
    if not images or not labels:
        raise DatasetError(
            f"{name} has no column of {'labels' if images else 'pictures'} ({', '.join(schema.names)[:200]}).",
            hint="Expected are a column of pictures (image) and one of labels (label), as Hugging Face has them.",
        )
    names = features.get(labels[0], {}).get("names", ()) if labels[0] in named else ()
    return _Columns(images[0], labels[0], tuple(normalized(str(one)) for one in names))


def _features(metadata: dict[bytes, bytes]) -> dict:
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}


def _label(value: object, names: tuple[str, ...]) -> str:
    if value is None or value == -1:
        return ""
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else normalized(str(value))


def _decoded(content: bytes) -> np.ndarray:
    if len(content) > MAX_FILE_BYTES:
        raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return decode_picture(content)

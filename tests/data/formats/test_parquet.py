"""Image data sets of Hugging Face as Parquet; what needs pyarrow is left out where it is not installed."""

import io
import json
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from fer_core.errors import DatasetError
from tests.data.formats.layouts import faces, written

NAMES = ("anger", "happy", "sad")


def table(split: int, count: int, *, label=lambda emotion: NAMES.index(emotion), metadata: bool = True) -> bytes:
    drawn = [("anger" if emotion == "angry" else emotion, picture)
             for emotion, _, picture in faces(("angry", "happy", "sad"), count, 1000 * split)]  # fmt: skip
    rows = pa.table(
        {
            "image": [{"bytes": picture, "path": None} for _, picture in drawn],
            "label": [label(emotion) for emotion, _ in drawn],
        }
    )
    features = {"image": {"_type": "Image"}, "label": {"names": list(NAMES), "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if metadata else {}
    stream = io.BytesIO()
    parquet.write_table(rows.replace_schema_metadata(about), stream)
    return stream.getvalue()


@pytest.mark.parametrize("how", ["folder", "zip", "tar"])
def test_labels_have_their_names_and_files_their_splits(load, tmp_path, how):
    files = {f"data/{split}-00000-of-00001.parquet": table(n, 4 - n) for n, split in enumerate(("train", "test"))}
    dataset = load(written(files, tmp_path, how))
    assert dataset.labels == ("angry", "happy", "sad")
    assert {part: sum(of.values()) for part, of in dataset.contents.counts().items()} == {"train": 12, "test": 9}
    assert dataset.notes[:2] == ("Read as Parquet with pictures.", "Labels: anger as angry.")


def test_one_file_and_labels_as_text_or_without_names(load, tmp_path):
    (tmp_path / "any").write_bytes(table(0, 5, label=str, metadata=False))
    assert load(tmp_path / "any").labels == ("angry", "happy", "sad")
    (tmp_path / "any").write_bytes(table(0, 5, metadata=False))
    numbered = load(tmp_path / "any")
    assert numbered.labels == ("0", "1", "2")
    assert any("Guessed: the classes are the numbers" in note for note in numbered.notes)


def test_a_damaged_file_is_refused(load, tmp_path):
    folder = written({"train.parquet": b"PAR1" + bytes(100) + b"PAR1"}, tmp_path, "folder")
    with pytest.raises(DatasetError, match=r"train.parquet is no Parquet file that can be read"):
        load(folder)


def test_without_pyarrow_it_is_said_what_is_needed(load, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    folder = written({"data/train-00000-of-00001.parquet": b"PAR1"}, tmp_path, "folder")
    with pytest.raises(DatasetError, match="is Parquet, which needs pyarrow") as caught:
        load(folder)
    assert caught.value.hint == "pip install pyarrow"

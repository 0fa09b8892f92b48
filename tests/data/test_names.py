"""Names of classes and pictures in any script and form, and such as are no text."""

import os
import unicodedata

import pytest

from fer_core.errors import DatasetError


@pytest.mark.parametrize(
    ("first", "same"),
    [
        ("기쁨", unicodedata.normalize("NFD", "기쁨")),
        ("fröhlich", unicodedata.normalize("NFD", "fröhlich")),
        ("سعيد", "سعيد "),
        ("שמח", " שמח"),
        ("Joyeux", "joyeux  "),
    ],
    ids=["Korean", "accents", "Arabic", "Hebrew", "letter case"],
)
def test_names_that_look_the_same_are_one_class(load, fill, tmp_path, first, same):
    fill(tmp_path / "faces" / "train", 6, emotions=(first, "sad"))
    fill(tmp_path / "faces" / "test", 3, first=1000, emotions=(same, "sad"))
    dataset = load(tmp_path / "faces")
    assert set(dataset.labels) == {unicodedata.normalize("NFC", first).lower(), "sad"}
    assert sorted(dataset.contents.counts()["test"].values()) == [3, 3]


def test_a_folder_whose_name_is_no_text_is_refused_and_a_picture_with_such_a_name_is_read(load, fill, tmp_path):
    faces = fill(tmp_path / "faces", 8, emotions=("happy", "sad"))
    picture = next((faces / "happy").iterdir())
    picture.rename(picture.with_name(os.fsdecode(b"s\xe1nchez.png")))
    assert len(load(faces).contents) == 16
    (faces / "happy").rename(faces / os.fsdecode(b"fr\xf6hlich"))
    with pytest.raises(DatasetError, match="has control characters, or bytes that are no UTF-8") as caught:
        load(faces)
    assert str(caught.value).encode(errors="replace")
    assert caught.value.hint == "Rename it."

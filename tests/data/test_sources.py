"""What --data is, and where images are looked for without it."""

import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.default_source import find_source
from fer_core.errors import DatasetError

SAMPLE_HINT = "python train_emotion_model.py --data sample"


def test_what_is_given_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "train").mkdir(parents=True)
    assert find_source("faces.zip", {"FER_DATA": "elsewhere"}) == "faces.zip"
    assert find_source(None, {"FER_DATA": "elsewhere"}) == "elsewhere"
    assert find_source(None, {"FER_DATA": ""}) == "data"


def test_data_train_is_taken_where_data_holds_nothing_but_the_inbox(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "inbox").mkdir(parents=True)
    (tmp_path / "data" / ".gitkeep").touch()
    (tmp_path / "data_train" / "sad").mkdir(parents=True)
    assert find_source(None, {}) == "data_train"
    assert find_source(None, {"FER_INBOX": "somewhere/else"}) == "data"


def test_without_any_images_the_hint_is_a_complete_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"no ./data or ./data_train with images") as caught:
        find_source(None, {})
    assert caught.value.hint.endswith(SAMPLE_HINT)


def test_a_path_that_does_not_exist_is_refused_and_nothing_is_written(load, paths):
    with pytest.raises(DatasetError, match=r"There is no no/such/archive\.zip") as caught:
        load("no/such/archive.zip")
    assert caught.value.hint.endswith(SAMPLE_HINT)
    assert not paths.cache.exists()


def test_a_file_that_is_nothing_of_ours_is_refused(load, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear reader")
    with pytest.raises(DatasetError, match="is no folder, zip, tar or csv of images"):
        load(tmp_path / "letter.txt")


def test_the_inbox_is_never_part_of_a_data_set(load, fill, paths, train_and_test):
    expected = load(train_and_test).fingerprint
    assert not paths.inbox.is_relative_to(train_and_test)
    inside = train_and_test.rename(paths.inbox.parent / "data")
    fill(inside / "train" / "inbox", 2, first=5000)
    moved = paths.__class__.from_environment(
        {"FER_CACHE_DIR": str(paths.cache), "FER_INBOX": str(inside / "train" / "inbox")}
    )

    assert load_dataset(TrainConfig(data=str(inside)), moved, side=48).fingerprint == expected

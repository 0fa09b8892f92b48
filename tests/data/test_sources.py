"""What --data is: where images are looked for, folders of pictures, a download; and what is refused of each."""

import os
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.cli.train import parse
from fer_core.config import TrainConfig
from fer_core.data.contents import UnreadableImagesError
from fer_core.data.dataset import load_dataset
from fer_core.data.face_picture import UnreadablePictureError
from fer_core.data.sources import KAGGLE_HANDLE
from fer_core.errors import ArtifactError, ConfigError, DatasetError
from fer_core.live.sources import read_picture
from fer_core.paths import find_source
from fer_core.store.files import read_json

SAMPLE_HINT = "python train_emotion_model.py --data sample"


def test_without_data_the_variable_and_the_usual_folders_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=r"no ./data or ./data_train with images") as caught:
        find_source(None, {})
    assert caught.value.hint.endswith(SAMPLE_HINT)
    (tmp_path / "data" / "inbox").mkdir(parents=True)
    (tmp_path / "data" / ".gitkeep").touch()
    (tmp_path / "data_train" / "sad").mkdir(parents=True)
    assert find_source(None, {}) == "data_train"  # the inbox alone makes no ./data
    assert find_source(None, {"FER_INBOX": "somewhere/else"}) == "data"
    assert find_source(None, {"FER_DATA": ""}) == "data_train"
    assert find_source(None, {"FER_DATA": "elsewhere"}) == "elsewhere"
    assert find_source("faces.zip", {"FER_DATA": "elsewhere"}) == "faces.zip"


def test_what_is_no_data_is_refused_and_nothing_is_written(load, paths, tmp_path):
    with pytest.raises(DatasetError, match=r"There is no no/such/archive\.zip") as caught:
        load("no/such/archive.zip")
    assert caught.value.hint.endswith(SAMPLE_HINT)
    with pytest.raises(DatasetError, match="There is no ~nobody-here/faces"):
        load("~nobody-here/faces")
    with pytest.raises(DatasetError, match="no file has a NUL character in its name") as caught:
        load("faces\0.zip")
    assert str(caught.value).isprintable()
    (tmp_path / "letter.txt").write_text("Dear reader")
    with pytest.raises(DatasetError, match="is no folder, zip, tar or csv of images"):
        load(tmp_path / "letter.txt")
    assert not paths.cache.exists()


@pytest.fixture(params=["device", "link to a device", "pipe", "socket"])
def endless(request, tmp_path):
    """A path that must not be opened."""
    path = tmp_path / "endless.jpg"
    if request.param == "device":
        yield Path("/dev/zero")
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            yield path
    else:
        os.mkfifo(path) if request.param == "pipe" else path.symlink_to("/dev/zero")
        yield path


def test_devices_pipes_and_sockets_are_refused_wherever_files_come_in(load, train_and_test, endless, tmp_path):
    refusal = "neither a file nor a folder"
    with pytest.raises(DatasetError, match=refusal):
        load(endless)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "fer2013.csv").symlink_to(endless)
    with pytest.raises(DatasetError, match=refusal):
        load(tmp_path / "folder")
    (train_and_test / "train" / "sad" / "endless.jpg").symlink_to(endless)
    with pytest.raises(UnreadableImagesError, match=rf"endless\.jpg \(it is .*, {refusal}"):
        load(train_and_test)
    with pytest.raises(ConfigError, match=refusal):
        parse(["--config", str(endless)])
    with pytest.raises(ArtifactError, match=refusal):
        read_json(endless, "labels")
    with pytest.raises(UnreadablePictureError, match=refusal):
        read_picture(endless)


def test_train_and_test_are_loaded_with_alphabetical_labels_and_the_pixels_of_the_files(load, train_and_test, noise):
    dataset = load(train_and_test)
    assert (dataset.labels, dataset.name, dataset.source) == (("angry", "happy", "sad"), "faces", str(train_and_test))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [27, 3, 12]
    assert dataset.test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    images = dataset.test.images(slice(None))
    assert (images.shape, images.dtype) == ((12, 48, 48, 1), np.uint8)
    for image, name in zip(images, dataset.test.names(slice(None)), strict=True):
        assert np.array_equal(image[:, :, 0], noise(int(name.split("/")[-1][:5])))


def test_images_are_read_by_position_in_the_size_and_channels_that_are_wanted(load, train_and_test, noise):
    train = load(train_and_test).train
    everything = train.images(slice(None))
    positions = np.array([7, 0, 7])
    assert np.array_equal(train.images(positions), everything[positions])
    assert train.names(positions) == [train.names(slice(None))[i] for i in positions]
    assert type(train.images(positions)) is np.ndarray
    for suffix in (".jpg", ".jpeg", ".BMP", ".webp"):  # of another size and in colour
        cv2.imwrite(str(train_and_test / "train" / "sad" / f"other{suffix}"), np.dstack([noise(1, 60, 80)] * 3))
    assert len(load(train_and_test, validation="none").train) == 34
    smaller = load(train_and_test, side=32, channels=3)
    assert smaller.train.images(slice(0, 2)).shape == (2, 32, 32, 3)
    assert smaller.fingerprint == load(train_and_test).fingerprint


@pytest.mark.parametrize("change", ["changed", "touched", "added", "removed"])
def test_a_change_of_one_image_is_noticed(load, train_and_test, noise, change):
    before = load(train_and_test)
    one = train_and_test / "train" / "sad" / "00029.png"
    if change == "touched":
        os.utime(one, (1, 1))
    elif change == "removed":
        one.unlink()
    else:
        cv2.imwrite(str(one if change == "changed" else one.with_name("new.png")), noise(77))
    assert (load(train_and_test).fingerprint == before.fingerprint) == (change == "touched")


def test_links_are_followed_but_not_in_circles(load, fill, train_and_test, tmp_path):
    expected = load(train_and_test).fingerprint
    (train_and_test / "train" / "sad" / "again").symlink_to(train_and_test)
    for name, target in (("a", "b"), ("b", "a")):
        (train_and_test / name).symlink_to(target)
        (tmp_path / f"far {name}").mkdir()
        (tmp_path / f"far {name}" / "on").symlink_to(tmp_path / f"far {target}")
    (train_and_test / "docs").symlink_to(tmp_path / "far a")
    assert load(train_and_test).fingerprint == expected
    fill(tmp_path / "store", 10)
    (tmp_path / "linked").mkdir()
    for emotion in ("angry", "sad"):
        (tmp_path / "linked" / emotion).symlink_to(tmp_path / "store" / emotion)
    assert load(tmp_path / "linked").labels == ("angry", "sad")


def test_unreadable_images_are_named_and_counted_or_skipped_on_request(load, train_and_test):
    expected = load(train_and_test).fingerprint
    sad = train_and_test / "train" / "sad"
    for number in range(3):
        (sad / f"bad{number}.jpg").write_bytes(b"no picture")
    (sad / "gone.png").symlink_to("nowhere.png")
    (sad / os.fsdecode(b"s\xe1nchez\n.png")).write_bytes(b"")
    with pytest.raises(
        UnreadableImagesError,
        match=r"5 images cannot be read: train/sad/bad0\.jpg \(not a JPEG.*\); "
        r"train/sad/bad1\.jpg .*; train/sad/bad2\.jpg .*; and 2 more\.",
    ) as caught:
        load(train_and_test)
    assert "--skip-bad-images" in caught.value.hint
    assert len(caught.value.bad_images) == 5
    dataset = load(train_and_test, skip_bad_images=True)
    assert dataset.fingerprint == expected
    assert [(bad.name, bad.reason) for bad in dataset.bad_images][3:] == [
        ("train/sad/gone.png", "No such file or directory"),
        ("train/sad/s?nchez\\n.png", "empty file"),
    ]


def test_a_source_needs_two_classes_and_says_which_of_them_are_not_measured(load, fill, train_and_test, tmp_path):
    with pytest.raises(DatasetError, match="has one class only, 'sad'"):
        load(fill(tmp_path / "one", emotions=("sad",)))
    (train_and_test / "train" / "fear").mkdir()
    with pytest.raises(DatasetError, match="the folder train/fear holds no pictures"):
        load(train_and_test)
    fill(train_and_test / "train", 2, first=500, emotions=("fear",))
    dataset = load(train_and_test)
    assert dataset.labels == ("angry", "fear", "happy", "sad")
    assert dataset.notes[-1] == "Not measured, as test has no image of it: fear."


def test_the_inbox_is_never_part_of_a_data_set(load, fill, paths, train_and_test):
    expected = load(train_and_test).fingerprint
    inside = train_and_test.rename(paths.inbox.parent / "data")
    fill(inside / "train" / "inbox", 2, first=5000)
    moved = paths.__class__.from_environment(
        {"FER_CACHE_DIR": str(paths.cache), "FER_INBOX": str(inside / "train" / "inbox")}
    )
    assert load_dataset(TrainConfig(data=str(inside)), moved, side=48).fingerprint == expected


@pytest.fixture
def kaggle_cache(tmp_path, monkeypatch) -> Path:
    """Where the real kagglehub, which finds no network, has its copy."""
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "kagglehub" / "datasets" / KAGGLE_HANDLE


def test_a_downloaded_copy_of_kaggle_is_used_without_the_network(load, fill, kaggle_cache):
    fill(kaggle_cache / "train", 10)
    fill(kaggle_cache / "test", 4, first=1000)
    (kaggle_cache.parents[1] / "1.complete").touch()
    dataset = load("kaggle")
    assert (dataset.name, dataset.source, len(dataset.test)) == ("fer2013", "kaggle", 12)


def test_where_kaggle_cannot_be_used_the_way_around_it_is_said(load, kaggle_cache, monkeypatch):
    with pytest.raises(DatasetError, match="FER-2013 could not be downloaded from Kaggle: ") as caught:
        load("kaggle")
    assert "https://www.kaggle.com/datasets/msambare/fer2013" in caught.value.hint
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DatasetError, match="needs kagglehub, which is not installed") as caught:
        load("kaggle")
    assert caught.value.hint == "pip install kagglehub"

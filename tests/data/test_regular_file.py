"""Devices, pipes and sockets are refused before anything is read from them, wherever files come in."""

import os
import socket
from pathlib import Path

import pytest

from fer_core.cli.arguments import parse
from fer_core.data.checks import UnreadableImagesError
from fer_core.data.face_picture import UnreadablePictureError
from fer_core.errors import ArtifactError, ConfigError, DatasetError
from fer_core.live.sources import read_picture
from fer_core.store.files import read_json


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


def test_as_data(load, endless):
    with pytest.raises(DatasetError, match="neither a file nor a folder"):
        load(endless)


def test_as_a_picture_in_a_folder(load, train_and_test, endless):
    (train_and_test / "train" / "sad" / "endless.jpg").symlink_to(endless)
    with pytest.raises(UnreadableImagesError, match=r"endless\.jpg \(it is .*, neither a file nor a folder"):
        load(train_and_test)


def test_as_a_table_in_a_folder(load, endless, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "fer2013.csv").symlink_to(endless)
    with pytest.raises(DatasetError, match="neither a file nor a folder"):
        load(folder)


def test_as_settings_labels_and_a_picture_to_look_at(endless):
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        parse(["--config", str(endless)])
    with pytest.raises(ArtifactError, match="neither a file nor a folder"):
        read_json(endless, "labels")
    with pytest.raises(UnreadablePictureError, match="neither a file nor a folder"):
        read_picture(endless)


def test_a_name_with_a_nul_character_is_refused(load):
    with pytest.raises(DatasetError, match="no file has a NUL character in its name") as caught:
        load("faces\0.zip")
    assert str(caught.value).isprintable()


def test_json_that_is_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / "labels.json").write_text("[" * 200_000)
    with pytest.raises(ArtifactError, match="is not whole JSON"):
        read_json(tmp_path / "labels.json", "labels")

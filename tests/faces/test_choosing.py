"""Which detector 'auto' is, and where yunet's file comes from."""

import shutil

import pytest

from fer_core import faces
from fer_core.errors import ArtifactError
from fer_core.faces.face import DetectorOptions
from fer_core.faces.yunet import YUNET
from fer_core.faces.yunet import make as make_yunet


def test_auto_is_haar_where_there_is_no_file_and_downloads_nothing(paths):
    assert faces.make_detector("auto", paths=paths).name == "haar"
    assert not paths.cache.exists()


def test_auto_is_yunet_where_its_file_is_given(paths, yunet_file):
    assert faces.make_detector("auto", paths=paths, model_file=yunet_file).name == "yunet"


def test_auto_is_yunet_where_the_environment_names_its_file(paths, yunet_file, monkeypatch):
    monkeypatch.setenv("FER_YUNET", str(yunet_file))
    assert faces.make_detector("auto", paths=paths).name == "yunet"


def test_auto_is_yunet_where_its_file_is_in_the_cache(paths, yunet_file):
    into_cache(paths, yunet_file.read_bytes())
    assert faces.make_detector("auto", paths=paths).name == "yunet"


def test_auto_takes_no_damaged_file_from_the_cache(paths, yunet_file):
    into_cache(paths, yunet_file.read_bytes()[:-100])
    assert faces.make_detector("auto", paths=paths).name == "haar"


def test_yunet_uses_the_cache_and_needs_no_network(paths, yunet_file, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    into_cache(paths, yunet_file.read_bytes())
    assert faces.make_detector("yunet", paths=paths).name == "yunet"


@pytest.mark.parametrize("name", ["auto", "yunet"])
def test_a_file_that_is_named_must_be_there(paths, name, tmp_path):
    missing = tmp_path / "missing.onnx"
    with pytest.raises(ArtifactError, match=r"--detector-model names .*missing\.onnx, which is not there") as refusal:
        faces.make_detector(name, paths=paths, model_file=missing)
    assert "--detector haar" in refusal.value.hint


@pytest.mark.parametrize("name", ["auto", "yunet"])
def test_a_file_that_the_environment_names_must_be_there(paths, name, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_YUNET", str(tmp_path))
    with pytest.raises(ArtifactError, match=r"\$FER_YUNET names .*, which is no file"):
        faces.make_detector(name, paths=paths)


def test_the_file_that_is_given_wins_over_the_environment(paths, yunet_file, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_YUNET", str(tmp_path / "missing.onnx"))
    assert faces.make_detector("auto", paths=paths, model_file=yunet_file).name == "yunet"


def test_an_empty_variable_names_nothing(paths, monkeypatch):
    monkeypatch.setenv("FER_YUNET", "")
    assert faces.make_detector("auto", paths=paths).name == "haar"


def test_haar_has_no_use_for_a_file(paths, tmp_path):
    assert faces.make_detector("haar", paths=paths, model_file=tmp_path / "missing.onnx").name == "haar"


def test_yunet_without_a_file_says_how_to_get_one(paths):
    with pytest.raises(ArtifactError, match="no file of the detector yunet") as refusal:
        make_yunet(DetectorOptions(paths, may_download=False))
    assert "--detector yunet, which downloads it once" in refusal.value.hint


def test_a_file_of_any_name_is_taken_for_what_it_holds(paths, yunet_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(yunet_file, tmp_path / "größtes Gesicht")
    assert faces.make_detector("auto", paths=paths, model_file=tmp_path / "größtes Gesicht").name == "yunet"


def into_cache(paths, content: bytes) -> None:
    folder = paths.cache / "detectors"
    folder.mkdir(parents=True)
    (folder / YUNET.name).write_bytes(content)


def test_yunet_is_not_downloaded_where_that_is_not_wanted(paths):
    with pytest.raises(ArtifactError, match="no file of the detector yunet") as caught:
        faces.make_detector("yunet", paths=paths, may_download=False)
    assert "--detector yunet" in caught.value.hint

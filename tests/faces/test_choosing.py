"""Which detector 'auto' is, and where yunet's file comes from."""

import shutil

import pytest

from fer_core import faces
from fer_core.errors import ArtifactError
from fer_core.faces.yunet import YUNET


def test_auto_is_haar_where_there_is_no_file_and_downloads_nothing(paths, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_YUNET", "")
    assert faces.make_detector("auto", paths=paths).name == "haar"
    assert not paths.cache.exists()
    assert faces.make_detector("haar", paths=paths, model_file=tmp_path / "missing.onnx").name == "haar"
    with pytest.raises(ArtifactError, match="no file of the detector yunet") as refusal:
        faces.make_detector("yunet", paths=paths, may_download=False)
    assert "--detector yunet, which downloads it once" in refusal.value.hint


@pytest.mark.parametrize("where", ["given", "environment", "both", "cache"])
def test_auto_is_yunet_where_its_file_is_given_named_or_in_the_cache(paths, yunet_file, monkeypatch, tmp_path, where):
    if where in ("environment", "both"):
        monkeypatch.setenv("FER_YUNET", str(yunet_file if where == "environment" else tmp_path / "missing.onnx"))
    if where == "cache":
        into_cache(paths, yunet_file.read_bytes())
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        assert faces.make_detector("yunet", paths=paths).name == "yunet"
    given = yunet_file if where in ("given", "both") else None
    assert faces.make_detector("auto", paths=paths, model_file=given).name == "yunet"


def test_auto_takes_no_damaged_file_from_the_cache(paths, yunet_file):
    into_cache(paths, yunet_file.read_bytes()[:-100])
    assert faces.make_detector("auto", paths=paths).name == "haar"


@pytest.mark.parametrize("name", ["auto", "yunet"])
def test_a_file_that_is_named_must_be_there(paths, name, tmp_path, monkeypatch):
    missing = tmp_path / "missing.onnx"
    with pytest.raises(ArtifactError, match=r"--detector-model names .*missing\.onnx, which is not there") as refusal:
        faces.make_detector(name, paths=paths, model_file=missing)
    assert "--detector haar" in refusal.value.hint
    monkeypatch.setenv("FER_YUNET", str(tmp_path))
    with pytest.raises(ArtifactError, match=r"\$FER_YUNET names .*, which is no file"):
        faces.make_detector(name, paths=paths)


def test_a_file_of_any_name_is_taken_for_what_it_holds(paths, yunet_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(yunet_file, tmp_path / "größtes Gesicht")
    assert faces.make_detector("auto", paths=paths, model_file=tmp_path / "größtes Gesicht").name == "yunet"


def into_cache(paths, content: bytes) -> None:
    folder = paths.cache / "detectors"
    folder.mkdir(parents=True)
    (folder / YUNET.name).write_bytes(content)

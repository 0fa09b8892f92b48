"""Which detector 'auto' is, where yunet's file comes from; and a file that is something else is refused in words."""

import os
import shutil
import time

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


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 229738\n"


@pytest.fixture
def given(paths, tmp_path):
    """Returns given(content): make_detector with a file of this content."""

    def make(content: bytes, name: str = "given.onnx") -> faces.Detector:
        (tmp_path / name).write_bytes(content)
        return faces.make_detector("yunet", paths=paths, model_file=tmp_path / name)

    return make


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 5000, b"no model\n" * 100, LFS_POINTER, bytes(range(256)) * 20],
    ids=["empty", "zeros", "text", "pointer of git-lfs", "bytes"],
)
def test_a_file_that_is_no_model_is_refused(given, content, capfd):
    with pytest.raises(ArtifactError, match=r"given\.onnx is not a YuNet face detector") as refusal:
        given(content)
    assert "--detector yunet downloads it" in refusal.value.hint
    assert capfd.readouterr() == ("", "")


def test_a_model_that_is_cut_off_or_would_crash_opencv_is_refused(given, yunet_file):
    content, kind = yunet_file.read_bytes(), b'"\x04Relu'
    assert kind in content
    # One byte, in a layer's kind: OpenCV 4.14 ends with a segmentation fault on it.
    for damaged in (content[:150_000], content.replace(kind, b'"\x04\x8celu', 1)):
        with pytest.raises(ArtifactError, match="is not a YuNet face detector"):
            given(damaged)


def test_a_module_in_the_working_directory_is_not_loaded_instead_of_opencv(given, tmp_path, monkeypatch):
    (tmp_path / "cv2.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError):
        given(b"no model")
    assert not (tmp_path / "ran").exists()


def test_a_model_that_is_too_large_is_not_read(paths, tmp_path):
    huge = tmp_path / "huge.onnx"
    huge.touch()
    os.truncate(huge, 50_000_000_000)
    began = time.perf_counter()
    with pytest.raises(ArtifactError, match="is not a YuNet face detector"):
        faces.make_detector("yunet", paths=paths, model_file=huge)
    assert time.perf_counter() - began < 1


def test_another_build_of_the_model_is_taken(given, yunet_file, picture):
    # Bytes of a field that protobuf does not know, as another exporter may write: another checksum, the same network.
    detector = given(yunet_file.read_bytes() + b"\xfa\x3f\x04test", name="mine.onnx")
    assert len(detector.find(picture("photo_happy.jpg"))) == 1

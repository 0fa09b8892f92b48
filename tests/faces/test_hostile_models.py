"""A file given as YuNet's that is something else: refused in words; the process goes on."""

import os
import time

import pytest

from fer_core import faces
from fer_core.errors import ArtifactError

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

"""What the detector refuses: exit code 2 and two lines, before anything is written or run."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import PROJECT


@pytest.fixture
def picture(paths):
    path = paths.models.parent / "face.png"
    paths.models.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((64, 64), 120, np.uint8))[1].tobytes())
    return path


def written(path, content: bytes):
    path.write_bytes(content)
    return path


def test_a_source_that_is_not_there_and_a_near_name(detector, tmp_path, picture):
    answer = detector("--source", picture.with_name("fase.png"), "--no-display")
    assert answer.code == 2
    assert answer.hint == "Did you mean 'face.png'?"


@pytest.mark.parametrize("flag", ["--output", "--log"])
def test_an_output_that_cannot_be_written_is_said_before_the_first_frame(detector, tmp_path, test_data, flag):
    suffix = ".mp4" if flag == "--output" else ".csv"
    target = tmp_path / "missing" / f"file{suffix}"
    clip = test_data / "faces" / "single_face.mp4"
    answer = detector("--source", clip, flag, target, "--no-display")
    assert answer.code == 2
    assert str(target) in answer.problem
    assert "Summary" not in answer.out


def test_a_folder_that_cannot_be_made_is_said_before_the_first_frame(detector, tmp_path, test_data):
    folder = written(tmp_path / "file", b"") / "kept"
    clip = test_data / "faces" / "single_face.mp4"
    answer = detector("--source", clip, "--folder", folder, "--no-display")
    assert answer.code == 2
    assert str(folder) in answer.problem
    assert "Reading" not in answer.out


def test_a_refused_output_leaves_an_old_log_as_it_was(detector, tmp_path, test_data):
    log = written(tmp_path / "old.csv", b"precious")
    flags = ("--log", log, "--overwrite", "--output", tmp_path / "missing" / "a.mp4", "--no-display")
    answer = detector("--source", test_data / "faces" / "single_face.mp4", *flags)
    assert answer.code == 2
    assert log.read_bytes() == b"precious"


def test_settings_that_a_source_has_no_use_for_are_refused(detector, picture, test_data):
    answer = detector("--source", picture, "--capture", "2", "--no-display")
    assert (answer.code, answer.problem[:25]) == (2, "Error: --capture and --cl")
    clip = test_data / "faces" / "single_face.mp4"
    answer = detector("--source", clip, "--faces", "given", "--no-display")
    assert answer.code == 2
    assert "--faces given" in answer.problem


def test_an_output_that_is_there_already_is_kept(detector, tmp_path, picture):
    target = written(tmp_path / "kept.csv", b"a,b\n")
    answer = detector("--source", picture, "--log", target, "--no-display")
    assert answer.code == 2
    assert target.read_bytes() == b"a,b\n"
    again = detector("--source", picture, "--log", target, "--overwrite", "--no-display")
    assert again.code == 0
    assert len(target.read_text().splitlines()) == 2


def test_the_source_itself_is_never_written_over(detector, picture):
    before = picture.read_bytes()
    answer = detector("--source", picture, "--output", picture, "--overwrite", "--no-display")
    assert (answer.code, answer.problem) == (2, f"Error: --output {picture} is the source itself.")
    assert picture.read_bytes() == before


PRINTING = """
import sys
from fer_core.cli import ended
from fer_core.cli.live_lines import print_line
sys.exit(ended(lambda: print_line("{}")))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_json_lines_that_find_no_room_are_two_lines():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", PRINTING]
        child = subprocess.run(command, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert child.returncode == 2
    problem, hint = child.stderr.splitlines()
    assert problem == "Error: The output cannot be written: No space left on device."
    assert hint == "Make room on the disk it goes to, or send it elsewhere."


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--detector", "hare"), "hare"),
        (("--detector-model", "missing.onnx", "--detector", "yunet"), "missing.onnx"),
        (("--model", "20200101-000000-none-0000"), "20200101-000000-none-0000"),
    ],
)
def test_wrong_settings(detector, picture, flags, word):
    answer = detector("--source", picture, *flags, "--no-display")
    assert answer.code == 2
    assert word in answer.problem


@pytest.mark.parametrize(("name", "suffix"), [("lambda_in_a_wrapper", ".keras"), ("custom_class", ".h5")])
def test_a_model_that_holds_code_is_refused_before_keras_reads_it(detector, picture, model_zoo, tmp_path, name, suffix):
    model = written(tmp_path / f"other{suffix}", (model_zoo / f"{name}{suffix}").read_bytes())
    model.with_name("other_labels.json").write_text(json.dumps(["angry", "happy", "sad"]))
    for flags in (("--source", picture, "--no-display"), ("--explain", picture, "--faces", "given")):
        answer = detector(*flags, "--model", model)
        assert answer.code == 2
        assert "is refused" in answer.problem
        assert ("Own" if name == "custom_class" else "Lambda") in answer.problem
    assert list((model_zoo / "ran").iterdir()) == []

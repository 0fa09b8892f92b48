"""`--faces` of the command line: what is said, what the run records, and what cannot be done."""

import json

import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import record_data, settings_of_a_run
from tests.photographs import photograph, save_photographs, written


@pytest.fixture
def photographs(tmp_path):
    folder = save_photographs(tmp_path / "photographs", 5)
    return written(folder, {"sad/none.png": photograph(0), "sad/two.png": photograph(1, (10, 60), (220, 60))})


@pytest.fixture
def yunet_named(door, test_data, monkeypatch):
    monkeypatch.setenv("FER_YUNET", str(test_data / "face_detection_yunet_2026may.onnx"))


def test_the_audit_says_how_faces_were_found_and_lists_those_that_are_missing(door, photographs, paths, yunet_named):
    answer = door("--data", photographs, "--audit-only")
    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert "Faces: yunet finds faces in" in said
    assert "No face is found in 1 of 17, left out: sad/none.png" in said
    (folder,) = (paths.models / "audits").iterdir()
    report = json.loads((folder / "audit.json").read_text())["report"]
    assert (report["without_face"], report["detector"], report["is_aligned"]) == (["sad/none.png"], "yunet", True)
    page = (folder / "audit.html").read_text()
    assert "Pictures without a face: 1" in page and "sad/none.png" in page
    assert "Pictures with several faces: 1" in page


def test_without_yunet_haar_looks_and_it_is_said_where_more_are_found(door, photographs):
    said = " ".join(door("--data", photographs, "--audit-only").out.split())
    assert "Faces: haar finds faces in" in said and "--face-detector yunet downloads it." in said


def test_faces_that_are_given_are_not_looked_for(door, photographs):
    answer = door("--data", photographs, "--faces", "given", "--audit-only")
    assert answer.code == 0 and "Faces:" not in answer.out and "face is found" not in answer.out


def test_a_detector_that_there_is_not_is_refused_in_two_lines(door, photographs):
    answer = door("--data", photographs, "--faces", "detect", "--face-detector", "yunett", "--audit-only")
    assert answer.code == 2
    assert "There is no face detector 'yunett'." in answer.err and "yunet" in answer.err.splitlines()[1]


@pytest.mark.parametrize("align", [True, False])
def test_a_run_records_its_detector_and_whether_faces_were_aligned(photographs, paths, yunet_named, align):
    config = TrainConfig(data=str(photographs), network="smoke", align_faces=align)
    dataset = load_dataset(config, paths, side=48)
    settings = settings_of_a_run(config, dataset, paths)
    assert settings.face_detector == "yunet"
    run = create_run(paths, settings, recipe="smoke", history_header=HISTORY_HEADER)
    assert record_data(run, dataset).aligned is align
    assert load_dataset(run.manifest.config, paths, side=48).fingerprint == dataset.fingerprint

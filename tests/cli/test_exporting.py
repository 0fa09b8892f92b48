"""`--export`: every form answers as Keras does, says what it is, and is read with."""

import json
import re
import runpy
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.data.sample import draw_face
from fer_core.evaluation.exporting import FILES
from fer_core.live.classifier import make_classifier
from fer_core.store.files import file_sha256
from fer_core.store.model_files import export_folder, find_model
from fer_core.store.runtimes import LiteRTModel, ONNXModel
from tests.conftest import PROJECT
from tests.script import run_here

for needed in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(needed)
FACES = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(trained_run, session_paths):
    """The shared run in all four forms: what was printed, and where they are."""
    answer = run_here("--export", trained_run.id, paths=session_paths)
    assert answer.code == 0, answer.err
    return answer, export_folder(find_model(trained_run.id, session_paths), session_paths)


def test_each_form_is_compared_with_keras_on_the_test_images(exported, trained_run):
    answer, folder = exported
    assert "Compared with Keras on 84 images of test" in answer.out
    report = json.loads((folder / "export.json").read_text())
    assert (report["images"], report["keras_accuracy"]) == (84, trained_run.manifest.scores["accuracy"])
    for file in report["files"]:
        assert re.search(rf"^ *{file['format']} +{file['path']} ", answer.out, re.MULTILINE)
        assert (folder / file["path"]).exists()
        at_most = 0.2 if file["format"] == "int8" else 1e-5
        assert 0 <= file["largest_difference"] < at_most, file
        assert abs(file["accuracy"] - report["keras_accuracy"]) < (0.05 if file["format"] == "int8" else 1e-9)
    assert [file["format"] for file in report["files"]] == list(FILES)
    assert str(folder) in answer.out


def test_each_form_carries_what_must_be_known_to_use_it(exported, trained_run):
    _, folder = exported
    session = ONNXModel(folder / "model.onnx")
    descriptions = [{n: json.loads(v) for n, v in session._session.get_modelmeta().custom_metadata_map.items()}]
    for name in ("model.tflite", "model_int8.tflite"):
        with zipfile.ZipFile(folder / name) as archive:
            descriptions.append(json.loads(archive.read("fer.json")))
            assert archive.read("labels.txt").decode().split() == list(trained_run.manifest.labels)
    descriptions.append(json.loads((folder / "saved_model" / "fer.json").read_text()))
    for found in descriptions:
        assert tuple(found["labels"]) == trained_run.manifest.labels
        assert found["input"] == {"shape": [48, 48, 1], "pixels": "0..255", "channels": "gray"}
        assert found["temperature"] == trained_run.manifest.temperature
        assert found["framing"]["yunet"].keys() == {"scale", "right", "down"}
        assert found["sha256"] == file_sha256(trained_run.model_h5)
        assert found["manifest"]["run_id"] == trained_run.id


def test_onnx_reads_as_litert_does_by_run_and_by_file(exported, trained_run, session_paths, tmp_path):
    _, folder = exported
    model = find_model(trained_run.id, session_paths)
    expected = make_classifier(model, session_paths).classify(FACES)
    moved = tmp_path / "elsewhere.onnx"
    moved.write_bytes((folder / "model.onnx").read_bytes())
    for classifier in (
        make_classifier(model, session_paths, runtime="onnx"),
        make_classifier(find_model(str(moved), session_paths), session_paths),
    ):
        assert (classifier.labels, classifier.framing) == (model.labels, model.framing)
        np.testing.assert_allclose(classifier.classify(FACES), expected, atol=1e-5)
    with zipfile.ZipFile(folder / "model.tflite"):  # a zip behind it is nothing that LiteRT minds
        answers = LiteRTModel(folder / "model.tflite").probabilities(FACES)
    np.testing.assert_allclose(answers, ONNXModel(moved).probabilities(FACES), atol=1e-5)


def test_the_detector_reads_a_picture_with_an_onnx_and_refuses_what_it_cannot_do(exported, tmp_path, detector):
    model = exported[1] / "model.onnx"
    cv2.imwrite(str(tmp_path / "face.png"), draw_face("happy", np.random.default_rng(3)))
    flags = ("--source", tmp_path / "face.png", "--faces", "given", "--no-display")
    answer = detector("--model", model, "--explain", tmp_path / "face.png", "--faces", "given")
    assert (answer.code, answer.problem) == (2, f"Error: {model} is read with ONNX Runtime alone.")
    answer = detector(*flags, "--model", model)
    assert answer.code == 0, answer.err
    assert re.match(r"face\.png: .*happy", answer.out)
    answer = detector(*flags, "--model", "best", "--runtime", "onnx")
    assert answer.hint == "`python train_emotion_model.py --export best --format onnx` makes it."


EXAMPLES = re.findall(r"^```python\n(.*?)^```", (PROJECT / "docs/export.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=["onnx", "litert"])
def test_the_python_examples_of_the_document_say_what_the_classifier_says(
    exported, trained_run, session_paths, tmp_path, monkeypatch, capsys, example
):
    face = draw_face("sad", np.random.default_rng(5))
    cv2.imwrite(str(tmp_path / "face.png"), face)
    for path in exported[1].iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    Path("example.py").write_text(example, encoding="utf-8")
    runpy.run_path("example.py")
    model = make_classifier(find_model(trained_run.id, session_paths), session_paths)
    probabilities = model.classify(cv2.imread("face.png", cv2.IMREAD_GRAYSCALE)[np.newaxis, ..., np.newaxis])[0]
    best = int(probabilities.argmax())
    assert capsys.readouterr().out.strip() == f"{model.labels[best]} {probabilities[best]:.0%}"
    assert len(example.strip().splitlines()) <= 12

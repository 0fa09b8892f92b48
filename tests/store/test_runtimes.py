"""The small runtime: one picture at a time, quiet, clear about what it cannot read; what a picture costs."""

import os
import sys

import h5py
import numpy as np
import pytest

from fer_core.errors import ArtifactError, native_messages_hidden
from fer_core.store.architecture import in_range
from fer_core.store.artifacts import parameters
from fer_core.store.run import Run
from fer_core.store.runtimes import LiteRTModel, latency_ms
from tests.shipped import TINY

SHIPPED = TINY / "model.tflite"
FACES = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return LiteRTModel(SHIPPED)


def test_a_face_gets_the_same_probabilities_in_whatever_company_type_and_threads(model):
    assert (model.input_shape, model.outputs) == ((48, 48, 1), 7)
    together = model.probabilities(FACES)
    assert (together.shape, together.dtype, together.min() >= 0) == ((5, 7), np.float32, True)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)
    alone = [model.probabilities(face[np.newaxis])[0] for face in FACES]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, model.probabilities(FACES.astype(np.float32)))
    np.testing.assert_allclose(together, LiteRTModel(SHIPPED, threads=2).probabilities(FACES), atol=1e-6)
    assert np.abs(together - together[0]).max() > 0.01
    assert model.probabilities(FACES[:0]).shape == (0, 7)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (FACES[0], r"\(48, 48, 1\) as uint8"),
        (FACES[:, :32], r"\(5, 32, 48, 1\) as uint8"),
        (np.zeros((1, 48, 48, 3), np.uint8), r"\(1, 48, 48, 3\) as uint8"),
        (FACES.astype(np.float64), r"\(5, 48, 48, 1\) as float64"),
    ],
    ids=["one", "low", "colour", "double"],
)
def test_pictures_of_another_shape_or_type_are_named(model, images, found):
    with pytest.raises(ArtifactError, match=rf"takes pictures of \(48, 48, 1\).*got {found}"):
        model.probabilities(images)


@pytest.mark.parametrize("content", [b"", b"no model", SHIPPED.read_bytes()[:100_000], None], ids=range(4))
def test_a_file_that_is_no_tflite_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "torn.tflite").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"torn\.tflite cannot be read as a LiteRT model: ") as caught:
        LiteRTModel(tmp_path / "torn.tflite")
    assert caught.value.hint == "`--runtime keras` does without it."


def test_opening_it_is_quiet_and_imports_no_tensorflow(python):
    code = """
import sys
from pathlib import Path
from fer_core.store.runtimes import LiteRTModel
LiteRTModel(Path(sys.argv[1]))
print("after", file=sys.stderr)
print(sorted({"tensorflow", "keras", "h5py"} & set(sys.modules)))
"""
    answer = python(code, SHIPPED)
    assert (answer.stdout, answer.stderr) == ("[]\n", "after\n")


def test_where_litert_is_not_installed_keras_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ArtifactError, match="LiteRT is not installed here") as caught:
        LiteRTModel(SHIPPED)
    assert caught.value.hint == "`--runtime keras` does without it."


@pytest.mark.parametrize(
    ("pixels", "expected"), [("0..255", [0, 51, 255]), ("0..1", [0, 0.2, 1]), ("-1..1", [-1, -0.6, 1])]
)
def test_grey_values_are_brought_into_the_range_of_a_model(pixels, expected):
    found = in_range(np.array([0, 51, 255], np.uint8), pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_threads_that_hide_messages_leave_stderr_where_it_was(at_once):
    def hide():
        for _ in range(200):
            with native_messages_hidden():
                pass

    before = os.fstat(2)
    at_once(hide, times=4)
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_every_weight_counts_once_and_a_face_is_timed_where_there_is_an_export_that_can_be_read(tmp_path):
    run = Run(tmp_path, tmp_path)
    with h5py.File(run.model_h5, "w") as file:
        file["model_weights/dense/dense/kernel"] = np.zeros((3, 4), np.float32)
        file["model_weights/dense/dense/bias"] = np.zeros(4, np.float32)
        file["optimizer_weights/momentum"] = np.zeros((3, 4), np.float32)
    assert parameters(run) == 16
    run.model_h5.write_bytes(b"torn")
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read"):
        parameters(run)
    assert 0.01 < latency_ms(SHIPPED, calls=5) < 1000
    assert latency_ms(run.model_tflite) is None
    run.model_tflite.write_bytes(b"torn")
    assert latency_ms(run.model_tflite) is None

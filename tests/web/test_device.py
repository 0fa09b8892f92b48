"""What a browser gets to read by itself: the model in use, its weights, and the runtime."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from fer_core.errors import ConfigError
from fer_core.paths import SHIPPED_BEST
from fer_core.web import assets
from fer_core.web.settings import WebSettings
from fer_core.web.site import export
from tests.conftest import PROJECT
from tests.script import clean_environment


def test_the_description_names_the_weights_that_are_handed_out(site):
    known = site.get("/device/model.json").json()
    assert (known["side"], known["channels"], known["outputs"]) == (48, 1, "probabilities")
    assert known["threshold"] >= 0.4
    assert known["framing"]["scale"] > 1
    weights = site.get(f"/device/{known['weights']}")
    assert weights.content == (SHIPPED_BEST / "model_int8.tflite").read_bytes()
    assert "immutable" in weights.headers["Cache-Control"]
    assert site.get("/device/model-0000000000000000.tflite").status_code == 404


def test_a_site_is_not_written_over_something_else(paths, tmp_path, monkeypatch):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "litert").mkdir()
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "litert")
    with pytest.raises(Exception, match="has not been fetched") as missing:
        export(tmp_path / "site", WebSettings(), paths)
    assert "make web-assets" in missing.value.hint
    (tmp_path / "litert" / assets.VERSION).touch()
    with pytest.raises(ConfigError, match="holds something else"):
        export(tmp_path, WebSettings(), paths)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_without_a_registry_it_is_said_what_is_missing(paths, tmp_path):
    environment = clean_environment(paths, {"PATH": str(tmp_path), "NPM_CONFIG_REGISTRY": ""})
    command = [sys.executable, "-m", "fer_core.web.assets"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    problem, hint = done.stderr.splitlines()
    assert done.returncode == 2
    assert "No npm registry is known here" in problem
    assert "NPM_CONFIG_REGISTRY" in hint


def test_the_browsers_detector_is_the_yunet_that_is_published(test_data):
    model = Interpreter(str(assets.FOLDER.parent / "device" / "yunet.tflite"))
    picture = np.random.default_rng(0).integers(0, 256, (256, 320, 3)).astype(np.float32)
    rows = model.get_signature_runner("320x256")(picture=picture[np.newaxis])["rows"][0]
    network = cv2.dnn.readNetFromONNX(str(test_data / "face_detection_yunet_2026may.onnx"))
    network.setInput(cv2.dnn.blobFromImage(picture))
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    answers = [answer[0] for answer in network.forward(names)]
    expected = [np.concatenate(answers[first : first + 3]) for first in range(0, 12, 3)]
    np.testing.assert_allclose(rows, np.concatenate(expected, axis=1)[:, :10], atol=1e-4)


def test_the_image_has_the_version_whose_checksums_are_known():
    named = re.findall(r"@litertjs/[\w-]+@([\d.]+)", (PROJECT / "Dockerfile").read_text())
    assert set(named) == {assets.VERSION}

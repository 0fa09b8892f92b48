"""What a model costs."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.store.run import Run
from fer_core.tuning.measuring import latency_ms, parameters

SHIPPED = Path(__file__).parents[2] / "models" / "shipped" / "best"


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, tmp_path)


def test_every_weight_counts_once_and_a_model_that_cannot_be_read_is_named(run):
    with h5py.File(run.model_h5, "w") as file:
        file["model_weights/dense/dense/kernel"] = np.zeros((3, 4), np.float32)
        file["model_weights/dense/dense/bias"] = np.zeros(4, np.float32)
        file["optimizer_weights/momentum"] = np.zeros((3, 4), np.float32)
    assert parameters(run) == 16
    run.model_h5.write_bytes(b"torn")
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read"):
        parameters(run)


def test_the_latency_of_a_face_is_measured_where_there_is_an_export_that_can_be_read(run):
    assert 0.01 < latency_ms(SHIPPED / "model.tflite", calls=5) < 1000
    assert latency_ms(run.model_tflite) is None
    run.model_tflite.write_bytes(b"torn")
    assert latency_ms(run.model_tflite) is None

"""Keras is there in half the time, and nothing that was hidden from it stays hidden."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

LOADED = """
import sys
import {before}
from fer_core.store.keras_loading import load_keras
load_keras()
load_keras()
print(*sorted({{"jax", "matplotlib", "pandas", "scipy", "sklearn"}} & sys.modules.keys()))
import keras, matplotlib, pandas, scipy.stats, sklearn.gaussian_process
print(keras.backend.backend(), keras.ops.shape(keras.layers.Dense(3)(keras.ops.ones((2, 4)))))
"""


@pytest.mark.parametrize(
    ("backend", "before", "along"),
    [("tensorflow", "json", ""), ("tensorflow", "pandas", "pandas"), ("jax", "json", "jax matplotlib scipy")],
)
def test_what_nobody_needs_is_not_loaded_along_and_can_be_loaded_later(backend, before, along):
    command = [sys.executable, "-c", LOADED.format(before=before)]
    environment = os.environ | {"KERAS_BACKEND": backend}
    answer = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=100)
    assert answer.stdout.splitlines() == [along, f"{backend} (2, 3)"], answer.stderr

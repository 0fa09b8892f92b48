"""What the machine offers, what is said of what it does not, and two devices, which need a process of their own."""

import os
import sys

import keras
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.resources import available_cores
from fer_core.store.runs import list_runs
from fer_core.training import machine
from fer_core.training.history import read_history
from fer_core.training.machine import choose_backend, choose_precision, cpu_flags, prepare
from tests.script import run_script


def test_the_flags_of_the_cpu_are_read_where_the_system_names_them(tmp_path):
    (tmp_path / "x86").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbugs\t\t: none\n\nprocessor\t: 1\n")
    assert cpu_flags(tmp_path / "x86") == {"fpu", "avx2", "avx512_bf16"}
    (tmp_path / "arm").write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert cpu_flags(tmp_path / "arm") == cpu_flags(tmp_path / "missing") == set()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"avx512_bf16"}, ("bfloat16", "the CPU has avx512_bf16")),
        ({"amx_bf16", "amx_tile"}, ("bfloat16", "the CPU has amx_bf16")),
        ({"avx2", "avx512f"}, ("float32", "the CPU has no bfloat16 instructions")),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_has_it_and_says_why(flags, expected, monkeypatch):
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    assert choose_precision("auto", None) == expected


def test_auto_asks_the_gpu_where_there_is_one_and_what_is_asked_for_is_taken():
    assert choose_precision("auto", True) == ("bfloat16", "the GPU has it")
    assert choose_precision("auto", False) == ("float32", "the GPU has no bfloat16")
    for wanted in ("float32", "bfloat16"):
        assert choose_precision(wanted, None) == (wanted, "as asked for")


def test_gpus_that_are_not_there_are_refused(trained_run):
    manifest = trained_run.manifest
    with pytest.raises(ConfigError, match="devices is 'gpu:7', and this machine shows") as caught:
        prepare(TrainConfig(devices="gpu:7"), recorded=manifest.completed({"threads": None}))
    assert "--devices auto" in caught.value.hint


@pytest.mark.parametrize(("name", "problem"), [("torch", "is not supported"), ("jax", "is not installed")])
def test_a_backend_that_cannot_be_had_is_named_before_keras_is_loaded(name, problem, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr(machine, "find_spec", lambda wanted: wanted == "tensorflow")
    with pytest.raises(ConfigError, match=f"The Keras backend '{name}' {problem}"):
        choose_backend("tensorflow")


def test_a_run_goes_on_with_the_backend_the_threads_and_the_precision_it_was_begun_with(trained_run):
    manifest = trained_run.manifest
    assert manifest.threads == available_cores()
    found = prepare(TrainConfig(threads=3), recorded=manifest.completed({"precision": "float32"}))
    assert (found.precision, found.threads) == ("float32", manifest.threads)
    with pytest.raises(ConfigError, match="begun on jax; this is tensorflow") as caught:
        prepare(TrainConfig(), recorded=manifest.completed({"backend": "jax"}))
    assert caught.value.hint == "Set KERAS_BACKEND=jax and resume again."
    keras.ops.zeros(1)  # TensorFlow keeps the threads of its first operation
    with pytest.raises(ConfigError, match="begun with 99 threads; this process already computes with"):
        prepare(TrainConfig(), recorded=manifest.completed({"threads": 99}))


TRAIN, VALIDATION = 96, 14
"""Of 140 images 28 are test and 14 validation; 98 train, in three whole batches of 32."""

TELLING_COUNTS = """
import sys
from pathlib import Path
from fer_core.recipes import recipe_config
from fer_core.training import callbacks
from fer_core.training.train import train
from tests.conftest import paths_in
from tests.training.parts import begin_run
summary = callbacks.summary

def told(counts):
    print("images counted:", counts.sum())
    return summary(counts)

callbacks.summary = told
paths = paths_in(Path.cwd())
own = {"data": "sample", "sample_per_class": 20, "precision": "float32", "mixup": 0.3, "ema": 0.9, "devices": "cpu:2"}
run, dataset = begin_run(paths, paths, recipe_config("smoke"), kind="trial", epochs=2, **own)
train(run, dataset, paths=paths)
"""


def test_two_devices_train_and_each_image_counts_once(paths):
    environment = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = run_script(paths=paths, environment=environment, script=("-c", TELLING_COUNTS))
    assert answer.code == 0, answer.err
    (run,) = list_runs(paths)
    assert (run.state.status, run.manifest.devices) == ("SUCCEEDED", "CPU:0, CPU:1")
    counted = [int(line.split(":")[1]) for line in answer.out.splitlines() if line.startswith("images counted:")]
    assert counted == [TRAIN, VALIDATION] * 2
    assert all(np.isfinite(row["loss"]) for row in read_history(run.history_csv).rows)

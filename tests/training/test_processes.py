"""Two devices, which need a process of their own, and a loss that is no number."""

import os
import re
import sys

import numpy as np
import pytest

from fer_core.errors import NonFiniteLossError
from fer_core.store.runs import list_runs
from fer_core.training.history import read_history
from fer_core.training.progress import read_progress
from fer_core.training.train import train
from tests.script import run_script

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


# Decay takes up to ten times a weight from it each step: weights grow ninefold a step towards the warm-up's end.
GROWING = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0, "warmup_epochs": 8.0, "schedule": "constant"}


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_good_checkpoint(begun, paths):
    run, dataset = begun(**GROWING, precision="float32", sample_per_class=55, batch_size=8, epochs=9)
    where = (
        r"(the loss is nan in epoch (\d), batch \d+ of 35|a weight is no number at the end of epoch (\d))\. The check"
    )
    with pytest.raises(NonFiniteLossError, match=f"^The training went wrong: {where}") as caught:
        train(run, dataset, paths=paths)
    found = re.search(where, str(caught.value))
    epoch = int(found[2] or found[3])
    assert epoch > 1
    assert "smaller --learning-rate" in caught.value.hint
    assert (run.state.status, run.state.epoch, run.state.message in str(caught.value)) == ("FAILED", epoch - 1, True)
    assert read_progress(run.checkpoint).epoch == epoch - 1
    assert not run.model_h5.exists()

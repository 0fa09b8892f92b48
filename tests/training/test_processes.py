"""What needs a process of its own: two devices, and a loss that is no number."""

import os
import re
import sys

import numpy as np

from fer_core.store.runs import list_runs
from fer_core.training.checkpoint import read_progress
from fer_core.training.history import read_history
from tests.script import run_script

SMALL = ("--data=sample", "--sample-per-class=20", "--recipe=smoke", "--epochs=2", "--precision=float32", "--threads=1")
TRAIN, VALIDATION = 96, 14
"""Of 140 images 28 are test and 14 validation; 98 train, in three whole batches of 32."""

TELLING_COUNTS = """
import sys
from fer_core.training import callbacks
summary = callbacks.summary

def told(counts):
    print("images counted:", counts.sum())
    return summary(counts)

callbacks.summary = told
from fer_core.cli.train import main
main(sys.argv[1:])
"""


def test_two_devices_train_and_each_image_counts_once(paths):
    environment = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = ("-c", TELLING_COUNTS)
    mixed = ("--mixup=0.3", "--ema=0.9")
    answer = run_script(*SMALL, *mixed, "--devices=cpu:2", paths=paths, environment=environment, script=script)
    assert answer.code == 0, answer.err
    (run,) = list_runs(paths)
    assert (run.state.status, run.manifest.devices) == ("SUCCEEDED", "CPU:0, CPU:1")
    counted = [int(line.split(":")[1]) for line in answer.out.splitlines() if line.startswith("images counted:")]
    assert counted == [TRAIN, VALIDATION] * 2
    assert all(np.isfinite(row["loss"]) for row in read_history(run.history_csv).rows)


def test_a_loss_that_is_no_number_ends_with_3_and_keeps_the_last_good_checkpoint(paths):
    # Decay takes up to ten times a weight from it each step: weights grow ninefold a step towards the warm-up's end.
    growing = ("--optimizer=sgd", "--learning-rate=10", "--weight-decay=1", "--warmup-epochs=8", "--schedule=constant")
    sizes = ("--sample-per-class=55", "--batch-size=8", "--epochs=9")
    answer = run_script(*SMALL, *sizes, *growing, paths=paths)
    (run,) = list_runs(paths)
    problem, hint = answer.err.splitlines()[:2]
    assert answer.code == 3
    where = (
        r"(the loss is nan in epoch (\d), batch \d+ of 35|a weight is no number at the end of epoch (\d))\. The check"
    )
    found = re.match(f"Error: The training went wrong: {where}", problem)
    epoch = int(found[2] or found[3])
    assert epoch > 1
    assert "smaller --learning-rate" in hint
    assert (run.state.status, run.state.epoch, run.state.message in problem) == ("FAILED", epoch - 1, True)
    assert read_progress(run.checkpoint).epoch == epoch - 1
    assert not run.model_h5.exists()

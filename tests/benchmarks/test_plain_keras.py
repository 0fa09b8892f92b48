"""The plain Keras script: the same networks as ours, and it runs."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.sample import SAMPLE_LABELS, draw_face

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "plain_keras.py"


@pytest.mark.parametrize("name", ["baseline", "attention", "deep_l2", "resnet"])
def test_the_plain_script_has_the_same_network_as_ours(name, benchmark_file):
    build, _ = benchmark_file("plain_keras").NETWORKS[name]
    plain = build(len(SAMPLE_LABELS))
    ours = networks.build(TrainConfig(network=name), SAMPLE_LABELS)
    assert [weight.shape for weight in plain.weights] == [weight.shape for weight in ours.weights]
    assert [type(layer) for layer in plain.layers] == [type(layer) for layer in ours.layers]


def test_the_plain_script_has_the_learning_rates_and_batches_of_our_recipes(benchmark_file):
    from fer_core.recipes import recipe_config

    batch_sizes = benchmark_file("bench").BATCH_SIZES
    for name, (_, learning_rate) in benchmark_file("plain_keras").NETWORKS.items():
        recipe = recipe_config(name)
        assert (recipe.learning_rate, recipe.batch_size) == (learning_rate, batch_sizes[name])


def test_the_plain_script_trains_on_a_folder_and_logs_each_epoch(tmp_path):
    _draw_folder(tmp_path / "faces")
    log = tmp_path / "log.jsonl"
    command = [sys.executable, SCRIPT, "--data", tmp_path / "faces", "--epochs", "3", "--stop-at", "0", "--log", log]
    subprocess.run(command, check=True, capture_output=True)
    (line,) = log.read_text(encoding="utf-8").splitlines()
    epoch = json.loads(line)
    assert epoch["epoch"] == 1
    assert epoch["images_per_second"] == pytest.approx(28 / epoch["seconds"], rel=0.01, abs=0.06)
    assert epoch["since_start"] > epoch["seconds"]
    assert 0 <= epoch["val_accuracy"] <= 1


def _draw_folder(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part, emotion in ((part, emotion) for part in ("train", "test") for emotion in SAMPLE_LABELS):
        place = folder / part / emotion
        place.mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(place / f"{number}.png"), draw_face(emotion, random))

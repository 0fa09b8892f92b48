"""The benchmarks' arithmetic and tables, the plain Keras script, and what networks cost."""

import json
import subprocess
import sys
from pathlib import Path

import ablation
import bench
import cv2
import harness
import keras
import measure
import numpy as np
import pytest

from fer_core import networks
from fer_core.cli.train import parse
from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.emotions import FER2013_LABELS
from fer_core.recipes import recipe_config


def test_our_epochs_get_their_time_since_the_start_of_the_process(tmp_path):
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "training_history_20260131_140212.csv").write_text(
        "epoch,val_accuracy,images_per_second,val_loss\n1,0.5,900.5,\n2,0.6,1000,1.5\n", encoding="utf-8"
    )
    run = tmp_path / "models" / "runs" / "a-run"
    run.mkdir(parents=True)
    entries = [
        {"kind": "epoch", "epoch": 1, "time": "1970-01-01T00:01:10.500Z"},
        {"kind": "progress", "epoch": 2, "time": "1970-01-01T00:01:15.000Z"},
        {"kind": "epoch", "epoch": 2, "time": "1970-01-01T00:01:20.000Z"},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    first, second = harness.read_our_epochs(tmp_path, began=60.0)
    assert first == {"epoch": 1, "val_accuracy": 0.5, "images_per_second": 900.5, "since_start": pytest.approx(10.5)}
    assert second["since_start"] == pytest.approx(20)


def test_the_first_epoch_does_not_count_for_the_speed():
    assert bench.typical([{"images_per_second": speed} for speed in (10, 300, 100, 200)]) == 200


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.5, 0.61, 0.7), (20, True, "61.0% in epoch 2")),
        ((0.5, 0.55, 0.54), (30, False, "55.0% at best in 3 epochs")),
    ],
)
def test_the_time_to_sixty_is_that_of_the_first_epoch_that_gets_there_or_of_all(accuracies, expected):
    epochs = [
        {"epoch": number, "val_accuracy": accuracy, "since_start": number * 10}
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    assert bench.time_to_sixty(epochs) == expected


def test_the_table_says_where_and_when():
    row = harness.row("baseline, auto: images/s", 2100.4, 1000.0, bar="≥ 2.0 ×", met=True)
    missed = harness.row("to 60 %", 90.0, 80.0, bar="≥ 3.0 ×", met=False) | {
        "ratio": None,
        "note": "ours 58.0% at best",
    }
    about = {"measured": "2026-01-31T14:02:12+00:00", "machine": "A CPU"}
    lines = bench.markdown({"sections": {"sixty": about | {"rows": [missed]}, "speed": about | {"rows": [row]}}})
    assert lines.splitlines()[2:] == [
        "| baseline, auto: images/s | 2,100 | 1,000 | 2.10 × | ≥ 2.0 × | yes |",
        "| to 60 % | 90 | 80 | not reached | ≥ 3.0 × | no |",
        "",
        "to 60 %: ours 58.0% at best.",
        "",
        "`make bench` on A CPU, 2026-01-31.",
    ]


def test_the_plain_script_trains_our_network_on_a_folder_and_logs_each_epoch(tmp_path):
    random = np.random.default_rng(0)
    for part, emotion in ((part, emotion) for part in ("train", "test") for emotion in SAMPLE_LABELS):
        place = tmp_path / "faces" / part / emotion
        place.mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(place / f"{number}.png"), draw_face(emotion, random))
    log, model = tmp_path / "log.jsonl", harness.saved_network("baseline", tmp_path)
    flags = ["--data", tmp_path / "faces", "--epochs", "3", "--stop-at", "0", "--log", log]
    subprocess.run([sys.executable, harness.HERE / "plain_keras.py", model, *flags], check=True, capture_output=True)
    (line,) = log.read_text(encoding="utf-8").splitlines()
    epoch = json.loads(line)
    assert epoch["epoch"] == 1
    assert epoch["images_per_second"] == pytest.approx(28 / epoch["seconds"], rel=0.01, abs=0.06)
    assert epoch["since_start"] > epoch["seconds"]
    assert 0 <= epoch["val_accuracy"] <= 1


def test_the_plain_script_has_the_learning_rates_and_batches_of_our_recipes():
    import plain_keras

    for name, learning_rate in plain_keras.LEARNING_RATES.items():
        recipe = recipe_config(name)
        assert (recipe.learning_rate, recipe.batch_size) == (learning_rate, bench.BATCH_SIZES[name])


def test_multiply_adds_are_counted_by_place_and_kernel():
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    assert measure.multiply_adds(network) == 4 * 4 * 9 * 4 + 4 * 3


@pytest.mark.parametrize(("name", "weights", "millions"), [("tiny", 500_000, 30), ("resnet", 2_500_000, 150)])
def test_networks_stay_within_their_bounds(name, weights, millions):
    network = networks.build(recipe_config(name), FER2013_LABELS)
    assert network.count_params() <= weights
    assert measure.multiply_adds(network) <= millions * 1e6


def test_what_the_ablation_leaves_out_are_flags_of_the_script_that_change_the_recipe():
    whole = parse(["--recipe", "resnet"]).config
    assert len(ablation.LEFT_OUT) == 6
    for name, flags in ablation.LEFT_OUT.items():
        assert (parse(["--recipe", "resnet", *flags]).config == whole) == (name == "everything")


def test_the_table_of_the_ablation_has_means_over_seeds_and_differences_to_everything(tmp_path):
    for name, seed, accuracy in (("everything", 0, 0.6), ("everything", 1, 0.62), ("without mixup", 0, 0.605)):
        end = {"val_accuracy": accuracy, "val_macro_f1": 0.5}
        content = result(name, seed) | {"epochs": [{"val_accuracy": 0, "val_macro_f1": 0}, end]}
        ablation.run_file(tmp_path, name, seed).write_text(json.dumps(content), encoding="utf-8")
    assert ablation.table_of(tmp_path).splitlines()[2:] == [
        "| everything | 2 | 61.0 % (60.0, 62.0) |  | 0.500 |",
        "| without mixup | 1 | 60.5 % (60.5) | +0.5 | 0.500 |",
        "",
        "2 epochs each; 2,400 images held out of Training; the 95 % interval of one accuracy is ± 2.0 points.",
    ]


def test_what_the_ablation_keeps_of_a_run_has_its_curve_and_no_path(trained_run):
    kept = ablation.figures(trained_run.folder, "everything", [])
    assert [row["epoch"] for row in kept["epochs"]] == [1, 2, 3]
    assert kept["epochs"][-1]["val_accuracy"] == trained_run.manifest.scores["val_accuracy"]
    assert str(trained_run.folder.parent) not in json.dumps(kept)


def test_what_the_ablation_has_finished_is_not_trained_again(tmp_path, monkeypatch, capsys):
    trained: list[tuple[str, int]] = []
    monkeypatch.setattr(ablation, "train", lambda name, seed, **_: trained.append((name, seed)) or result(name, seed))
    for _ in range(2):
        ablation.main(data=Path(), work=tmp_path, output=tmp_path)
        assert len(trained) == 12
    assert capsys.readouterr().out.count("without fading") == 2


def result(name: str, seed: int) -> dict:
    epochs = [{"epoch": 1, "val_accuracy": 0.5, "val_macro_f1": 0.4}]
    return {"name": name, "seed": seed, "epochs": epochs, "splits": {"validation": {"images": 2400}}}

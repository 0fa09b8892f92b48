"""Fine-tuning in two stages: what each trains, a kill between and in them, and what came of it."""

import cv2
import keras
import numpy as np

from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.store.artifacts import load_model
from fer_core.store.run import Run, read_metrics
from fer_core.store.runs import list_runs
from fer_core.training.train import train, training_data
from tests.script import run_here
from tests.training.parts import assert_same_bits, in_checkpoint, killed, killed_after

SETTINGS = (
    *("--recipe=finetune_own", "--epochs=10", "--head-epochs=2", "--unfreeze=0.5", "--ema=0.9"),
    *("--learning-rate=0.003", "--unfreeze-rate=1"),
)


def test_own_pictures_on_top_of_a_model_are_better_than_it_also_after_a_kill_between_the_stages_or_in_the_second(
    in_use, paths, tmp_path
):
    random = np.random.default_rng(7)
    for label in SAMPLE_LABELS:
        folder = tmp_path / "own" / label
        folder.mkdir(parents=True)
        for number in range(20):
            negative = 255 - draw_face(label, random)
            cv2.imwrite(str(folder / f"{number}.png"), cv2.applyColorMap(negative, cv2.COLORMAP_OCEAN))
    between, second = (paths.models / "runs" / f"killed-after-{epoch}" for epoch in (2, 7))
    with killed(10, copies={2: between, 7: second}):
        run_here("--data", tmp_path / "own", "--init-from", in_use.id, *SETTINGS, paths=paths)
    (whole,) = (run for run in list_runs(paths) if run.folder not in (in_use.folder, between, second))
    undisturbed, config = in_checkpoint(whole), whole.manifest.config
    assert (config.network, whole.manifest.recipe) == ("smoke", "finetune_own")
    dataset = training_data(config, paths, run=whole)
    assert_same_bits(killed_after(10, Run(second, paths.history), dataset, paths), undisturbed)

    answer = run_here("--resume", between.name, paths=paths)
    assert answer.code == 0, answer.err
    run = Run(between, paths.history)
    assert_same_bits(in_checkpoint(run), undisturbed)
    assert "Until epoch 2, the last layer alone is trained." in run.log_txt.read_text(encoding="utf-8")
    said = answer.out.partition("which it started from: macro F1")[2].partition("\n")[0]
    assert said.endswith("measurably better.")
    start, end = (load_model(one.model_h5) for one in (in_use, run))
    changed = [
        any(not np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
        for old, new in zip(start.layers, end.layers, strict=True)
        if new.weights and not isinstance(new, keras.layers.BatchNormalization)
    ]
    assert changed == [False, False, True, True]


def test_who_ends_it_in_the_first_stage_is_named_once(begun, paths):
    run, dataset = begun(kind="trial", fine_tune=True, head_epochs=2, epochs=4)
    train(run, dataset, paths=paths, is_stopped=lambda rows: True)
    texts = [entry["text"] for entry in read_metrics(run.metrics_jsonl) if entry["kind"] == "event"]
    assert texts.count("Stopped early after epoch 1 of 4, by whoever started it.") == 1

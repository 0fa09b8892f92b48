"""Fine-tuning in two stages: what each trains, a kill between and in them, and what came of it."""

import cv2
import numpy as np

from fer_core import networks
from fer_core.data.dataset import load_dataset
from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.store.artifacts import load_model
from fer_core.store.run import Run
from fer_core.store.runs import create_run, list_runs
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import record_data, train
from tests.script import run_here
from tests.training.parts import assert_same_bits, in_checkpoint, killed_after

TWO_STAGES = {"fine_tune": True, "head_epochs": 1, "unfreeze": 0.5, "epochs": 3, "ema": 0.9, "mixup": 0.2}


def test_killed_between_the_stages_and_in_the_second_it_ends_with_the_same_bits(
    trained_run, small_config, session_paths, paths
):
    own = TWO_STAGES | {"init_from": str(trained_run.model_h5), "sample_per_class": 20, "rotation": 10}
    config = small_config.checked(small_config.model_dump() | own)
    dataset = load_dataset(config, paths, **networks.picture_of(config))

    whole = create_run(paths, config, recipe="smoke", kind="trial", history_header=HISTORY_HEADER)
    record_data(whole, dataset)
    between, second = (whole.folder.with_name(f"{whole.id}-after-{epoch}") for epoch in (1, 2))
    undisturbed = killed_after(3, whole, dataset, paths, copies={1: between, 2: second})
    assert_same_bits(killed_after(3, Run(second, paths.history), dataset, paths), undisturbed)
    run = Run(between, paths.history)
    train(run, dataset, paths=paths)
    assert_same_bits(in_checkpoint(run), undisturbed)
    start, end = (load_model(one.model_h5) for one in (trained_run, run))
    changed = [
        any(not np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
        for old, new in zip(start.layers, end.layers, strict=True)
        if new.weights
    ]
    assert changed == sorted(changed) and not changed[0] and changed[-1]


def test_own_pictures_on_top_of_a_model_are_better_than_it_and_the_output_says_how_much(in_use, paths, tmp_path):
    random = np.random.default_rng(7)
    for label in SAMPLE_LABELS:
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(20):
            negative = 255 - draw_face(label, random)
            cv2.imwrite(
                str(tmp_path / "own" / label / f"{number}.png"), cv2.applyColorMap(negative, cv2.COLORMAP_OCEAN)
            )
    flags = ("--recipe", "finetune_own", "--init-from", in_use.id, "--epochs", "14", "--head-epochs", "2")
    rates = ("--learning-rate", "0.003", "--unfreeze-rate", "1")
    answer = run_here("--data", tmp_path / "own", *flags, *rates, paths=paths)
    assert answer.code == 0, answer.err
    (run,) = (run for run in list_runs(paths) if run != in_use)
    assert (run.manifest.config.network, run.manifest.recipe) == ("smoke", "finetune_own")
    assert "Until epoch 2, the last layer alone is trained." in answer.out
    assert "which it started from: macro F1" in answer.out
    assert answer.out.partition("which it started from")[2].partition("\n")[0].endswith("measurably better.")

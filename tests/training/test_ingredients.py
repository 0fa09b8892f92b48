"""All training ingredients together: what is interrupted and resumed ends with the bits of what was not."""

import signal

import keras
from kills import only_run
from soak import Moment, Soak

from fer_core.data.dataset import load_dataset
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.train import train
from tests.training.parts import assert_same_bits, killed_after

SMALL = {"filters": (4, 8), "blocks": (1, 1), "strides": (2, 2), "head": 0, "stem": 4, "stochastic_depth": 0.2}
EVERYTHING = {
    "network": "resnet",
    "network_options": SMALL,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 1e-3,
    "schedule": "one_cycle",
    "warmup_epochs": 1,
    "epochs": 4,
    "keep": "last",
    "ema": 0.9,
    "label_smoothing": 0.1,
    "mixup": 0.4,
    "crop": 44,
    "erasing": 0.3,
    "camera": 0.3,
    "rotation": 10,
    "contrast": 0.2,
    "annealing": 0.5,
    "progressive_sizes": (24, 32),
    "sample_per_class": 10,
    "batch_size": 16,
}
"""In the third of the four epochs pictures become larger, and what makes them harder is half as strong."""


def flags(settings, prefix="--"):
    """Returns settings as they are typed."""
    for name, value in settings.items():
        flag = prefix + name.replace("_", "-")
        if isinstance(value, dict):
            yield from flags(value, f"{flag}.")
        elif isinstance(value, tuple):
            yield from (flag, *map(str, value))
        else:
            yield from [flag] if value is True else [flag, str(value)]


def test_a_distillation_with_everything_goes_on_to_the_same_bits_with_larger_pictures(begun, paths, trained_run):
    whole, dataset = begun(**EVERYTHING, teacher=(str(trained_run.model_h5),), alternating_flip=True)
    after_two = whole.folder.with_name(f"{whole.id}-copy")
    expected = killed_after(3, whole, dataset, paths, copies={2: after_two})
    assert_same_bits(killed_after(3, Run(after_two, paths.history), dataset, paths), expected)


def test_a_distillation_over_fixed_views_that_sigkill_takes_in_mid_run_goes_on_to_the_same_bits(
    paths, session_paths, trained_run, tmp_path
):
    killer = Soak(tmp_path)
    distilled = EVERYTHING | {"teacher": (str(trained_run.model_h5),), "teacher_views": 6}
    ended = killer.train("killed", "--data=sample", *flags(distilled), moment=Moment(line="epoch   2", seconds=0.2))
    assert ended.status == -signal.SIGKILL, ended.output
    cut = only_run(killer.paths("killed"))
    assert (cut.state.status, cut.state.epoch) == ("RUNNING", 2)
    dataset = load_dataset(cut.manifest.config, session_paths, side=48)
    whole = create_run(paths, cut.manifest.config, history_header=HISTORY_HEADER)
    found = killed_after(3, cut, dataset, killer.paths("killed"))
    assert_same_bits(found, killed_after(3, whole, dataset, paths))


def test_keras_fits_once_in_each_attempt_though_sizes_and_augmentation_change_between_epochs(begun, paths, monkeypatch):
    run, dataset = begun(**EVERYTHING | {"epochs": 3})
    fit, begins = keras.Model.fit, []

    def counted(model, *arguments, **settings):
        begins.append(settings["initial_epoch"])
        return fit(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "fit", counted)
    killed_after(1, run, dataset, paths)
    result = train(run, dataset, paths=paths)
    assert (begins, [row["epoch"] for row in result.progress.rows]) == ([0, 1], [1, 2, 3])

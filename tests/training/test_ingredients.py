"""All training ingredients together: what is interrupted and resumed ends with the bits of what was not."""

import keras

from fer_core.store.run import Run
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
    "validation": "none",
    "ema": 0.9,
    "label_smoothing": 0.1,
    "mixup": 0.4,
    "crop": 44,
    "erasing": 0.3,
    "camera": 0.3,
    "rotation": 10,
    "contrast": 0.2,
    "annealing": 0.5,
    "alternating_flip": True,
    "progressive_sizes": (24, 32),
    "sample_per_class": 10,
    "batch_size": 16,
}
"""In the third of the four epochs pictures become larger, and what makes them harder is half as strong."""


def test_a_distillation_with_everything_goes_on_to_the_same_bits_in_one_fit(begun, paths, trained_run, monkeypatch):
    fit, begins = keras.Model.fit, []

    def counted(model, *arguments, **settings):
        begins.append(settings["initial_epoch"])
        return fit(model, *arguments, **settings)

    monkeypatch.setattr(keras.Model, "fit", counted)
    whole, dataset = begun(**EVERYTHING, teacher=(str(trained_run.model_h5),))
    after_two = whole.folder.with_name(f"{whole.id}-copy")
    expected = killed_after(3, whole, dataset, paths, copies={2: after_two})
    assert_same_bits(killed_after(3, Run(after_two, paths.history), dataset, paths), expected)
    assert begins == [0, 2]

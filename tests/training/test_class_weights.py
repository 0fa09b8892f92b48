"""The weight of each class in the loss."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.training.class_weights import class_weights

LABELS = ("angry", "disgust", "happy")
IMAGES = np.array([0] * 7 + [1] + [2] * 12)


def test_without_weights_every_class_counts_the_same():
    assert class_weights(TrainConfig(), IMAGES, LABELS).tolist() == [1, 1, 1]


def test_balanced_is_what_scikit_learn_calls_balanced():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=IMAGES)
    found = class_weights(TrainConfig(class_weights="balanced"), IMAGES, LABELS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


def test_named_classes_get_their_weights_and_the_others_one():
    config = TrainConfig(class_weights="Disgust=6.5, angry=3.5")
    assert class_weights(config, IMAGES, LABELS).tolist() == [3.5, 6.5, 1]


def test_a_class_that_the_data_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="class_weights names 'hapy'; the data has no such class") as caught:
        class_weights(TrainConfig(class_weights="hapy=2"), IMAGES, LABELS)
    assert caught.value.hint == "Did you mean 'happy'?"

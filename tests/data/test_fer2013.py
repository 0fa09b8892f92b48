"""Real FER-2013, where $FER_TEST_DATA has it."""

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.audit import audit
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.paths import Paths


@pytest.fixture(scope="module")
def fer2013(test_data, fer2013_cache) -> Dataset:
    paths = Paths.from_environment({"FER_CACHE_DIR": str(fer2013_cache)})
    return load_dataset(TrainConfig(data=str(test_data / "fer2013.zip")), paths, side=48)


def test_it_is_recognised_by_its_counts(fer2013):
    assert fer2013.name == "FER-2013"
    assert (fer2013.train.name, fer2013.validation.name, fer2013.test.name) == ("Training", "validation", "PublicTest")
    assert len(fer2013.train) + len(fer2013.validation) == 28_709
    assert len(fer2013.test) == 3_589


def test_a_tenth_of_training_is_held_out_in_proportion(fer2013):
    """Exact but for groups of copies with several labels, which go to one side together."""
    out = np.bincount(fer2013.validation.labels)
    whole = out + np.bincount(fer2013.train.labels)
    assert whole.tolist() == [3995, 436, 4097, 7215, 4965, 4830, 3171]
    assert np.abs(out - whole / 10).max() <= 3
    assert not np.isin(fer2013.validation.hashes, fer2013.train.hashes).any()


def test_the_audit_has_the_known_figures(fer2013):
    found = audit(fer2013)
    training, public = found.parts
    assert (training.name, training.extra_copies, len(training.conflicting)) == ("Training", 1236, 39)
    assert public.images == {
        "angry": 467, "disgust": 56, "fear": 496, "happy": 895, "neutral": 607, "sad": 653, "surprise": 415
    }  # fmt: skip
    (shared,) = found.shared
    assert (shared.part, shared.other, shared.images) == ("PublicTest", "Training", 280)
    assert len(found.blank) == 13
    assert found.unreadable == ()


def test_images_are_those_of_the_archive(fer2013):
    images = fer2013.test.images(slice(0, 500))
    assert images.shape == (500, 48, 48, 1)
    assert fer2013.test.names(slice(0, 1))[0].startswith("test/angry/PublicTest_")
    assert 100 < images.mean() < 160

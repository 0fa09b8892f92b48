"""FER-2013 in each of the forms it is handed round in, told by the counts alone."""

from types import SimpleNamespace

import pytest

from fer_core.data.fer2013 import fer2013_titles
from fer_core.emotions import FER2013_LABELS

TRAINING = (3995, 436, 4097, 7215, 4965, 4830, 3171)
PUBLIC = (467, 56, 496, 895, 607, 653, 415)
PRIVATE = (491, 55, 528, 879, 626, 594, 416)
BOTH = (958, 111, 1024, 1774, 1233, 1247, 831)


def titles(**parts):
    counts = {part: dict(zip(FER2013_LABELS, numbers, strict=True)) for part, numbers in parts.items()}
    return fer2013_titles(SimpleNamespace(labels=FER2013_LABELS, counts=lambda: counts))


@pytest.mark.parametrize(
    ("test", "title"), [(PUBLIC, "PublicTest"), (PRIVATE, "PrivateTest"), (BOTH, "PublicTest + PrivateTest")]
)
def test_the_test_folder_is_named_after_what_it_holds(test, title):
    assert titles(train=TRAINING, test=test) == {"train": "Training", "test": title}


def test_the_complete_csv_is_recognised():
    parts = {"Training": TRAINING, "PublicTest": PUBLIC, "PrivateTest": PRIVATE}
    assert titles(**parts) == {part: part for part in parts}


def test_one_image_more_makes_it_another_data_set():
    assert titles(train=(3996, *TRAINING[1:]), test=PUBLIC) is None
    assert titles(train=PUBLIC, test=PRIVATE) is None

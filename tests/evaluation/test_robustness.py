"""Accuracy on changed test images: which changes cost what, for a model of which that is known."""

import cv2
import numpy as np
import pytest

from fer_core import faces
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.evaluation.robustness import CONDITIONS, COUNTED, mean_loss, robustness


@pytest.fixture
def dataset(paths, tmp_path):
    """Pictures that are bright on the left (happy) or on the right (sad)."""
    for split, count in (("train", 4), ("test", 10)):
        for label, columns in (("happy", slice(0, 24)), ("sad", slice(24, 48))):
            folder = tmp_path / "halves" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                picture = np.full((48, 48), 140 + number, np.uint8)
                picture[:, columns] = 200 + number
                cv2.imwrite(str(folder / f"{number}.png"), picture)
    return load_dataset(TrainConfig(data=str(tmp_path / "halves")), paths, side=48)


def by_halves(images: np.ndarray) -> np.ndarray:
    is_left = images[:, :, :24].mean(axis=(1, 2, 3)) > images[:, :, 24:].mean(axis=(1, 2, 3))
    return np.stack([is_left, ~is_left], axis=1).astype(np.float32)


def test_each_change_costs_what_it_takes_away(dataset, paths):
    haar = faces.make_detector("haar", paths=paths)
    table = robustness([by_halves, by_halves], dataset.test, dataset.test.labels, [haar])
    lost = table.set_index(["condition", "strength"])["lost"]
    assert set(table["condition"]) == {"none", *CONDITIONS}  # haar finds no face in these
    assert table["images"].eq(20).all() and lost["none", ""] == 0
    assert lost["half covered", "left"] == lost["half covered", "right"] == 50
    others = table[~table["strength"].isin(["left", "right"])]
    assert others["accuracy"].eq(1).all() and others["margin"].eq(0).all()
    assert mean_loss(table) == 0
    assert set(COUNTED) < set(CONDITIONS)


@pytest.mark.parametrize(
    ("condition", "strength", "expected"),
    [("shift", "8% left", (20, 24)), ("shift", "8% down", (24, 28)), ("scale", "115%", (24, 24))],
)
def test_moves_go_where_they_say(condition, strength, expected):
    face = np.zeros((48, 48), np.uint8)
    face[24, 24] = 255
    row, column = np.unravel_index(CONDITIONS[condition][strength](face).argmax(), face.shape)
    assert (column, row) == expected

"""What augmentation does to pictures, and when it does nothing."""

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation, _transforms, strength
from fer_core.data.sample import draw_face

EVERYTHING = {
    "rotation": 20,
    "shift": 0.1,
    "scale": 0.2,
    "flip": True,
    "brightness": 0.3,
    "contrast": 0.3,
    "erasing": 0.5,
    "camera": 0.5,
}
CENTRE = 47 / 2


@pytest.fixture(scope="module")
def faces():
    random = np.random.default_rng(0)
    pictures = [draw_face("happy", random) for _ in range(16)]
    return np.stack(pictures)[..., None].astype(np.float32)


def augmented(faces, *, training=True, **settings):
    return np.asarray(Augmentation(TrainConfig(**settings))(faces, training=training))


def warped(face, draws, **settings):
    """Returns the face after the moves that `draws` (-1..1: angle, scale, across, down, mirror, window) stand for."""
    from keras import ops

    row = [*draws, *[0] * (7 - len(draws))]
    transforms = _transforms(ops.convert_to_tensor([row], "float32"), TrainConfig(**settings), side=face.shape[0])
    return np.asarray(ops.image.affine_transform(face[None], transforms, "bilinear", "reflect"))[0]


@pytest.mark.parametrize(("training", "settings"), [(True, {}), (False, EVERYTHING)], ids=["no settings", "validation"])
def test_without_settings_and_outside_training_nothing_changes(faces, training, settings):
    np.testing.assert_array_equal(augmented(faces, training=training, **settings), faces)


def test_a_flip_mirrors_some_pictures_and_leaves_the_others(faces):
    found = augmented(faces, flip=True)
    same = [np.allclose(new, old, atol=0.01) for new, old in zip(found, faces, strict=True)]
    mirrored = [np.allclose(new, old[:, ::-1], atol=0.01) for new, old in zip(found, faces, strict=True)]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert sum(same) > 2 and sum(mirrored) > 2


@pytest.mark.parametrize(
    ("draws", "settings", "transform"),
    [
        ((1, 0, 0, 0, 1), {"rotation": 30}, cv2.getRotationMatrix2D((CENTRE, CENTRE), 30, 1)),
        ((-17 / 30, 0, 0, 0, 1), {"rotation": 30}, cv2.getRotationMatrix2D((CENTRE, CENTRE), -17, 1)),
        ((0, 1, 0, 0, 1), {"scale": 0.2}, np.float32([[1.2, 0, -0.2 * CENTRE], [0, 1.2, -0.2 * CENTRE]])),
        ((0, 0, 1, 0, 1), {"shift": 0.125}, np.float32([[1, 0, -6], [0, 1, 0]])),
    ],
    ids=["rotation", "rotation back", "scale", "shift by part of the side"],
)
def test_the_moves_are_those_of_opencv(faces, draws, settings, transform):
    expected = cv2.warpAffine(faces[0], transform, (48, 48), flags=cv2.INTER_LINEAR)
    np.testing.assert_allclose(warped(faces[0], draws, **settings)[12:36, 12:36, 0], expected[12:36, 12:36], atol=4)


def test_the_same_seed_gives_the_same_pictures_another_seed_or_call_others(faces):
    layer = Augmentation(TrainConfig(**EVERYTHING))
    first = np.asarray(layer(faces, training=True))
    np.testing.assert_array_equal(first, augmented(faces, **EVERYTHING))
    assert not np.allclose(first, augmented(faces, seed=1, **EVERYTHING))
    assert not np.allclose(first, layer(faces, training=True))
    dazzled = augmented(faces, **EVERYTHING | {"brightness": 0.9, "contrast": 0.9})
    assert (dazzled.min() >= 0, dazzled.max() <= 255, dazzled.shape) == (True, True, faces.shape)


def test_a_crop_is_a_window_of_the_picture(faces):
    windows = augmented(faces, crop=40)
    assert windows.shape == (16, 40, 40, 1)
    starts = set()
    for face, window in zip(faces[..., 0], windows[..., 0], strict=True):
        scores = cv2.matchTemplate(face, window, cv2.TM_SQDIFF)
        starts.add(np.unravel_index(scores.argmin(), scores.shape))
    assert all(0 <= row <= 8 and 0 <= column <= 8 for row, column in starts)
    assert len(starts) > 8
    corner = warped(faces[0], (0, 0, 0, 0, 1, -1, -1), crop=40)
    np.testing.assert_allclose(corner[4:44, 4:44], faces[0][:40, :40], atol=0.01)


def test_augmentation_is_annealed_in_the_last_fraction_of_the_epochs_and_only_mirroring_is_left(faces):
    config = TrainConfig(epochs=10, annealing=0.4)
    assert [strength(config, epoch) for epoch in (1, 6, 7, 8, 10)] == pytest.approx([1, 1, 0.75, 0.5, 0])
    assert strength(TrainConfig(epochs=10), 10) == 1
    layer = Augmentation(TrainConfig(epochs=5, annealing=0.5, crop=44, **EVERYTHING | {"flip": False}))
    layer.begin_epoch(5)
    np.testing.assert_allclose(layer(faces, training=True), faces[:, 2:46, 2:46], atol=0.01)
    layer.begin_epoch(1)
    assert not np.allclose(layer(faces, training=True), faces[:, 2:46, 2:46], atol=0.01)

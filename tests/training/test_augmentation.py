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


def test_without_settings_nothing_changes(faces):
    np.testing.assert_array_equal(augmented(faces), faces)


def test_outside_training_nothing_changes(faces):
    np.testing.assert_array_equal(augmented(faces, training=False, **EVERYTHING), faces)


def test_a_flip_mirrors_some_pictures_and_leaves_the_others(faces):
    found = augmented(faces, flip=True)
    same = [np.allclose(new, old, atol=0.01) for new, old in zip(found, faces, strict=True)]
    mirrored = [np.allclose(new, old[:, ::-1], atol=0.01) for new, old in zip(found, faces, strict=True)]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert sum(same) > 2 and sum(mirrored) > 2


@pytest.mark.parametrize("angle", [30, -17])
def test_a_rotation_is_that_of_opencv(faces, angle):
    centre = (47 / 2, 47 / 2)
    found = warped(faces[0], (angle / 30, 0, 0, 0, 1), rotation=30)
    expected = cv2.warpAffine(faces[0], cv2.getRotationMatrix2D(centre, angle, 1), (48, 48), flags=cv2.INTER_LINEAR)
    inner = (slice(12, 36), slice(12, 36), 0)
    np.testing.assert_allclose(found[inner], expected[inner[:2]], atol=4)


def test_a_shift_moves_by_part_of_the_side(faces):
    found = warped(faces[0], (0, 0, 1, 0, 1), shift=0.125)
    np.testing.assert_allclose(found[:, :-6], faces[0][:, 6:], atol=0.01)


def test_a_larger_scale_keeps_the_middle_and_moves_the_rest_outward(faces):
    found = warped(faces[0], (0, 1, 0, 0, 1), scale=0.2)
    expected = cv2.warpAffine(
        faces[0], np.float32([[1.2, 0, -0.2 * 23.5], [0, 1.2, -0.2 * 23.5]]), (48, 48), flags=cv2.INTER_LINEAR
    )
    np.testing.assert_allclose(found[8:40, 8:40, 0], expected[8:40, 8:40], atol=4)


def test_pixels_stay_between_black_and_white(faces):
    found = augmented(faces, **EVERYTHING | {"brightness": 0.9, "contrast": 0.9})
    assert (found.min() >= 0, found.max() <= 255, found.shape) == (True, True, faces.shape)


def test_brightness_moves_all_pixels_by_at_most_its_part_of_the_range(faces):
    gray = np.full_like(faces, 128)
    moved = augmented(gray, brightness=0.25)[:, 0, 0, 0] - 128
    assert 0.25 * 255 >= np.abs(moved).max() > 20
    assert len(np.unique(moved)) == len(faces)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(faces):
    first = augmented(faces, **EVERYTHING)
    np.testing.assert_array_equal(first, augmented(faces, **EVERYTHING))
    assert not np.allclose(first, augmented(faces, seed=1, **EVERYTHING))


def test_each_call_draws_anew(faces):
    layer = Augmentation(TrainConfig(**EVERYTHING))
    assert not np.allclose(layer(faces, training=True), layer(faces, training=True))


def test_a_crop_is_a_window_of_the_picture(faces):
    windows = augmented(faces, crop=40)
    assert windows.shape == (16, 40, 40, 1)
    starts = {best_place(face[..., 0], window[..., 0]) for face, window in zip(faces, windows, strict=True)}
    assert all(0 <= row <= 8 and 0 <= column <= 8 for row, column in starts)
    assert len(starts) > 8


def best_place(face, window):
    """Returns the corner (row, column) at which the window agrees best with the face."""
    scores = cv2.matchTemplate(face, window, cv2.TM_SQDIFF)
    return np.unravel_index(scores.argmin(), scores.shape)


def test_a_window_in_the_corner_is_that_corner(faces):
    moved = warped(faces[0], (0, 0, 0, 0, 1, -1, -1), crop=40)
    np.testing.assert_allclose(moved[4:44, 4:44], faces[0][:40, :40], atol=0.01)


def test_augmentation_fades_out_in_the_last_part_of_the_epochs():
    config = TrainConfig(epochs=10, annealing=0.4)
    assert [strength(config, epoch) for epoch in (1, 6, 7, 8, 10)] == pytest.approx([1, 1, 0.75, 0.5, 0])
    assert strength(TrainConfig(epochs=10), 10) == 1


def test_in_the_last_epoch_of_a_fading_training_only_mirroring_is_left(faces):
    layer = Augmentation(TrainConfig(epochs=5, annealing=0.5, crop=44, **EVERYTHING | {"flip": False}))
    layer.begin_epoch(5)
    np.testing.assert_allclose(layer(faces, training=True), faces[:, 2:46, 2:46], atol=0.01)
    layer.begin_epoch(1)
    assert not np.allclose(layer(faces, training=True), faces[:, 2:46, 2:46], atol=0.01)

"""From a detector's box to the square picture: exact inside the frame, repeated edges outside, never squeezed."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.faces import Box
from fer_core.faces.framing import Framing, crop_face, square_of

AS_IT_IS = Framing(scale=1.0)
RAMP = np.add.outer(np.arange(60) * 4, np.arange(80)).clip(0, 255).astype(np.uint8)
"""uint8 (60, 80); no two neighbouring pixels are equal before it saturates."""

coordinates = st.floats(-300, 300)
sizes = st.floats(0, 200)
framings = st.builds(Framing, scale=st.floats(0.2, 3), right=st.floats(-1, 1), down=st.floats(-1, 1))


def pixel_by_pixel(frame: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    """Returns the square with repeated edges, written the slow and obvious way."""
    rows = np.clip(np.arange(y, y + side), 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(x, x + side), 0, frame.shape[1] - 1)
    return frame[np.ix_(rows, columns)]


def test_pixels_beside_the_crop_do_not_get_into_its_edges():
    frame = np.zeros((50, 100), np.uint8)
    frame[:, 50:] = 255
    assert crop_face(frame[:, :50], Box(40, 10, 30, 30), framing=AS_IT_IS).max() == 0


def test_framing_moves_and_enlarges_in_the_box_s_own_size_and_makes_a_square_of_the_same_area():
    assert square_of(Box(10, 10, 40, 90), AS_IT_IS) == Box(0, 25, 60, 60)
    assert square_of(Box(0, 0, 100, 100), Framing(scale=1.5, right=0.1, down=-0.2)) == Box(-15, -45, 150, 150)


def test_what_is_returned_can_be_changed_without_changing_the_frame():
    frame = RAMP.copy()
    crop_face(frame, Box(10, 5, 20, 20), framing=AS_IT_IS)[:] = 0
    np.testing.assert_array_equal(frame, RAMP)


def test_a_box_of_any_size_asks_for_limited_memory():
    assert crop_face(RAMP, Box(10, 5, 0, 0), framing=AS_IT_IS).shape == (1, 1)
    assert crop_face(RAMP, Box(-1e9, -1e9, 2e9, 2e9), framing=AS_IT_IS).shape == (320, 320)


@settings(deadline=None)
@given(coordinates, coordinates, sizes, sizes, framings)
def test_every_box_gives_a_square_of_the_frame_s_own_pixels(x, y, width, height, framing):
    box = Box(x, y, width, height)
    crop = crop_face(RAMP, box, framing=framing)
    side = square_of(box, framing).width
    assert crop.dtype == np.uint8
    assert crop.shape[0] == crop.shape[1]
    assert abs(crop.shape[0] - np.clip(side, 1, 320)) <= 0.5
    assert np.isin(crop, RAMP).all()


@settings(deadline=None)
@given(coordinates, coordinates, st.floats(1, 200))
def test_every_crop_is_the_square_read_pixel_by_pixel(x, y, side):
    crop = crop_face(RAMP, Box(x, y, side, side), framing=AS_IT_IS)
    left, top = (np.floor(start + side / 2 - len(crop) / 2 + 0.5).astype(int) for start in (x, y))
    np.testing.assert_array_equal(crop, pixel_by_pixel(RAMP, left, top, len(crop)))


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), coordinates, coordinates, sizes)
def test_tiny_frames_are_no_special_case(height, width, x, y, side):
    frame = RAMP[:height, :width]
    crop = crop_face(frame, Box(x, y, side, side), framing=AS_IT_IS)
    assert crop.shape[0] == crop.shape[1] <= 4 * max(height, width)

"""What is drawn over a frame: the right colours, lengths and names, in the right places, never in the frame itself."""

import itertools

import numpy as np
import pytest

from fer_core.faces import Box
from fer_core.labels import COLOURS, FER2013_LABELS, SPARE_COLOURS
from fer_core.live.canvas import (
    bgr,
    font_file,
    has_characters,
    readable_on,
    sizes_for,
    writable,
)
from fer_core.live.layout import Status
from fer_core.live.overlay import TRACK, Heat, Overlay
from fer_core.live.prediction import Prediction
from tests.live.fakes import face

NAMELESS = Status("", "", 0.0, 0.0)
MESSAGE = "The stream is gone, trying again in 4 s."
BUSY = Status("baseline", "yunet", 29.7, 0.034, message=MESSAGE, recording=True, paused=True, help=True, heat=True)


def prediction(box, label="happy", confidence=0.6, *, labels=FER2013_LABELS, **more) -> Prediction:
    return face(label, confidence, labels=labels, box=map(float, box), **more)


def picture(width=640, height=480, tone=200) -> np.ndarray:
    return np.full((height, width, 3), tone, np.uint8)


def drawn(predictions, status=NAMELESS, *, on=None, heat=None, labels=FER2013_LABELS) -> np.ndarray:
    return Overlay(labels).draw(picture() if on is None else on, predictions, status, heat)


def is_colour(image: np.ndarray, hex_colour: str) -> np.ndarray:
    return (image == np.array(bgr(hex_colour), np.uint8)).all(axis=2)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


@pytest.mark.parametrize(
    "frame", [picture(), picture()[:, :, 0], picture()[:, :, :1], picture()[::2, ::2], picture()[:, ::-1]]
)
def test_the_frame_itself_is_never_changed_be_it_gray_or_cut_out(frame):
    before = frame.copy()
    result = drawn([prediction((100, 80, 90, 90))], BUSY, on=frame)
    assert result.shape == (*frame.shape[:2], 3) and result.dtype == np.uint8
    assert (frame == before).all() and (result != 200).any()


def test_the_box_has_the_colour_of_the_emotion_and_that_of_an_unsure_face_is_grey_with_gaps():
    for label in FER2013_LABELS:
        result = drawn([prediction((200, 150, 160, 160), label)])
        assert is_colour(result[160:300, 195:210], COLOURS[label]).any(axis=1).all()
    unsure = drawn([prediction((200, 150, 160, 160), "sad", 0.34, unsure=True)])
    line = changed(picture(), unsure)[160:300, 195:210].any(axis=1)
    assert line.any() and not line.all()
    assert not is_colour(unsure[160:300, 195:210], COLOURS["sad"]).any()


def test_bars_are_as_long_as_the_probabilities():
    shares = dict(zip(FER2013_LABELS, (0.5, 0.25, 0.125, 0.125, 0, 0, 0), strict=True))
    result = drawn([Prediction(Box(60, 150, 160, 160), "angry", 0.5, shares, False, None)])
    beside_the_face = result[:, 225:]
    lengths = [is_colour(beside_the_face, COLOURS[label]).sum(axis=1).max() for label in FER2013_LABELS]
    whole = 6 * sizes_for(640, 480).small
    assert lengths == [round(share * whole) for share in shares.values()]


@pytest.mark.parametrize(("x", "y"), list(itertools.product([0.02, 0.4, 0.78], [0.0, 0.3, 0.7])))
def test_the_panel_stays_in_the_picture_and_off_the_face(x, y):
    frame = picture(1280, 720)
    side, left, top = 180, round(x * 1280), round(y * 720)
    result = drawn([prediction((left, top, side, side))], on=frame)
    inner = slice(top + side // 5, top + side - side // 5), slice(left + side // 5, left + side - side // 5)
    assert not changed(frame, result)[inner].any()
    bars = is_colour(result, COLOURS["happy"])
    bars[max(0, top - 2 * side) : top + side + 2, max(0, left - 2) : left + side + 2] = False
    assert bars.any(axis=0).sum() >= round(0.6 * 6 * sizes_for(1280, 720).small) - 1


@pytest.mark.parametrize("box", [(127, 112, 275, 365), (10, 20, 480, 480), (0, 0, 512, 512), (-90, -90, 700, 700)])
def test_where_a_face_fills_the_picture_the_panel_still_leaves_its_label_alone(box):
    shares = {label: float(label == "happy") for label in FER2013_LABELS}
    frame = picture(512, 512)
    result = drawn([Prediction(Box(*box), "happy", 1.0, shares, False, 1)], on=frame)
    bar, rows = 6 * sizes_for(512, 512).small, (result == TRACK).all(axis=2).sum(axis=1)
    assert set(rows[rows > 0]) == {bar}
    assert len(rows[rows > 0]) % 6 == 0


FIVE = [(20, 60, 90, 90), (150, 90, 100, 100), (290, 50, 85, 85), (410, 100, 90, 90), (530, 70, 80, 80)]
SIDE_BY_SIDE = [(10 + 62 * column, 60 + 100 * row, 44, 44) for column in range(10) for row in range(4)]
TOUCHING = [(100 * column, 30 + 110 * row, 100, 110) for column in range(6) for row in range(3)]


@pytest.mark.parametrize("boxes", [FIVE[:2], FIVE, SIDE_BY_SIDE, TOUCHING])
def test_of_several_people_no_bars_hide_a_face(boxes):
    result = drawn([prediction(box, person=number) for number, box in enumerate(boxes)])
    there = changed(picture(), result)
    for x, y, width, height in boxes:
        edge = 27 if boxes is TOUCHING else 6  # their labels have no other place than a neighbour's chin
        assert not there[y + edge : y + height - edge, x + 6 : x + width - 6].any()
        assert is_colour(result[y : y + height, x : x + 5], COLOURS["happy"]).any()


@pytest.mark.parametrize("boxes", [FIVE[:2], FIVE])
def test_of_several_people_each_has_bars_as_high_as_the_probabilities(boxes):
    shares = dict(zip(FER2013_LABELS, (0.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0), strict=True))
    result = drawn([Prediction(Box(*box), "sad", 1.0, shares, False, 1) for box in boxes])
    for x, y, width, height in boxes:
        below = result[y + height + 1 : y + height + 40, x : x + width]
        half, whole = (is_colour(below, COLOURS[label]).any(axis=1).sum() for label in ("happy", "sad"))
        assert whole > 15 and abs(half - whole / 2) <= 1
    assert all(is_colour(result[440:480, :400], COLOURS[label]).any() for label in FER2013_LABELS)  # the legend


def test_a_panel_stays_on_its_side_while_the_face_moves_a_little():
    overlay = Overlay(FER2013_LABELS)
    sides = []
    for x in (0, 2, 4, 90, 4, 0):  # at 90 there is room on the left only
        result = overlay.draw(picture(640, 240), [prediction((380 + x, 60, 110, 110))], NAMELESS)
        bars = is_colour(result, COLOURS["happy"])[:, : 380 + x].any()
        sides.append("left" if bars else "right")
    assert sides == ["right", "right", "right", "left", "left", "left"]


@pytest.mark.parametrize(
    "box",
    [(-100, -80, 150, 150), (-1e7, -1e7, 2e7, 2e7), (5000, 100, 80, 80), (300, 200, 0.2, 0.3), (100.4, 100.6, 1, 400)],
)
def test_faces_may_reach_outside_the_frame(box):
    assert drawn([prediction(box, unsure=True)], BUSY).shape == (480, 640, 3)


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (97, 31), (160, 120), (1080, 1920), (3840, 2160)])
def test_pictures_of_every_size_are_drawn_on(size):
    width, height = size
    faces = [prediction((0.2 * width, 0.2 * height, 0.5 * width, 0.5 * height), person=None)]
    heat = {1: Heat(np.ones((48, 48), np.float32), Box(0, 0, width, height))}
    assert drawn(faces, BUSY, on=picture(width, height), heat=heat).shape == (height, width, 3)


@pytest.mark.parametrize(
    ("status", "place"),
    [
        (Status("baseline", "haar", 0.0, 0.0), (slice(440, 480), slice(0, 200))),
        (Status("", "", 29.7, 0.034), (slice(440, 480), slice(0, 200))),
        (Status("", "", 0.0, 0.0, message="Saved snapshot_001.png."), (slice(400, 480), slice(200, 440))),
        (Status("", "", 0.0, 0.0, recording=True), (slice(0, 40), slice(520, 640))),
        (Status("", "", 0.0, 0.0, paused=True), (slice(0, 40), slice(520, 640))),
        (Status("", "", 0.0, 0.0, heat=True), (slice(0, 40), slice(520, 640))),
        (Status("", "", 0.0, 0.0, help=True), (slice(0, 230), slice(0, 200))),
    ],
)
def test_every_part_of_the_status_is_drawn_in_its_own_place(status, place):
    there = changed(picture(), drawn([], status))
    assert there[place].any()
    there[place] = False
    assert not there.any()


@pytest.mark.parametrize("width", [120, 200, 320])
def test_a_long_message_is_broken_into_lines(width):
    frame = picture(width, 300)
    there = changed(frame, drawn([], Status("", "", 0.0, 0.0, message=f"{MESSAGE} {MESSAGE}"), on=frame))
    assert not there[:, [0, -1]].any()
    assert there.any(axis=1).sum() > 3 * sizes_for(width, 300).text


def test_labels_can_be_read_on_every_colour():
    def luminance(colour_bgr) -> float:
        blue, green, red = ((part / 255) ** 2.2 for part in colour_bgr)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for ground in map(bgr, (*COLOURS.values(), *SPARE_COLOURS)):
        low, high = sorted((luminance(ground), luminance(readable_on(ground))))
        assert (high + 0.05) / (low + 0.05) >= 4.0


def test_a_heat_map_glows_where_it_is_high_and_only_there():
    values = np.zeros((48, 48), np.float32)
    values[:, 24:] = 1.0
    result = drawn([], heat={7: Heat(values, Box(100, 100, 200, 200))})
    there = changed(picture(), result)
    assert there[110:290, 210:290].all()
    assert not there[110:290, 100:190].any()
    there[100:300, 100:300] = False
    assert not there.any()


@pytest.mark.parametrize(
    ("square", "is_seen"),
    [
        ((-300, -200, 400, 400), True),
        ((600, 400, 90, 90), True),
        ((-1e6, -1e6, 2e6, 2e6), True),
        ((900, 0, 50, 50), False),
        ((10, 10, 0.1, 0.1), False),
    ],
)
def test_a_heat_map_may_reach_outside_the_frame(square, is_seen):
    result = drawn([], heat={1: Heat(np.full((96, 96), 0.9, np.float32), Box(*square))})
    assert changed(picture(), result).any() == is_seen


NOBODY_HAS_IT = "\U000f1234"
"""A character for private use."""


@pytest.mark.parametrize("name", ["радость", "χαρά", "שמחה", "سعادة", "glücklich", "đánh"])
def test_names_in_other_alphabets_are_written(name):
    assert has_characters(font_file(name), name)
    assert has_characters(font_file(name, bold=True), name)
    assert writable(name, (name,)) == name


def test_a_name_that_no_font_can_write_is_drawn_by_its_number():
    labels = ("happy", NOBODY_HAS_IT)
    assert not has_characters(font_file("x"), NOBODY_HAS_IT)
    assert writable(NOBODY_HAS_IT, labels) == "class 1"
    assert changed(picture(), drawn([prediction((200, 150, 160, 160), labels[1], labels=labels)], labels=labels)).any()

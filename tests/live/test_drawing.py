"""What drawing stands on: names in any script, text that is kept but not without bound, and where marks go."""

import numpy as np
import pytest

from fer_core.live.canvas import WHITE, Rect, Stamp, Stamps, paste, tinted
from fer_core.live.overlay import Obstacle, beside, best_place, rect_of
from fer_core.live.text import font_file, has_characters, in_dejavu, one_line, shortened, writable

NOBODY_HAS_IT = "\U000f1234"
"""A character for private use."""


def picture(width: int, height: int, tone: int = 200) -> np.ndarray:
    return np.full((height, width, 3), tone, np.uint8)


@pytest.mark.parametrize("name", ["радость", "χαρά", "שמחה", "سعادة", "glücklich", "đánh"])
def test_names_in_other_alphabets_are_written(name):
    assert has_characters(font_file(name), name)
    assert has_characters(font_file(name, bold=True), name)
    assert writable(name, (name,)) == name


def test_a_name_that_no_font_can_write_is_told_by_its_number():
    labels = ("happy", NOBODY_HAS_IT)
    assert not has_characters(font_file("x"), NOBODY_HAS_IT)
    assert writable(NOBODY_HAS_IT, labels) == "class 1"


def test_text_is_put_on_one_line():
    assert one_line("two\nlines\x1b[31m") == "two lines [31m"
    assert len(one_line("x" * 1000)) == 200
    assert shortened("surprise", 8) == "surprise"
    assert shortened("surprised", 8) == "surpris…"
    assert in_dejavu(f"clip {NOBODY_HAS_IT} – é.mp4") == "clip ? – é.mp4"


def test_rendered_text_is_kept_but_never_more_than_so_many_lines_of_it():
    stamps = Stamps(most_texts=20)
    first = stamps.text("happy", 14, WHITE, False)
    assert stamps.text("happy", 14, WHITE, False) is first
    for number in range(50):
        stamps.text(f"{number} frames/s", 14, WHITE, False)
    assert stamps.text.cache_info().currsize == 20
    assert stamps.text("happy", 14, WHITE, False) is not first


@pytest.mark.parametrize(("left", "top"), [(-3, -2), (8, 7), (-50, 0), (0, 50), (2, 2)])
def test_stamps_are_cut_off_at_the_edges(left, top):
    opacity = np.full((5, 6), 255, np.uint8)
    canvas, expected = picture(10, 10), picture(10, 10)
    paste(canvas, tinted(opacity, (9, 8, 7)), left, top)
    expected[max(0, top) : max(0, top + 5), max(0, left) : max(0, left + 6)] = (9, 8, 7)
    assert (canvas == expected).all()


def test_stamps_are_blended_by_their_opacity():
    canvas = picture(4, 4, 100)
    paste(canvas, tinted(np.full((4, 4), 51, np.uint8), (200, 200, 200)), 0, 0)
    assert np.abs(canvas.astype(int) - 120).max() <= 1
    nothing = Stamp(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8))
    before = canvas.copy()
    paste(canvas, nothing, 0, 0)
    assert (canvas == before).all()


def test_the_place_that_hides_least_is_taken_and_kept_among_equals():
    room = Rect(0, 0, 640, 480)
    face, label = Rect(250, 150, 100, 100), Rect(250, 130, 100, 20)
    paths = beside(face, label, (150, 90), gap=6)
    assert best_place(paths, [Obstacle(face)], picture=room).side == "right"
    assert best_place(paths, [Obstacle(face)], picture=room, last="above").side == "above"
    slightly = [Obstacle(room), Obstacle(Rect(0, 0, 250, 480), 0.2)]
    assert best_place(paths, slightly, picture=room, last="left").side == "left"
    assert best_place(paths, slightly, picture=room).side != "left"
    assert best_place(paths, [Obstacle(Rect(360, 0, 280, 480))], picture=room).side == "left"
    blocked = best_place(paths, [Obstacle(room, 2.0)], picture=room)
    assert blocked.hides == 2 * 150 * 90
    assert paths["above"].bottom <= label.top
    for place in paths.values():
        assert place.shared_area(face) == place.shared_area(label) == 0


def test_boxes_far_outside_end_just_outside_the_picture():
    room = Rect(0, 0, 640, 480)
    assert rect_of((10.4, 20.6, 30.0, 40.0), room) == Rect(10, 21, 30, 40)
    far = rect_of((-1e12, 5.0, 2e12, 10.0), room)
    assert -100 < far.left < 0
    assert 640 < far.right < 740

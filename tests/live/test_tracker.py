"""People keep their numbers: while they move, cross, are hidden for a moment; and not when they come back later."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.faces import Box, Face
from fer_core.live.tracker import BRIDGE_SECONDS, Move, Tracker

RATE = 30


def face(x: float, y: float = 100.0, size: float = 80.0) -> Face:
    return Face(Box(x, y, size, size), 0.9)


def people_at(tracker: Tracker) -> dict[int, float]:
    """Returns where each person is: the left edges of the boxes by number."""
    return {track.person: track.box.x for track in tracker.people}


def run(frames: list[list[Face]], *, rate: float = RATE) -> list[dict[int, float]]:
    """Returns the people after each frame, every one of which is looked at whole."""
    tracker = Tracker()
    seen = []
    for number, faces in enumerate(frames):
        tracker.find(faces, number / rate)
        seen.append(people_at(tracker))
    return seen


@pytest.mark.parametrize(("rate", "queries"), [(5, 2), (30, 5), (120, 13)])
def test_a_later_face_counts_when_it_is_found_for_a_tenth_of_a_second(rate, queries):
    seen = run([[face(10)], *([face(10), face(300)] for _ in range(queries))], rate=rate)
    assert seen[-1] == {1: 10, 2: 300}
    assert set(seen[-3]) == {1}


def test_a_false_alarm_and_a_face_found_twice_never_become_a_person():
    alarms = [[face(10)] + ([face(400)] if number % 4 < 2 else []) for number in range(1, 60)]
    twice = [[face(10), face(25, 110, 50)] for _ in range(10)]
    for frames in (alarms, twice):
        assert all(set(seen) == {1} for seen in run([[face(10)], *frames]))


@pytest.mark.parametrize("rate", [8, 15, 30, 120])
def test_a_person_who_moves_keeps_the_number(rate):
    frames = [[face(300 + 150 * np.sin(3 * number / rate))] for number in range(4 * rate)]
    assert all(set(seen) == {1} for seen in run(frames, rate=rate))


def test_two_people_who_cross_keep_their_numbers_when_one_hides_the_other():
    seen = []
    tracker = Tracker()
    for number in range(80):
        left, right = face(20 + 6 * number), face(500 - 6 * number)
        is_hidden = abs(left.box.x - right.box.x) < 50
        tracker.find([left] if is_hidden else [right, left], number / RATE)
        seen.append(people_at(tracker))
    assert seen[-1] == {1: 500 - 6 * 79, 2: 20 + 6 * 79}  # the first frame numbers them as they were given


def test_a_short_miss_is_bridged_and_the_box_goes_on_for_a_while():
    frames = [[face(100 + 4 * number)] for number in range(20)]
    hidden = round(BRIDGE_SECONDS * RATE) - 1
    seen = run(frames + [[]] * hidden + [[face(100 + 4 * (20 + hidden // 3))]])
    assert all(set(people) == {1} for people in seen)
    assert seen[19][1] < seen[20][1] < seen[20 + hidden - 1][1] < seen[19][1] + 40


def test_who_is_gone_for_longer_gets_a_new_number_and_nothing_is_kept():
    tracker = Tracker()
    for number in range(10):
        tracker.find([face(100)], number / RATE)
    for number in range(10, 10 + RATE):
        tracker.find([], number / RATE)
    assert tracker.tracks == []
    for number in range(41, 46):
        tracker.find([face(100)], number / RATE)
    assert people_at(tracker) == {2: 100}


def test_between_detections_the_box_moves_as_measured_and_not_for_longer_than_the_bridge():
    tracker = Tracker()
    tracker.find([face(100)], 0.0)
    tracker.follow({tracker.tracks[0]: Move(right=10, down=-5, growth=1.1)}, 0.03)
    assert tracker.tracks[0].box == pytest.approx(Box(106, 91, 88, 88))
    tracker.follow({}, BRIDGE_SECONDS + 0.01)
    assert tracker.tracks == []


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 0.5), min_size=5, max_size=40), st.integers(0, 99))
def test_at_irregular_times_with_trembling_boxes_there_is_one_person(pauses, seed):
    tracker, random = Tracker(), np.random.default_rng(seed)
    for time in itertools.accumulate(pauses):
        tracker.find([face(*(100 + random.normal(0, 4, 2)), 80 + random.normal(0, 4))], time)
        assert set(people_at(tracker)) == {1}

"""The courses of probabilities: right, bounded and quick for hours, and a plot that says what it leaves out."""

import time
import warnings
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fer_core.faces.face import Box
from fer_core.live.frame import Frame, Shown
from fer_core.live.prediction import Prediction
from fer_core.live.summary import Record
from fer_core.live.timeline import (
    MOST_DRAWN,
    MOST_POINTS,
    UNSURE_COLOUR,
    Timeline,
    make_timeline,
    save_timeline,
    timeline_figure,
)

LABELS = ("angry", "happy", "sad")
PICTURE = np.zeros((2, 2, 3), np.uint8)


def frame(seconds: float) -> Frame:
    return Frame(PICTURE, 0, seconds, datetime(2026, 1, 31, tzinfo=UTC), seconds)


def face(person: int | None, happy: float = 0.8, *, labels=LABELS) -> Prediction:
    rest = (1 - happy) / (len(labels) - 1)
    shares = {label: happy if label == labels[1] else rest for label in labels}
    label = max(shares, key=shares.__getitem__)
    return Prediction(Box(0, 0, 10, 10), label, shares[label], shares, shares[label] < 0.4, person)


def record_of(people: dict, *, seconds: float = 10.0, rate: float = 10.0, labels=LABELS) -> Record:
    """`people`: by number, from when to when each is seen (several pairs)."""
    record = Record(labels)
    for number in range(round(seconds * rate) + 1):
        now = number / rate
        seen = [person for person, spans in people.items() if any(start <= now <= end for start, end in spans)]
        add(record, now, [face(person, labels=labels) for person in seen])
    return record


def add(record: Record, seconds: float, predictions) -> None:
    record.write(Shown(frame(seconds), tuple(predictions), None))


def timeline_of(people: dict, **options) -> Timeline:
    return make_timeline(record_of(people, **options))


def texts(figure) -> list[str]:
    FigureCanvasAgg(figure).draw()
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    legend = [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []
    return [*found, *legend, figure.get_suptitle(), *(legend.get_title().get_text() for legend in figure.legends)]


def nothing_is_cut_off(figure) -> bool:
    FigureCanvasAgg(figure).draw()
    box, whole = figure.get_tightbbox(), figure.bbox_inches
    return box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= whole.x1 + 0.01 and box.y1 <= whole.y1 + 0.01


def test_short_recordings_are_kept_frame_by_frame():
    record = Record(LABELS)
    for number in range(100):
        add(record, number / 30, [face(1, number / 100)])
    (course,) = make_timeline(record).courses
    assert np.allclose(course.seconds, np.arange(100) / 30)
    assert np.allclose(course.shares[:, 1], np.arange(100) / 100)


def test_of_hours_there_are_points_enough_for_a_plot_with_the_right_means():
    record, frames = Record(LABELS), 3600 * 5
    for number in range(frames):
        add(record, number / 5, [face(1, 0.9 if number < frames // 2 else 0.36)])
    began = time.perf_counter()
    (course,) = make_timeline(record).courses
    print(f"{frames:,} predictions in {time.perf_counter() - began:.1f} s")
    assert MOST_POINTS / 2 <= len(course.seconds) <= MOST_POINTS
    assert np.allclose(course.shares.sum(axis=1), 1.0)
    assert (np.diff(course.seconds) > 0).all()
    before, after = course.seconds < 1800 - course.width, course.seconds > 1800 + course.width
    assert course.shares[before, 1] == pytest.approx(0.9) and course.shares[after, 1] == pytest.approx(0.36)
    assert (course.label == 1).all() and course.unsure[after].all() and not course.unsure[before].any()
    assert course.begins.sum() == 1


@pytest.mark.parametrize(
    ("spans", "options", "begins", "seen"),
    [
        ([(0, 4), (6, 10)], {}, [0.0, 6.0], 8.0),  # away
        ([(0, 4), (4.4, 10)], {}, [0.0], 10.0),  # missed for a moment
        ([(0, 100)], {"seconds": 100, "rate": 0.5}, [0.0], 100.0),  # a slow source
    ],
)
def test_a_face_that_was_away_leaves_a_gap_and_a_moment_without_it_none(spans, options, begins, seen):
    (course,) = timeline_of({1: spans}, **options).courses
    assert course.seconds[course.begins] == pytest.approx(begins)
    assert course.seen_seconds == pytest.approx(seen)


def test_a_stream_that_was_gone_leaves_a_gap_for_everybody():
    record = Record(LABELS)
    for now in (0.0, 1.0, 2.0, 62.0, 63.0, 64.0):
        add(record, now, [face(1)])
    (course,) = make_timeline(record).courses
    assert course.seconds[course.begins] == pytest.approx([0.0, 62.0])
    assert course.seen_seconds == pytest.approx(4.0)


def test_people_seen_for_less_than_a_second_are_left_out_and_said_so():
    timeline = timeline_of({1: [(0, 10)], 2: [(3, 3.8)], 3: [(5, 5)]})
    assert [course.person for course in timeline.courses] == [1]
    assert (timeline.short, timeline.others) == (2, 0)
    assert "People left out: 2 seen for less than a second." in texts(timeline_figure(timeline, title="clip.mp4"))


def test_of_many_people_those_seen_longest_are_drawn():
    people = {person: [(0, 2 + person / 4)] for person in range(1, 13)}
    timeline = timeline_of(people)
    assert [course.person for course in timeline.courses] == list(range(5, 13))
    assert (timeline.short, timeline.others) == (0, 12 - MOST_DRAWN)
    assert "4 seen for a shorter time than these" in " ".join(texts(timeline_figure(timeline, title="clip.mp4")))


@pytest.mark.parametrize("people", [1, 3, 8])
def test_there_is_a_panel_with_a_strip_for_each_person(people):
    timeline = timeline_of({person: [(0, 4), (5, 10)] for person in range(1, people + 1)})
    figure = timeline_figure(timeline, title="clip.mp4, model baseline")
    assert len(figure.axes) == 2 * people
    found = texts(figure)
    assert {f"Person {person}, seen for 9.0 s" for person in range(1, people + 1)} <= set(found)
    assert "Emotions over time – clip.mp4, model baseline" in found
    assert found.count("happy") == 1 + 2 * people  # legend and both stretches of the strip
    assert {"angry", "sad", "unsure"} <= set(found)
    assert figure.axes[-1].get_xlabel() == "seconds"
    assert nothing_is_cut_off(figure)


def test_unsure_stretches_are_grey_and_named():
    record = Record(LABELS)
    for number in range(101):
        add(record, number / 10, [face(1, 0.34 if number > 50 else 0.8)])
    figure = timeline_figure(make_timeline(record), title="x")
    (strip,) = figure.axes[0].collections
    red, green, blue = (round(255 * part) for part in strip.get_facecolors()[-1][:3])
    assert f"#{red:02x}{green:02x}{blue:02x}" == UNSURE_COLOUR
    assert "unsure" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(("seconds", "unit", "tick"), [(30, "seconds", "10"), (600, "minutes", "2:00")])
def test_the_axis_is_in_seconds_or_minutes(seconds, unit, tick):
    figure = timeline_figure(timeline_of({1: [(0, seconds)]}, seconds=seconds, rate=2), title="x")
    FigureCanvasAgg(figure).draw()
    assert figure.axes[-1].get_xlabel() == unit
    assert tick in [label.get_text() for label in figure.axes[-1].get_xticklabels()]


def test_any_names_can_be_drawn():
    labels = ("$angry$", "радость", "_sad", "\U000f1234", *(f"class {number}" for number in range(20)))
    timeline = timeline_of({1: [(0, 10)]}, labels=labels)
    figure = timeline_figure(timeline, title="a $5 film\n\U000f1234.mp4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of every character that it cannot draw
        found = texts(figure)
    assert figure.get_suptitle().endswith("film ?.mp4")
    assert "радость" in found
    assert "_sad" in found
    assert nothing_is_cut_off(figure)


def test_the_plot_is_written_whole_into_a_new_folder(tmp_path):
    path = tmp_path / "new" / "timeline.png"
    assert save_timeline(record_of({1: [(0, 10)]}), path, title="clip.mp4")
    assert cv2.imread(str(path)).shape[1] == 1650
    assert [file.name for file in path.parent.iterdir()] == ["timeline.png"]


def test_without_anybody_there_is_no_file(tmp_path):
    record = record_of({1: [(0, 0.5)]})
    assert not save_timeline(record, tmp_path / "timeline.png", title="clip.mp4")
    assert list(tmp_path.iterdir()) == []

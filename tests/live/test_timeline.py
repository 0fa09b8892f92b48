"""The courses of probabilities: right, bounded and quick for hours, and a plot that says what it leaves out."""

import subprocess
import sys
import time
import tracemalloc
import warnings
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fer_core.faces.face import Box
from fer_core.live.frame import Frame
from fer_core.live.prediction import Prediction
from fer_core.live.timeline import MOST_COURSES, MOST_DRAWN, MOST_POINTS, Course, Timeline, save_timeline
from fer_core.live.timeline_figure import UNSURE_COLOUR, timeline_figure

LABELS = ("angry", "happy", "sad")
PICTURE = np.zeros((2, 2, 3), np.uint8)


def frame(seconds: float) -> Frame:
    return Frame(PICTURE, 0, seconds, datetime(2026, 1, 31, tzinfo=UTC), seconds)


def face(person: int | None, happy: float = 0.8, *, labels=LABELS) -> Prediction:
    rest = (1 - happy) / (len(labels) - 1)
    shares = {label: happy if label == labels[1] else rest for label in labels}
    label = max(shares, key=shares.__getitem__)
    return Prediction(Box(0, 0, 10, 10), label, shares[label], shares, shares[label] < 0.4, person)


def timeline_of(people: dict, *, seconds: float = 10.0, rate: float = 10.0, labels=LABELS) -> Timeline:
    """`people`: by number, from when to when each is seen (several pairs)."""
    timeline = Timeline(labels)
    for number in range(round(seconds * rate) + 1):
        now = number / rate
        seen = [person for person, spans in people.items() if any(start <= now <= end for start, end in spans)]
        timeline.add(frame(now), [face(person, labels=labels) for person in seen])
    return timeline


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
    course = Course(1, 2)
    for number in range(100):
        course.add(number / 30, [number / 100, 1 - number / 100], label=0, unsure=False, begins=False)
    points = course.points
    assert np.allclose(points.seconds, np.arange(100) / 30)
    assert np.allclose(points.shares[:, 0], np.arange(100) / 100)


def test_hours_are_kept_in_bounded_memory_with_the_right_means():
    course, frames = Course(1, 3), 4 * 3600 * 30
    began = time.perf_counter()
    for number in range(frames):
        first = number >= frames // 2
        course.add(number / 30, [1.0 - first, first, 0.0], label=int(first), unsure=first, begins=number == 0)
    print(f"{frames:,} readings added in {time.perf_counter() - began:.1f} s")
    points = course.points
    assert MOST_POINTS / 2 <= len(points.seconds) <= MOST_POINTS
    assert np.allclose(points.shares.sum(axis=1), 1.0)
    assert (np.diff(points.seconds) > 0).all()
    middle = frames / 30 / 2
    before, after = points.seconds < middle - points.width, points.seconds > middle + points.width
    assert (points.shares[before, 0] == 1).all()
    assert (points.label[after] == 1).all()
    assert points.unsure[after].all()
    assert not points.unsure[before].any()
    assert points.begins.sum() == 1


def test_no_reading_is_lost_or_counted_twice_when_points_are_merged():
    course, random = Course(1, 1), np.random.default_rng(5)
    shares = random.random(50_000)
    times = np.cumsum(random.exponential(0.05, len(shares)))
    for seconds, share in zip(times, shares, strict=True):
        course.add(seconds, [share], label=0, unsure=False, begins=False)
    assert course._sums[: course._count, 0].sum() == len(shares)
    assert course._sums[: course._count, 3].sum() == pytest.approx(shares.sum())


def test_a_face_that_was_away_leaves_a_gap():
    (course,) = timeline_of({1: [(0, 4), (6, 10)]}).drawn
    points = course.points
    assert points.seconds[points.begins] == pytest.approx([0.0, 6.0])
    assert course.seen_seconds == pytest.approx(8.0)


def test_a_moment_without_the_face_is_no_gap():
    (course,) = timeline_of({1: [(0, 4), (4.4, 10)]}).drawn
    assert course.points.begins.sum() == 1
    assert course.seen_seconds == pytest.approx(10.0)


def test_a_slow_source_has_no_gaps_between_its_frames():
    (course,) = timeline_of({1: [(0, 100)]}, seconds=100, rate=0.5).drawn
    assert course.points.begins.sum() == 1


def test_a_stream_that_was_gone_leaves_a_gap_for_everybody():
    timeline = Timeline(LABELS)
    for now in (0.0, 1.0, 2.0, 62.0, 63.0, 64.0):
        timeline.add(frame(now), [face(1)])
    (course,) = timeline.drawn
    assert course.points.seconds[course.points.begins] == pytest.approx([0.0, 62.0])
    assert course.seen_seconds == pytest.approx(4.0)


def test_people_seen_for_less_than_a_second_are_left_out_and_said_so():
    timeline = timeline_of({1: [(0, 10)], 2: [(3, 3.8)], 3: [(5, 5)]})
    assert [course.person for course in timeline.drawn] == [1]
    assert timeline.left_out == (2, 0)
    assert "People left out: 2 seen for less than a second." in texts(timeline_figure(timeline, title="clip.mp4"))


def test_of_many_people_those_seen_longest_are_drawn():
    people = {person: [(0, 2 + person / 4)] for person in range(1, 13)}
    timeline = timeline_of(people)
    assert [course.person for course in timeline.drawn] == list(range(5, 13))
    assert timeline.left_out == (0, 12 - MOST_DRAWN)
    assert "4 seen for a shorter time than these" in " ".join(texts(timeline_figure(timeline, title="clip.mp4")))


def test_thousands_of_passers_by_take_bounded_memory():
    timeline = Timeline(LABELS)

    def pass_by(people: range) -> None:
        for person in people:
            for step in range(12):
                timeline.add(frame(2.0 * person + step / 10), [face(person), face(-1)])

    pass_by(range(500))
    tracemalloc.start()
    pass_by(range(500, 2000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
    assert len(timeline._courses) == MOST_COURSES
    assert -1 in [course.person for course in timeline.drawn]
    short, others = timeline.left_out
    assert short + others + len(timeline.drawn) == 2001


def test_readings_that_nobody_is_followed_in_are_ignored():
    timeline = timeline_of({None: [(0, 10)]})
    assert timeline.drawn == []
    assert timeline.left_out == (0, 0)


def test_labels_of_another_model_are_ignored():
    timeline = Timeline(LABELS)
    for now in range(5):
        timeline.add(frame(float(now)), [face(1, labels=("a", "b"))])
    assert timeline.drawn == []


@pytest.mark.parametrize("people", [1, 3, 8])
def test_there_is_a_panel_with_a_strip_for_each_person(people):
    timeline = timeline_of({person: [(0, 4), (5, 10)] for person in range(1, people + 1)})
    figure = timeline_figure(timeline, title="clip.mp4, model baseline")
    assert len(figure.axes) == 2 * people
    found = texts(figure)
    assert {f"Person {person}, seen for 9.0 s" for person in range(1, people + 1)} <= set(found)
    assert "Emotions over time – clip.mp4, model baseline" in found
    assert found.count("happy") == 1 + 3 * people  # legend, area and both stretches of the strip
    assert {"angry", "sad", "unsure"} <= set(found)
    assert figure.axes[-1].get_xlabel() == "seconds"
    assert nothing_is_cut_off(figure)


def test_unsure_stretches_are_grey_and_named():
    timeline = Timeline(LABELS)
    for number in range(101):
        timeline.add(frame(number / 10), [face(1, 0.34 if number > 50 else 0.8)])
    figure = timeline_figure(timeline, title="x")
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


def test_a_long_recording_of_eight_people_is_drawn_quickly(tmp_path):
    random = np.random.default_rng(2)
    timeline = Timeline(LABELS)
    for number in range(6000):
        predictions = [face(person, float(random.random())) for person in range(8)]
        timeline.add(frame(number / 2), predictions)
    began = time.perf_counter()
    assert save_timeline(timeline, tmp_path / "timeline.png", title="x")
    took = time.perf_counter() - began
    print(f"drawn in {took:.1f} s")
    assert took < 15


def test_the_plot_is_written_whole_into_a_new_folder(tmp_path):
    path = tmp_path / "new" / "timeline.png"
    assert save_timeline(timeline_of({1: [(0, 10)]}), path, title="clip.mp4")
    assert cv2.imread(str(path)).shape[1] == 1650
    assert [file.name for file in path.parent.iterdir()] == ["timeline.png"]


def test_without_anybody_there_is_no_file_and_the_figure_says_so(tmp_path):
    timeline = timeline_of({1: [(0, 0.5)]})
    assert not save_timeline(timeline, tmp_path / "timeline.png", title="clip.mp4")
    assert list(tmp_path.iterdir()) == []
    assert "Nobody was seen for a second or longer." in texts(timeline_figure(timeline, title="clip.mp4"))


def test_gathering_loads_no_matplotlib_and_drawing_no_pyplot(tmp_path):
    program = (
        "import sys, pathlib\nfrom fer_core.live.timeline import Timeline, save_timeline\n"
        "from fer_core.live.timeline_figure import timeline_figure\n"
        "light = 'matplotlib' not in sys.modules\n"
        "timeline_figure(Timeline(('a', 'b')), title='x')\n"
        "sys.exit(0 if light and 'matplotlib.pyplot' not in sys.modules else 1)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

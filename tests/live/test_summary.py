"""What is said at the end: shares by time, per person, in bounded memory and 80 columns; and the plot over time."""

import io
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from fer_core.cli.live_lines import print_summary
from fer_core.live.output import Record
from fer_core.live.summary import (
    MOST_DRAWN,
    MOST_POINTS,
    Timeline,
    make_timeline,
    save_timeline,
    summarize,
    timeline_figure,
)
from tests.evaluation.conftest import nothing_is_cut_off
from tests.live.fakes import LABELS, face, frame_at, shown
from tests.store.conftest import largest_file


def record_of(moments, *, labels=LABELS, **stages: float) -> Record:
    """`moments`: pairs of seconds and predictions, a frame each."""
    record = Record(labels)
    for number, (seconds, predictions) in enumerate(moments):
        record.write(shown(frame_at(seconds, number=number), *predictions, **stages))
    return record


def printed(record: Record) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=80), record)
    return file.getvalue()


def test_shares_are_of_the_time_and_not_of_the_frames():
    moments = [(0.0, [])]
    moments += [(0.1 * number, [face("happy")]) for number in range(1, 11)]
    moments += [(1.0 + 0.5 * number, [face("sad")]) for number in range(1, 7)]
    summary = summarize(record_of(moments))
    assert summary["all"]["shares"] == {"angry": 0.0, "happy": 0.25, "sad": 0.75}
    assert summary["seconds_with_face"] == pytest.approx(4.0)
    assert summary["shares_are_of"] == "seconds"


def test_unsure_time_is_no_emotion_and_a_lost_stream_counts_at_most_a_second():
    moments = [(number / 10, [face("sad", unsure=number % 2 == 0)]) for number in range(101)]
    whole = summarize(record_of(moments))["all"]
    assert whole["shares"]["sad"] == pytest.approx(0.5, abs=0.01)
    assert whole["unsure"] == pytest.approx(0.5, abs=0.01)
    summary = summarize(record_of([(0.0, [face()]), (60.0, [face()])]))
    assert summary["seconds"] == pytest.approx(1.0 + 1 / 30, abs=0.001)


def test_label_changes_are_counted_for_each_person():
    moments = []
    for number in range(601):
        second = face("sad", person=2, unsure=number % 2 == 0)
        moments.append((number / 10, [face(LABELS[number // 100 % 2]), second]))
    summary = summarize(record_of(moments))
    first, second = summary["people"]
    assert (first["person"], second["person"], summary["faces"]) == (1, 2, 2)
    assert (first["changes"], second["changes"], summary["all"]["changes"]) == (6, 0, 6)
    assert first["changes_per_minute"] == pytest.approx(6.0, abs=0.01)


def test_the_rate_is_by_the_clock_and_the_time_of_a_stage_that_most_frames_do_without_is_its_mean():
    record = Record(LABELS)
    for number in range(300):
        frame = frame_at(number / 30, number=number)._replace(read_at=100 + number / 90)
        record.write(shown(frame, detect=0.0 if number % 3 else 0.006))
    summary = summarize(record)
    assert summary["frames"]["per_second"] == pytest.approx(90.0)
    assert summary["stages_ms"]["detect"]["mean"] == 2.0
    assert summary["stages_ms"]["detect"]["p95"] == pytest.approx(6.0, rel=0.02)
    assert "detect" in printed(record) and "2.00 ms" in printed(record)


def test_each_picture_counts_one_and_its_faces_are_not_one_person():
    record = Record(LABELS)
    for number, labels in enumerate((["happy"], ["sad", "happy", "happy"], [])):
        frame = frame_at(float(number), number=number, name=f"{number}.jpg")
        record.write(shown(frame, *(face(label, person=None) for label in labels)))
    summary = summarize(record)
    assert summary["shares_are_of"] == "faces"
    assert summary["all"]["shares"] == {"angry": 0.0, "happy": 0.75, "sad": 0.25}
    assert (summary["all"]["changes"], summary["faces"]) == (0, 4)
    text = printed(record)
    assert "3 pictures read, 2 of them with a face." in text
    assert "share of the faces" in text
    assert "label changes" not in text


def test_missing_frames_were_dropped_where_the_source_is_live_and_are_damaged_in_a_file():
    for is_live, words in ((True, "1 frame read, 2 dropped"), (False, "1 frame read, 2 skipped")):
        record = Record(LABELS, is_live=is_live)
        record.write(shown(frame_at(0.1, number=2)))
        assert words in printed(record)


def test_a_day_of_passers_by_takes_bounded_memory():
    record = Record(LABELS)

    def pass_by(people: range) -> None:
        for person in people:
            for step in range(3):
                frame = frame_at(20.0 * person + step / 10, number=3 * person + step)
                record.write(shown(frame, face(person=person + 1), detect=0.01))

    pass_by(range(300))
    tracemalloc.start()
    pass_by(range(300, 700))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    summary = summarize(record)
    assert summary["faces"] == len(summary["people"]) == 700
    assert summary["all"]["seconds"] == pytest.approx(summary["seconds_with_face"], abs=0.01)
    assert "695 more people, seen for a shorter time" in printed(record)


def test_where_there_is_no_room_the_summary_is_of_what_was_kept_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with largest_file(2**16):
        record = record_of([(number / 30, [face("happy")]) for number in range(5000)])
        text = printed(record)
        record.close()
    assert 500 < record.count < 5000
    assert f"{record.count:,} frames read" in text
    assert f"The summary is of the first {record.count:,} frames: File too large." in text


def test_it_is_printed_plainly_and_within_80_columns():
    moments = [(number / 30, [face(person=person) for person in range(1, 13)]) for number in range(3000)]
    text = printed(record_of(moments, detect=0.002))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "3,000 frames read, 0 dropped, 30.0 frames/s; 1:40 min long." in text
    assert "12 people; somebody was seen for 1:40 min (100% of the time)." in text
    assert "7 more people, seen for a shorter time" in text
    assert "100%" in text and "2.00 ms" in text


def test_one_person_has_one_column_and_names_of_classes_are_printed_as_they_are():
    lines = printed(record_of([(number / 10, [face("happy")]) for number in range(11)])).splitlines()
    assert "share of the time     #1" in lines
    assert "1 person; somebody was seen for 1.0 s (100% of the time)." in lines
    labels = ("[bold]angry", "радость")
    assert labels[0] in printed(record_of([(0.0, [face(labels[0], 0.5, labels=labels)])], labels=labels))


def followed(people: dict, *, seconds: float = 10.0, rate: float = 10.0, labels=LABELS) -> Record:
    """`people`: by number, from when to when each is seen (several pairs)."""
    moments = []
    for now in np.arange(round(seconds * rate) + 1) / rate:
        seen = [person for person, spans in people.items() if any(start <= now <= end for start, end in spans)]
        moments.append((float(now), [face(labels[1], 0.8, person=person, labels=labels) for person in seen]))
    return record_of(moments, labels=labels)


def timeline_of(people: dict, **options) -> Timeline:
    return make_timeline(followed(people, **options))


def texts(figure) -> list[str]:
    FigureCanvasAgg(figure).draw()
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc="left") for axes in figure.axes]
    legend = [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []
    return [*found, *legend, figure.get_suptitle(), *(legend.get_title().get_text() for legend in figure.legends)]


def test_of_hours_there_are_points_enough_for_a_plot_with_the_right_means():
    sure, unsure = face("happy", 0.9), face("happy", 0.36, unsure=True)
    moments = [(number / 5, [sure if number < 9000 else unsure]) for number in range(18_000)]
    (course,) = make_timeline(record_of(moments)).courses
    assert MOST_POINTS / 2 <= len(course.seconds) <= MOST_POINTS
    assert np.allclose(course.shares.sum(axis=1), 1.0)
    assert (np.diff(course.seconds) > 0).all()
    before, after = course.seconds < 1795, course.seconds > 1805
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
    record = record_of([(now, [face()]) for now in (0.0, 1.0, 2.0, 62.0, 63.0, 64.0)])
    (course,) = make_timeline(record).courses
    assert course.seconds[course.begins] == pytest.approx([0.0, 62.0])
    assert course.seen_seconds == pytest.approx(4.0)


def test_of_many_people_those_seen_longest_are_drawn():
    people = {person: [(0, 2 + person / 4)] for person in range(1, 13)}
    timeline = timeline_of(people | {13: [(3, 3.8)], 14: [(5, 5)]})
    assert [course.person for course in timeline.courses] == list(range(5, 13))
    assert (timeline.short, timeline.others) == (2, 12 - MOST_DRAWN)
    text = " ".join(texts(timeline_figure(timeline, title="clip.mp4")))
    assert "People left out: 2 seen for less than a second" in text and "4 seen for a shorter time than these" in text


@pytest.mark.parametrize("people", [1, 8])
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


def test_the_plot_is_written_whole_into_a_new_folder_and_without_anybody_there_is_none(tmp_path):
    path = tmp_path / "new" / "timeline.png"
    assert not save_timeline(followed({1: [(0, 0.5)]}), path, title="clip.mp4")
    assert list(tmp_path.iterdir()) == []
    assert save_timeline(followed({1: [(0, 10)]}), path, title="clip.mp4")
    assert cv2.imread(str(path)).shape[1] == 1650
    assert [file.name for file in path.parent.iterdir()] == ["timeline.png"]

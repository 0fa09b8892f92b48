"""What is told at the end: shares by time and not by frames, per person, in bounded memory and 80 columns."""

import io
import json
import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from fer_core.faces.face import Box
from fer_core.live.frame import Frame
from fer_core.live.prediction import Prediction
from fer_core.live.summary import FIRST_FRAME_SECONDS, MOST_PEOPLE, Summary, print_summary
from fer_core.live.tally import Durations

LABELS = ("angry", "happy", "sad")


def frame(seconds: float, *, number: int = 0, read_at: float | None = None, name: str = "") -> Frame:
    picture = np.zeros((2, 2, 3), np.uint8)
    read_at = seconds if read_at is None else read_at
    return Frame(picture, number, seconds, datetime(2026, 1, 31, tzinfo=UTC), read_at, name)


def face(label: str, *, person: int | None = 1, unsure: bool = False) -> Prediction:
    shares = {name: 0.6 if name == label else 0.2 for name in LABELS}
    return Prediction(Box(0, 0, 10, 10), label, 0.6, shares, unsure, person)


def summary_of(frames) -> Summary:
    """`frames`: pairs of seconds and readings."""
    summary = Summary(LABELS)
    for number, (seconds, predictions) in enumerate(frames):
        summary.add(frame(seconds, number=number), predictions, {"detect": 0.002})
    return summary


def printed(summary: Summary) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=80), summary)
    return file.getvalue()


def test_shares_are_of_the_time_and_not_of_the_frames():
    frames = [(0.0, [])]
    frames += [(0.1 * number, [face("happy")]) for number in range(1, 11)]
    frames += [(1.0 + 0.5 * number, [face("sad")]) for number in range(1, 7)]
    metadata = summary_of(frames).to_json()
    assert metadata["all"]["shares"] == {"angry": 0.0, "happy": 0.25, "sad": 0.75}
    assert metadata["seconds_with_face"] == pytest.approx(4.0)
    assert metadata["shares_are_of"] == "seconds"


def test_unsure_time_is_no_emotion():
    frames = [(number / 10, [face("sad", unsure=number % 2 == 0)]) for number in range(101)]
    metadata = summary_of(frames).to_json()["all"]
    assert metadata["shares"]["sad"] == pytest.approx(0.5, abs=0.01)
    assert metadata["unsure"] == pytest.approx(0.5, abs=0.01)
    assert sum(metadata["shares"].values()) + metadata["unsure"] == pytest.approx(1.0, abs=0.001)


def test_a_lost_stream_counts_at_most_a_second():
    metadata = summary_of([(0.0, [face("happy")]), (60.0, [face("happy")])]).to_json()
    assert metadata["seconds"] == pytest.approx(1.0 + FIRST_FRAME_SECONDS, abs=0.001)


def test_time_that_runs_backwards_counts_nothing():
    metadata = summary_of([(5.0, [face("happy")]), (1.0, [face("happy")])]).to_json()
    assert metadata["seconds"] == pytest.approx(FIRST_FRAME_SECONDS, abs=0.001)


def test_label_changes_are_counted_for_each_person():
    frames = []
    for number in range(601):
        first = face(LABELS[number // 100 % 2], person=1)
        second = face("sad", person=2, unsure=number % 2 == 0)
        frames.append((number / 10, [first, second]))
    metadata = summary_of(frames).to_json()
    first, second = metadata["people"]
    assert (first["person"], second["person"]) == (1, 2)
    assert first["changes"] == 6
    assert first["changes_per_minute"] == pytest.approx(6.0, abs=0.01)
    assert second["changes"] == 0
    assert metadata["all"]["changes"] == 6
    assert metadata["faces"] == 2


def test_a_label_that_comes_back_unchanged_after_a_gap_is_no_change():
    frames = [(0.0, [face("happy")]), (0.1, []), (0.2, [face("happy")]), (0.3, [face("sad")])]
    assert summary_of(frames).to_json()["all"]["changes"] == 1


def test_frames_that_never_came_were_dropped():
    summary = Summary(LABELS)
    for number in (2, 3, 7):
        summary.add(frame(number / 10, number=number), [], {})
    assert summary.to_json()["frames"] == {"read": 3, "dropped": 5, "with_face": 0, "per_second": 4.0}
    assert summary.frames == 3


def test_the_rate_is_by_the_clock_and_not_by_the_time_stamps():
    summary = Summary(LABELS)
    for number in range(11):
        summary.add(frame(number / 30, number=number, read_at=100 + number / 90), [], {})
    assert summary.to_json()["frames"]["per_second"] == pytest.approx(90.0)


def test_each_picture_counts_one_and_its_faces_are_not_one_person():
    summary = Summary(LABELS)
    for number, labels in enumerate((["happy"], ["sad", "happy", "happy"], [])):
        summary.add(
            frame(float(number), number=number, name=f"{number}.jpg"),
            [face(label, person=None) for label in labels],
            {},
        )
    metadata = summary.to_json()
    assert metadata["shares_are_of"] == "faces"
    assert metadata["all"]["shares"] == {"angry": 0.0, "happy": 0.75, "sad": 0.25}
    assert metadata["all"]["changes"] == 0
    assert metadata["faces"] == 4
    text = printed(summary)
    assert "3 pictures read, 2 of them with a face." in text
    assert "share of the faces" in text
    assert "label changes" not in text


def test_pictures_without_a_face_are_pictures_too():
    summary = Summary(LABELS)
    for number in range(2):
        summary.add(frame(float(number), number=number, name=f"{number}.jpg"), [], {})
    text = printed(summary)
    assert "2 pictures read, 0 of them with a face." in text
    assert "No face was seen." in text


def test_missing_frames_were_dropped_where_the_source_is_live_and_are_damaged_in_a_file():
    for is_live, words in ((True, "1 frame read, 2 dropped"), (False, "1 frame read, 2 skipped")):
        summary = Summary(LABELS, is_live=is_live)
        summary.add(frame(0.1, number=2), [], {})
        assert words in printed(summary)


def test_a_single_frame_has_no_share_of_the_time():
    assert "1 person; somebody was seen for 0.0 s." in printed(summary_of([(0.0, [face("happy")])]))


def test_the_time_of_a_stage_that_most_frames_do_without_is_its_mean():
    summary = Summary(LABELS)
    for number in range(300):
        summary.add(frame(number / 30, number=number), [], {"detect": 0.0 if number % 3 else 0.006})
    stage = summary.to_json()["stages_ms"]["detect"]
    assert (stage["mean"], stage["median"]) == (2.0, 0.001)
    assert stage["p95"] == pytest.approx(6.0, rel=0.02)
    assert "detect" in printed(summary) and "2.00 ms" in printed(summary)


@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_median_and_95th_percentile_are_right_within_two_percent(spread):
    durations, times = Durations(), np.random.default_rng(3).lognormal(-6, spread, 20_000)
    for seconds in times:
        durations.add(seconds)
    assert durations.quantile(0.5) == pytest.approx(np.median(times), rel=0.02)
    assert durations.quantile(0.95) == pytest.approx(np.percentile(times, 95), rel=0.02)


def test_very_short_and_very_long_durations_are_counted():
    durations = Durations()
    assert durations.quantile(0.5) == 0.0
    for seconds in (0.0, -1.0, 1e-9, 1e9):
        durations.add(seconds)
    assert durations.count == 4
    assert durations.quantile(0.5) == pytest.approx(1e-6, rel=0.02)
    assert durations.quantile(1.0) == pytest.approx(1000, rel=0.02)


def test_a_day_of_passers_by_takes_bounded_memory():
    summary = Summary(LABELS)

    def pass_by(people: range) -> None:
        for person in people:
            for step in range(3):
                seconds = 20.0 * person + step / 10
                summary.add(frame(seconds, number=3 * person + step), [face("happy", person=person)], {"detect": 0.01})

    pass_by(range(1000))
    tracemalloc.start()
    pass_by(range(1000, 4000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    metadata = summary.to_json()
    assert grown < 200_000
    assert len(metadata["people"]) == MOST_PEOPLE
    assert metadata["people_not_listed"] == 4000 - MOST_PEOPLE
    assert metadata["faces"] == 4000
    assert metadata["all"]["seconds"] == pytest.approx(metadata["seconds_with_face"], abs=0.01)


def test_the_longest_seen_are_kept_when_there_are_too_many():
    summary = Summary(LABELS)
    for step in range(100):
        summary.add(frame(step / 10, number=step), [face("sad", person=5000)], {})
    for person in range(MOST_PEOPLE + 50):
        summary.add(frame(100.0 + 11 * person, number=100 + person), [face("happy", person=person)], {})
    assert 5000 in [person["person"] for person in summary.to_json()["people"]]


def test_it_is_json():
    metadata = summary_of([(0.0, [face("happy")]), (0.1, [])]).to_json()
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["stages_ms"]["detect"]["median"] == pytest.approx(2.0, rel=0.02)


def test_it_is_printed_plainly_and_within_80_columns():
    frames = [(number / 30, [face("happy", person=person) for person in range(1, 13)]) for number in range(3000)]
    text = printed(summary_of(frames))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "3,000 frames read, 0 dropped, 30.0 frames/s; 1:40 min long." in text
    assert "12 people; somebody was seen for 1:40 min (100% of the time)." in text
    assert "7 more people, seen for a shorter time" in text
    assert "100%" in text
    assert "2.00 ms" in text or "2.0" in text


def test_one_person_has_one_column():
    lines = printed(summary_of([(number / 10, [face("happy")]) for number in range(11)])).splitlines()
    assert "share of the time     #1" in lines
    assert "1 person; somebody was seen for 1.0 s (100% of the time)." in lines


def test_nobody_seen_is_said():
    text = printed(summary_of([(0.0, []), (0.1, [])]))
    assert "No face was seen." in text
    assert "share of the time" not in text


def test_names_of_classes_are_printed_as_they_are():
    labels = ("[bold]angry", "радость")
    summary = Summary(labels)
    shares = dict.fromkeys(labels, 0.5)
    summary.add(frame(0.0), [Prediction(Box(0, 0, 1, 1), labels[0], 0.5, shares, False, 1)], {"[red]detect": 0.1})
    assert "[bold]angry" in printed(summary)
    assert "[red]detect" in printed(summary)

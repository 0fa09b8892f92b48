"""What is told at the end: shares by time and not by frames, per person, in bounded memory and 80 columns."""

import io
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime

import numpy as np
import pytest
from rich.console import Console

from fer_core.cli.live_lines import print_summary
from fer_core.faces.face import Box
from fer_core.live.frame import Frame, Shown
from fer_core.live.prediction import Prediction
from fer_core.live.summary import Record, summarize
from tests.store.conftest import largest_file

LABELS = ("angry", "happy", "sad")


def frame(seconds: float, *, number: int = 0, read_at: float | None = None, name: str = "") -> Frame:
    picture = np.zeros((2, 2, 3), np.uint8)
    read_at = seconds if read_at is None else read_at
    return Frame(picture, number, seconds, datetime(2026, 1, 31, tzinfo=UTC), read_at, name)


def face(label: str, *, person: int | None = 1, unsure: bool = False) -> Prediction:
    shares = {name: 0.6 if name == label else 0.2 for name in LABELS}
    return Prediction(Box(0, 0, 10, 10), label, 0.6, shares, unsure, person)


def record_of(frames) -> Record:
    """`frames`: pairs of seconds and predictions."""
    record = Record(LABELS)
    for number, (seconds, predictions) in enumerate(frames):
        add(record, frame(seconds, number=number), predictions, {"detect": 0.002})
    return record


def add(record: Record, taken: Frame, predictions=(), stage_seconds=None) -> None:
    record.write(Shown(taken, tuple(predictions), None, 0.0, stage_seconds or {}))


def printed(record: Record) -> str:
    file = io.StringIO()
    print_summary(Console(file=file, width=80), record)
    return file.getvalue()


def test_shares_are_of_the_time_and_not_of_the_frames():
    frames = [(0.0, [])]
    frames += [(0.1 * number, [face("happy")]) for number in range(1, 11)]
    frames += [(1.0 + 0.5 * number, [face("sad")]) for number in range(1, 7)]
    metadata = summarize(record_of(frames))
    assert metadata["all"]["shares"] == {"angry": 0.0, "happy": 0.25, "sad": 0.75}
    assert metadata["seconds_with_face"] == pytest.approx(4.0)
    assert metadata["shares_are_of"] == "seconds"


def test_unsure_time_is_no_emotion():
    frames = [(number / 10, [face("sad", unsure=number % 2 == 0)]) for number in range(101)]
    metadata = summarize(record_of(frames))["all"]
    assert metadata["shares"]["sad"] == pytest.approx(0.5, abs=0.01)
    assert metadata["unsure"] == pytest.approx(0.5, abs=0.01)
    assert sum(metadata["shares"].values()) + metadata["unsure"] == pytest.approx(1.0, abs=0.001)


def test_a_lost_stream_counts_at_most_a_second():
    metadata = summarize(record_of([(0.0, [face("happy")]), (60.0, [face("happy")])]))
    assert metadata["seconds"] == pytest.approx(1.0 + 1 / 30, abs=0.001)


def test_label_changes_are_counted_for_each_person():
    frames = []
    for number in range(601):
        first = face(LABELS[number // 100 % 2], person=1)
        second = face("sad", person=2, unsure=number % 2 == 0)
        frames.append((number / 10, [first, second]))
    metadata = summarize(record_of(frames))
    first, second = metadata["people"]
    assert (first["person"], second["person"]) == (1, 2)
    assert first["changes"] == 6
    assert first["changes_per_minute"] == pytest.approx(6.0, abs=0.01)
    assert second["changes"] == 0
    assert metadata["all"]["changes"] == 6
    assert metadata["faces"] == 2


def test_the_rate_is_by_the_clock_and_not_by_the_time_stamps():
    record = Record(LABELS)
    for number in range(11):
        add(record, frame(number / 30, number=number, read_at=100 + number / 90), [], {})
    assert summarize(record)["frames"]["per_second"] == pytest.approx(90.0)


def test_each_picture_counts_one_and_its_faces_are_not_one_person():
    record = Record(LABELS)
    for number, labels in enumerate((["happy"], ["sad", "happy", "happy"], [])):
        add(
            record,
            frame(float(number), number=number, name=f"{number}.jpg"),
            [face(label, person=None) for label in labels],
            {},
        )
    metadata = summarize(record)
    assert metadata["shares_are_of"] == "faces"
    assert metadata["all"]["shares"] == {"angry": 0.0, "happy": 0.75, "sad": 0.25}
    assert metadata["all"]["changes"] == 0
    assert metadata["faces"] == 4
    text = printed(record)
    assert "3 pictures read, 2 of them with a face." in text
    assert "share of the faces" in text
    assert "label changes" not in text


def test_missing_frames_were_dropped_where_the_source_is_live_and_are_damaged_in_a_file():
    for is_live, words in ((True, "1 frame read, 2 dropped"), (False, "1 frame read, 2 skipped")):
        record = Record(LABELS, is_live=is_live)
        add(record, frame(0.1, number=2), [], {})
        assert words in printed(record)


def test_the_time_of_a_stage_that_most_frames_do_without_is_its_mean():
    record = Record(LABELS)
    for number in range(300):
        add(record, frame(number / 30, number=number), [], {"detect": 0.0 if number % 3 else 0.006})
    stage = summarize(record)["stages_ms"]["detect"]
    assert stage["mean"] == 2.0
    assert stage["p95"] == pytest.approx(6.0, rel=0.02)
    assert "detect" in printed(record) and "2.00 ms" in printed(record)


def test_a_day_of_passers_by_takes_bounded_memory():
    record = Record(LABELS)

    def pass_by(people: range) -> None:
        for person in people:
            for step in range(3):
                taken = frame(20.0 * person + step / 10, number=3 * person + step)
                add(record, taken, [face("happy", person=person + 1)], {"detect": 0.01})

    pass_by(range(1000))
    tracemalloc.start()
    pass_by(range(1000, 4000))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000
    metadata = summarize(record)
    assert metadata["faces"] == len(metadata["people"]) == 4000
    assert metadata["all"]["seconds"] == pytest.approx(metadata["seconds_with_face"], abs=0.01)
    assert "3,995 more people, seen for a shorter time" in printed(record)


def test_where_there_is_no_room_the_summary_is_of_what_was_kept_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with largest_file(2**16):
        record = record_of([(number / 30, [face("happy")]) for number in range(5000)])
    text = printed(record)
    assert 500 < record.count < 5000
    assert f"{record.count:,} frames read" in text
    assert f"The summary is of the first {record.count:,} frames: File too large." in text


def test_it_is_printed_plainly_and_within_80_columns():
    frames = [(number / 30, [face("happy", person=person) for person in range(1, 13)]) for number in range(3000)]
    text = printed(record_of(frames))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "3,000 frames read, 0 dropped, 30.0 frames/s; 1:40 min long." in text
    assert "12 people; somebody was seen for 1:40 min (100% of the time)." in text
    assert "7 more people, seen for a shorter time" in text
    assert "100%" in text
    assert "2.00 ms" in text or "2.0" in text


def test_one_person_has_one_column():
    lines = printed(record_of([(number / 10, [face("happy")]) for number in range(11)])).splitlines()
    assert "share of the time     #1" in lines
    assert "1 person; somebody was seen for 1.0 s (100% of the time)." in lines


def test_names_of_classes_are_printed_as_they_are():
    labels = ("[bold]angry", "радость")
    record = Record(labels)
    add(record, frame(0.0), [Prediction(Box(0, 0, 1, 1), labels[0], 0.5, dict.fromkeys(labels, 0.5), False, 1)])
    assert "[bold]angry" in printed(record)


def test_pandas_is_loaded_at_the_end_and_not_before():
    program = "import sys, fer_core.cli.live_session; sys.exit('pandas' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

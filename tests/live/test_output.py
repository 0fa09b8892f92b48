"""The log of readings: whole rows whatever happens, and nothing in them that harms."""

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fer_core.errors import ConfigError, FerError
from fer_core.faces import Box
from fer_core.live.output import COLUMNS, PredictionLog
from fer_core.live.prediction import Prediction
from fer_core.store.files import DiskFullError
from tests.live.fakes import frame_at, shown
from tests.store.conftest import largest_file

LABELS = ("angry", "happy")


def prediction(label: str = "happy", share: float = 0.75, *, person: int | None = 1, **others: float) -> Prediction:
    probabilities = {"angry": 1 - share, "happy": share} | others
    return Prediction(Box(1.26, -2.0, 30.0, 40.04), label, share, probabilities, share < 0.5, person)


def rows_of(path: Path) -> list[dict]:
    """Returns the rows of a log, whatever its kind, as text."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


def write_log(path: Path, *frames: list[Prediction], labels: tuple[str, ...] = LABELS) -> list[dict]:
    """Writes one frame for each list of readings, and returns the rows."""
    log = PredictionLog(path, labels)
    for number, predictions in enumerate(frames):
        log.write(shown(frame_at(number / 25, number=number), *predictions))
    log.close()
    return rows_of(path)


def test_a_csv_has_the_promised_columns_and_a_row_for_every_face_and_frame(tmp_path):
    write_log(tmp_path / "log.csv", [prediction(), prediction("angry", 0.25, person=2)], [], [prediction(person=None)])
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "utc,seconds,frame,person,x,y,width,height,label,confidence,unsure,angry,happy",
        "2026-01-31T12:00:00.000Z,0.0,0,1,1.3,-2.0,30.0,40.0,happy,0.75,false,0.25,0.75",
        "2026-01-31T12:00:00.000Z,0.0,0,2,1.3,-2.0,30.0,40.0,angry,0.25,true,0.75,0.25",
        "2026-01-31T12:00:00.040Z,0.04,1,,,,,,,,,,",
        "2026-01-31T12:00:00.080Z,0.08,2,,1.3,-2.0,30.0,40.0,happy,0.75,false,0.25,0.75",
    ]


def test_json_lines_have_the_same_columns_as_values(tmp_path):
    first, second = write_log(tmp_path / "log.jsonl", [prediction()], [])
    assert tuple(first) == tuple(second) == (*COLUMNS, *LABELS)
    assert first["unsure"] is False and first["x"] == 1.3 and first["happy"] == 0.75 and first["frame"] == 0
    assert second["frame"] == 1 and {second[name] for name in (*COLUMNS[3:], *LABELS)} == {None}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_log_of_pictures_says_in_its_last_column_which_picture_a_row_belongs_to(tmp_path, suffix):
    labels = (*LABELS, "name")
    log = PredictionLog(tmp_path / f"log{suffix}", labels, of_pictures=True)
    log.write(shown(frame_at(0.0, name="a b.jpg"), prediction(name=0.0), prediction(person=None)))
    log.write(shown(frame_at(1.0, name="=1.png")))
    log.close()
    rows = rows_of(log.path)
    assert tuple(rows[0]) == (*COLUMNS, "angry", "happy", "emotion_name", "name")
    formula = "'=1.png" if suffix == ".csv" else "=1.png"  # spreadsheets would compute it
    assert [row["name"] for row in rows] == ["a b.jpg", "a b.jpg", formula]


@pytest.mark.parametrize("name", ["log.csv", "log.CSV", "log.jsonl"])
def test_a_frame_is_on_the_disk_when_write_returns(tmp_path, name):
    log = PredictionLog(tmp_path / name, LABELS)
    log.write(shown(frame_at(0.0), prediction()))
    assert (tmp_path / name).read_text().count("happy") >= 1
    log.close()
    log.close()
    log.write(shown(frame_at(1.0), prediction()))
    assert "12:00:01" not in (tmp_path / name).read_text()


HOSTILE = ("=HYPERLINK(1)", "a,b", 'quo"te', "two\nlines", "@sum", "traurig ü 😀", "label")


def test_hostile_labels_stay_in_their_cells_and_are_no_formulas(tmp_path):
    probabilities = dict.fromkeys(HOSTILE, 0.1)
    faces = [Prediction(Box(0, 0, 9, 9), label, 0.1, probabilities, True, 1) for label in HOSTILE]
    rows = write_log(tmp_path / "log.csv", faces, labels=HOSTILE)
    cells = ["'=HYPERLINK(1)", "a,b", 'quo"te', "two lines", "'@sum", "traurig ü 😀", "label"]
    assert [row["label"] for row in rows] == cells
    assert list(rows[0])[len(COLUMNS) :] == [*cells[:-1], "emotion_label"]
    assert len((tmp_path / "log.csv").read_bytes().splitlines()) == 1 + len(HOSTILE)


@pytest.mark.parametrize("name", ["log.txt", "log", "log.json"])
def test_only_csv_and_json_lines_are_written(tmp_path, name):
    with pytest.raises(ConfigError, match=r"cannot be written: its name must end in \.csv, \.jsonl\.") as caught:
        PredictionLog(tmp_path / name, LABELS)
    assert caught.value.hint == f"For example {tmp_path / 'log.csv'}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_full_disk_is_said_once_and_leaves_whole_rows(tmp_path, name):
    log = PredictionLog(tmp_path / name, LABELS)
    with largest_file(5000), pytest.raises(DiskFullError) as caught:
        for number in range(1000):
            log.write(shown(frame_at(number / 25), prediction(), prediction()))
    assert str(caught.value) == f"No room to go on writing {log.path}; what was written before is kept."
    assert caught.value.hint
    log.write(shown(frame_at(80.0), prediction()))
    log.close()
    rows = rows_of(log.path)
    assert 20 < len(rows) < 100 and {len(row) for row in rows} == {len(COLUMNS) + 2}
    assert all(row["happy"] for row in rows)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_is_full_from_the_start_is_refused_before_the_first_frame(tmp_path):
    (tmp_path / "log.csv").symlink_to("/dev/full")
    with pytest.raises(FerError, match="No room to go on writing"):
        PredictionLog(tmp_path / "log.csv", LABELS)


WRITES_FOR_EVER = """
import itertools, sys
from pathlib import Path
from fer_core.live.output import PredictionLog
from tests.live.fakes import LABELS, face, frame_at, shown
log = PredictionLog(Path(sys.argv[1]), LABELS)
for number in itertools.count():
    log.write(shown(frame_at(number / 25), face(), face()))
    if number == 100:
        print("running", flush=True)
"""


@pytest.mark.parametrize(("name", "number"), [("log.csv", signal.SIGKILL), ("log.jsonl", signal.SIGTERM)])
def test_rows_are_whole_whatever_ends_the_process(tmp_path, name, number):
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path / name)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"running\n"
    child.send_signal(number)
    child.communicate(timeout=20)
    rows = rows_of(tmp_path / name)
    assert len(rows) >= 200
    assert all(row["happy"] is not None and len(row) == len(COLUMNS) + 3 for row in rows)

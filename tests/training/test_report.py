"""What a training tells, and where it is written."""

import errno
import time

import pytest

from fer_core.config import TrainConfig
from fer_core.store.run import read_metrics
from fer_core.store.runs import create_run, latest_unfinished
from fer_core.training import progress as reporting
from fer_core.training.progress import RunReport, epoch_line

ROW = {"epoch": 3, "loss": 1.23456, "accuracy": 0.5, "seconds": 12.34, "images_per_second": 2345.6}


@pytest.fixture
def run(paths):
    return create_run(paths, TrainConfig(), recipe="baseline")


def test_a_training_whose_output_has_no_room_can_be_resumed(run, paths):
    with pytest.raises(OSError, match="No space"), reporting.reporting(run, reporting.ignore):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert latest_unfinished(paths) == run


def test_everything_goes_to_metrics_log_state_and_who_listens(run):
    heard = []
    with RunReport(run, 2, lambda kind, fields: heard.append((kind, fields))) as report:
        report.event("Begins.")
        report.progress(epoch=3, step=1, steps=9, loss=1.5)
        beat = run.state.heartbeat_utc
        report.epoch(ROW)
    entries = read_metrics(run.metrics_jsonl)
    assert [entry["kind"] for entry in entries] == [kind for kind, _ in heard] == ["event", "progress", "epoch"]
    assert {entry["attempt"] for entry in entries} == {2}
    assert entries[2].items() >= ROW.items()
    first, second = run.log_txt.read_text(encoding="utf-8").splitlines()
    assert first.endswith("  Begins.")
    assert second.endswith("  epoch   3  loss 1.2346  accuracy 50.0%  12.3 s  2,346 images/s")
    assert beat is not None
    assert (run.state.epoch, run.state.heartbeat_utc >= beat) == (3, True)
    with_validation = ROW | {"val_loss": 1.5, "val_accuracy": 0.25, "val_macro_f1": 0.2}
    assert "val_loss 1.5000  val_accuracy 25.0%  val_macro_f1 0.200" in epoch_line(with_validation)


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_signs_of_life_go_on_after_the_state_could_not_be_written_and_that_is_said_once(run, monkeypatch):
    monkeypatch.setattr(reporting, "PULSE_SECONDS", 0.02)
    heard, lock = [], run.folder / ".writing.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    with RunReport(run, 1, lambda kind, fields: heard.append((kind, fields))):
        wait_until(lambda: heard)
        time.sleep(0.2)
        lock.rmdir()
        wait_until(lambda: run.state.heartbeat_utc)
    ((kind, fields),) = heard
    assert kind == "event"
    assert fields["text"].startswith("The sign of life cannot be written; it is tried again: ")


def test_how_long_it_takes_is_said_in_words_and_numbers(run):
    heard = []
    with RunReport(run, 1, lambda kind, fields: heard.append(fields)) as report:
        report.estimate(30.5, 100)
        assert report.has_estimate
    assert heard[0]["text"] == "About 30 s an epoch: 51 min for 100 epochs, less if it stops early."
    assert (heard[0]["epoch_seconds"], heard[0]["total_seconds"]) == (30.5, 3050)

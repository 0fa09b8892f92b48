import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from fer_core.store.files import DiskFullError
from fer_core.store.run import MetricsWriter, read_metrics

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def writing(*arguments, **options):
    return closing(MetricsWriter(*arguments, **options))


def test_a_line_says_what_when_and_in_which_attempt(tmp_path):
    with writing(tmp_path / "metrics.jsonl", attempt=2, clock=lambda: NOON) as metrics:
        metrics.write("epoch", epoch=1, loss=float("nan"), accuracy=0.5)
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "kind": "epoch",
        "time": "2026-01-31T12:00:00.000Z",
        "attempt": 2,
        "epoch": 1,
        "loss": None,
        "accuracy": 0.5,
    }


def test_a_line_can_be_read_at_once_and_a_run_without_metrics_has_none(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    with writing(tmp_path / "metrics.jsonl") as metrics:
        metrics.write("progress", step=20)
        assert [entry["step"] for entry in read_metrics(tmp_path / "metrics.jsonl")] == [20]


@pytest.mark.parametrize(
    "torn", [b'{"kind": "progress", "mess', '{"message": "größ'.encode()[:-1], b"{", b"\x00\x00\x00"]
)
def test_a_torn_line_is_ignored_and_does_not_swallow_the_next(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"kind": "event", "message": "started"}\n' + torn)
    assert [entry["message"] for entry in read_metrics(path)] == ["started"]
    with writing(path) as metrics:
        metrics.write("event", message="resumed")
    assert [entry["message"] for entry in read_metrics(path)] == ["started", "resumed"]


def test_a_whole_last_line_without_its_line_break_counts(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"kind": "event"}')
    MetricsWriter(tmp_path / "metrics.jsonl").close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"kind": "event"}\n'
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1


def test_a_line_that_does_not_fit_on_the_disk_costs_only_itself(small_disk):
    path = small_disk / "metrics.jsonl"
    with writing(path) as metrics:
        metrics.write("event", message="before")
        with pytest.raises(DiskFullError, match="No room to write"):
            metrics.write("event", message="x" * 2_000_000)
        path.write_bytes(path.read_bytes()[:1000])
        metrics.write("event", message="after")
    assert [entry["message"] for entry in read_metrics(path)] == ["before", "after"]

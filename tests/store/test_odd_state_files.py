"""State files that are damaged, or from somebody else: each is refused with its reason, and hides no other."""

import json
import os
from pathlib import Path

import pytest

from fer_core.errors import ArtifactError
from fer_core.store.files import parse_json, read_json
from fer_core.store.promotion import awaiting_promotion, current, model_in_use, promote, step_back
from fer_core.store.run import read_metrics
from fer_core.store.runs import latest_unfinished, list_runs

CONTENTS = {
    "empty": b"",
    "garbage": b"\x00\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "deep": b"[" * 100_000,
    "not quite so deep": b"[" * 300 + b"]" * 300,
    "long number": b'{"epoch":1' + b"0" * 5000 + b"}",
    "no number": b'{"a":NaN}',
    "infinite": b'{"a":1e999}',
}


MADE = {
    "folder": Path.mkdir,
    "loop": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


def put(path, kind):
    """Puts something odd in the place of a file."""
    path.unlink(missing_ok=True)
    if kind in MADE:
        MADE[kind](path)
    else:
        path.write_bytes(CONTENTS[kind])


@pytest.mark.parametrize("content", [*CONTENTS, *MADE])
def test_an_odd_file_of_a_run_or_pointer_is_refused_and_hides_no_other_run(paths, make_finished_run, content):
    odd, good = make_finished_run(), make_finished_run()
    put(odd.folder / "state.json", content)
    with pytest.raises(ArtifactError, match=f"state of run {odd.id} cannot be read: |is no state of a run"):
        _ = odd.state
    put(odd.folder / "manifest.json", content)
    with pytest.raises(ArtifactError, match=f"Run {odd.id} has no readable manifest|is no manifest of this version"):
        _ = odd.manifest
    assert good.manifest.run_id == good.id
    assert good in list_runs(paths)
    assert latest_unfinished(paths) is None
    promote(paths, good)
    assert (awaiting_promotion(paths), step_back(paths) is None) == (None, False)
    put(paths.models / "current.json", content)
    if content == "loop":  # as good as none
        assert current(paths) is None
    else:
        with pytest.raises(ArtifactError):
            current(paths)


@pytest.mark.parametrize("run_id", ["../../x", "a/b", "", "x\n", "x" * 200])
def test_a_pointer_leads_to_a_run_and_nowhere_else(paths, make_finished_run, run_id):
    promote(paths, make_finished_run())
    path = paths.models / "current.json"
    pointer = json.loads(path.read_text())
    for changed in ({"run": run_id}, {"previous": [run_id]}, {"previous": ["x"] * 100_000}):
        path.write_text(json.dumps(pointer | changed))
        with pytest.raises(ArtifactError, match="is no pointer to a run"):
            model_in_use(paths)


STATES = [
    {"epoch": -5},
    {"epochs": [3]},
    {"finished_utc": "never"},
    {"started_utc": "2026-01-31T12:00:00"},
    {"heartbeat_utc": "2026-01-31T12:00:00Z" + " " * 10**6},
]
MANIFESTS = [
    {"created_utc": "never"},
    {"temperature": 1e-320},
    {"temperature": 1e300},
    {"scores": {"accuracy": "high"}},
    {"scores": {"accuracy_interval": "ab"}},
    {"scores": {"images": 10**400}},
    {"run_id": "../x"},
    {"members": ["../x"]},
    *(
        {"history_csv": path}
        for path in ("../../secret.csv", "/etc/passwd.csv", "a/../../b.csv", "x\0.csv", "manifest.json")
    ),
]


@pytest.mark.parametrize("changes", [*STATES, *MANIFESTS], ids=str)
def test_values_that_no_run_writes_are_refused(make_finished_run, changes):
    run = make_finished_run()
    path = run.folder / ("state.json" if changes in STATES else "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ArtifactError, match=next(iter(changes)) if changes in MANIFESTS else "no state of a run"):
        _ = run.state if changes in STATES else run.history_csv


def test_metrics_that_no_training_writes_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = {"kind": "epoch", "time": "t", "epoch": 1, "loss": 0.5, "val_loss": None}
    changes = [("loss", "x"), ("loss", [1]), ("epoch", 10**20), ("epoch", True), ("epoch", None), ("seconds", 10**400)]
    odd = [good | dict([change]) for change in changes]
    odd += [{"kind": "progress", "step": "x"}, {"kind": ["epoch"]}, {}, [], 5]
    lines = [*map(json.dumps, odd), "[" * 100_000, '{"kind":"epoch","epoch":1,"loss":NaN}', json.dumps(good)]
    path.write_text("\n".join(lines))
    assert read_metrics(path) == [good]


@pytest.mark.parametrize("content", ["folder", "pipe", "device"])
def test_metrics_that_are_no_file_are_refused(tmp_path, content):
    put(tmp_path / "metrics.jsonl", content)
    with pytest.raises(ArtifactError, match=r"neither a file nor a folder|Is a directory"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_what_is_not_nested_too_deep_is_read(tmp_path):
    value = {"a": [{"b": [1.5, None, "[[[[", {}]}]}
    (tmp_path / "x.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "x.json", "x") == value
    assert parse_json("[" * 60 + "]" * 60) != []
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 61 + "]" * 61)

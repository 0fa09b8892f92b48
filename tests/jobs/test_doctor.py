"""`doctor`: what it finds without a broker, and what it says to do. With one: tests/jobs/test_up.py."""

import json
import os
import socket

import pytest

from fer_core.errors import DatasetError
from fer_core.job.broker import read_record
from fer_core.locks import taken
from fer_core.resources import file_lock
from fer_core.store.promotion import model_copy, promote
from fer_core.tuning.stage import slot_lock
from fer_core.tuning.trials import note_refusal
from jobs.console import Context
from jobs.doctor import CHECKS, Finding, clock_finding
from tests.jobs.parts import asking, fill_search, make_finished_run, make_job


@pytest.fixture
def look(paths, tmp_path, monkeypatch):
    """Returns look(name, **environ): what one of the checks finds."""
    monkeypatch.chdir(tmp_path)

    def check(name: str, **environ: str) -> list[Finding]:
        return list(CHECKS[name](Context(paths, environ=environ)))

    return check


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def test_clocks_that_differ_are_worse_the_more_they_do(look, paths):
    assert levels(clock_finding("it", seconds) for seconds in (1.0, -8.0, 90.0)) == ["ok", "warn", "bad"]
    assert "8.0 s behind" in clock_finding("it", -8.0).text and "NTP" in clock_finding("it", 90.0).todo
    assert look("clock") == []
    paths.models.mkdir()
    assert levels(look("clock")) == ["ok"]  # the disk's
    assert list(paths.models.iterdir()) == []


def test_the_disk_is_looked_at_where_the_folders_will_be_and_jobs_in_order_are_counted(look, paths):
    assert any("GB free" in finding.text for finding in look("disk"))
    assert not paths.models.exists()
    make_job(paths)
    with taken(make_job(paths, epochs=2).lock):
        (finding,) = look("jobs")
    assert (finding.level, finding.text) == ("ok", "1 running, 1 waiting, none stuck")


def test_jobs_that_are_stuck_are_named_with_what_to_do(look, paths):
    untaken, crashing, refused, search = make_job(paths), make_job(paths), make_job(paths), make_job(paths, "tune")
    os.utime(untaken.marker, (1, 1))
    with taken(crashing.lock) as held:
        held.note(crashes=2)
    with taken(refused.lock) as held:
        held.note(refused_by={"gpu0@bad/17": "There are no images.\n…"})
    note_refusal(search.search, "gpu0@bad/17", "Its process crashed.")
    texts = {finding.text.partition(":")[0]: finding for finding in look("jobs")}
    assert set(texts) == {untaken.id, crashing.id, refused.id, search.id}
    assert "nobody takes it" in texts[untaken.id].text
    assert "2 times" in texts[crashing.id].text and f"jobs logs {crashing.id}" in texts[crashing.id].todo
    assert texts[refused.id].text.endswith("gpu0@bad/17 could not begin it: There are no images.")
    assert "Its process crashed." in texts[search.id].text
    assert all(finding.todo for finding in texts.values())


def test_a_search_with_trials_that_nobody_is_at_is_stuck(look, paths):
    job = make_job(paths, "tune")
    fill_search(job.search, [0.4, None])
    (before,) = look("jobs")  # its next trial may be on its way
    for path in (job.marker, job.search.state_json):
        os.utime(path, (1, 1))
    (finding,) = look("jobs")
    with taken(slot_lock(job.search, 0)):
        (after,) = look("jobs")
    assert (finding.level, "nobody takes it" in finding.text) == ("warn", True)
    assert before == after == Finding("ok", "jobs", "1 running, 0 waiting, none stuck")


def test_the_model_in_use_is_looked_at(look, paths):
    run = make_finished_run(paths)
    promote(paths, run)
    assert levels(look("model")) == ["ok"]
    model_copy(paths).write_bytes(b"another")
    (finding,) = look("model")
    assert (finding.level, finding.todo) == ("warn", f"`python -m jobs promote {run.id}`")
    run.model_h5.write_bytes(b"spoilt")
    assert levels(look("model")) == ["bad"]


def test_data_that_is_named_must_be_there(look, tmp_path):
    assert levels(look("data")) == ["warn"]
    assert levels(look("data", FER_DATA="sample")) == ["ok"]
    with pytest.raises(DatasetError, match=r"nothing\.zip"):
        look("data", FER_DATA=str(tmp_path / "nothing.zip"))


def test_an_up_that_was_killed_is_told_from_one_that_runs(look, paths):
    paths.state.mkdir(parents=True)
    assert look("up") == []
    record = {"url": "redis+socket:///s", "pid": os.getpid(), "host": socket.gethostname()}
    (paths.state / "broker.json").write_text(json.dumps(record))
    with file_lock(paths.state / ".up.lock"):
        assert levels(look("up")) == ["ok"]
    assert levels(look("up")) == ["warn"]  # also where another process has its number by now
    (paths.state / "broker.json").write_text(json.dumps(record | {"host": "elsewhere"}))
    assert levels(look("up")) == ["bad"]
    assert look("up", FER_BROKER_URL="redis://there") == []
    (paths.state / "broker.json").write_text('{"url": "redis')
    assert read_record(paths.state) is None


def test_what_cannot_be_looked_at_is_bad_and_the_rest_is_looked_at(paths, monkeypatch, tmp_path, capsys):
    ask = asking(paths, monkeypatch, capsys, without=())
    monkeypatch.setitem(CHECKS, "broker", lambda context: iter(()))
    assert "schedule  " in ask("doctor").out and "nightly_retrain" in ask("doctor").out
    (tmp_path / "broken.toml").write_text("entry = 5")
    monkeypatch.setenv("FER_SCHEDULE", str(tmp_path / "broken.toml"))
    answer = ask("doctor")
    assert answer.code == 1
    assert "bad" in answer.out and "broken.toml" in answer.out and "GB free" in answer.out

"""`python -m jobs up` as a user starts it: it brings everything, keeps it alive, and leaves nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from fer_core.job.broker import read_record
from fer_core.job.job import job_ids, open_job
from fer_core.paths import Paths
from jobs.machine import answers
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.jobs.parts import Ask, asking
from tests.script import clean_environment


class Up:
    """One `python -m jobs up`, with its output in a file."""

    def __init__(self, paths: Paths, *arguments: str):
        self.paths, self.folder = paths, paths.models.parent
        self._output = self.folder / f"up-{time.monotonic_ns()}.txt"
        self.environment = clean_environment(paths, {"CUDA_VISIBLE_DEVICES": "-1"})
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs", "up", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def family(self) -> list[psutil.Process]:
        """Returns all processes under it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def starts(self, worker: str = "cpu0") -> int:
        """Returns how often a worker of this folder has become ready."""
        logs = (self.paths.state / "logs").glob(f"{worker}@*.txt")
        return sum(path.read_text(errors="replace").count(" ready.") for path in logs)

    def wait_until_ready(self, worker: str = "cpu0", times: int = 1) -> "Up":
        wait_until(lambda: self.starts(worker) >= times or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.output
        return self

    def end(self) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
        for process in (*family, self.process):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def started(redis_server) -> Iterator[Callable[..., Up]]:
    """Returns started(paths, arguments…), which starts an `up` in a folder; all are ended at last."""
    everyone: list[Up] = []

    def start(*arguments: Any) -> Up:
        everyone.append(Up(*arguments))
        return everyone[-1]

    yield start
    for one in everyone:
        one.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory, redis_server) -> Iterator[Up]:
    """One for all tests; the last of them kills it."""
    one = Up(paths_in(tmp_path_factory.mktemp("up")), "--workers", "2")
    try:
        yield one.wait_until_ready().wait_until_ready("cpu1")
    finally:
        one.end()
        print(one.output)


@pytest.fixture
def ask(running, monkeypatch, capsys) -> Ask:
    """Returns ask(arguments…), as a user does in the same folder, with no variable that says where the broker is."""
    return asking(running.paths, monkeypatch, capsys, without=())


def wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert [process.cmdline() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_it_says_what_it_has_started_there_is_one_and_each_worker_has_cores_of_its_own(running, ask):
    state = running.paths.state
    wait_until(lambda: "Jobs that have not ended: 0." in running.output, 20)
    for name in ("cpu0", "cpu1", "beat"):
        assert f"{name} is process " in running.output
        assert next((state.resolve() / "logs").glob(f"{name}@*.txt")).is_file()
    assert "redis+socket://" in running.output
    assert read_record(state).pid == running.process.pid
    second = ask("up")
    assert (second.code, f"process {running.process.pid}" in second.problem) == (2, True)
    assert {path.name for path in state.glob("*.sock")} <= {"redis.sock"}
    mains = [process for process in running.family() if process.ppid() == running.process.pid]
    cores = [set(process.cpu_affinity()) for process in mains if "worker" in process.cmdline()]
    if len(os.sched_getaffinity(0)) > 1:
        assert len(cores) == 2 and not cores[0] & cores[1]


def test_a_job_sent_from_another_terminal_or_by_celery_is_carried_out_and_one_that_failed_is_resumed(running, ask):
    answer = ask("submit", "gc", "--keep-days", "7")
    assert (answer.code, answer.err) == (0, "")
    assert "to the queue cpu. 2 workers take jobs from there." in answer.out
    job_id = answer.out.split()[1]
    assert ask("status", job_id, "--follow").out.splitlines()[-1] == "succeeded"
    wait_until(lambda: f"{job_id}: SUCCEEDED" in running.output, 30)
    call = [sys.executable, "-m", "celery", "-A", "jobs", "call", "evaluate", "--kwargs", '{"run": "20260131-120000-"}']
    sent = subprocess.check_output(call, cwd=running.folder, env=running.environment, text=True, timeout=60)
    job = open_job(running.paths, sent.strip())
    wait_until(lambda: job.end, 90)
    assert job.status == "FAILED"
    answer = ask("resume", job.id)
    assert (answer.code, answer.err) == (0, "")
    assert f"{job.id} goes on as {job.id} in the queue cpu." in answer.out
    wait_until(lambda: job.end, 90)


def test_the_doctor_finds_everything_in_order_but_what_nobody_gave_it(ask):
    findings = json.loads(ask("doctor", "--json").out)
    assert [finding for finding in findings if finding["level"] == "bad" and finding["what"] != "disk"] == []
    said = [f"{finding['what']}: {finding['text']}" for finding in findings]
    for wanted in ("broker: maxmemory-policy noeviction", "broker: appendonly yes", "clock: the broker: within"):
        assert any(text.startswith(wanted) for text in said), said
    assert any("queue gpu: 0 waiting, 2 listening" in text for text in said)
    assert sum(text.startswith("clock: cpu") for text in said) == 2


def test_a_worker_that_is_killed_is_started_again(running):
    (worker,) = [process for process in running.family() if "cpu1@%h" in process.cmdline()][:1]
    worker.kill()
    wait_until(lambda: "cpu1 has ended (killed by SIGKILL)" in running.output, 20)
    running.wait_until_ready("cpu1", times=2)
    assert "cpu1 runs again" in running.output


def test_workers_join_a_broker_elsewhere(running, started, ask, paths):
    one = started(paths, "--join", read_record(running.paths.state).url).wait_until_ready()
    assert "beat is process" not in one.output
    assert "redis.sock" in one.output and not (paths.state / "redis").exists()
    wait_until(lambda: "3 listening" in ask("doctor").out, 30)


@pytest.mark.parametrize(
    ("arguments", "environment", "problem", "hint"),
    [
        ("--join redis+socket:///nowhere/nobody.sock", {}, "cannot be reached", "python -m jobs up"),
        ("--join amqp://localhost", {}, "is no Redis", "redis://HOST"),
        ("", {"FER_REDIS_SERVER": "no-such-server"}, "no-such-server", "pip install"),
        ("", {"FER_REDIS_SERVER": "{}/broken"}, "exit code 1); it starts again in 1 s. It said: Fatal", "moved away"),
        ("", {"FER_STATE_DIR": "{}/broken/state"}, "/broken/state cannot be used", "$FER_STATE_DIR"),
    ],
)
def test_where_it_cannot_begin_it_says_why_in_two_lines(
    redis_server, paths, tmp_path, monkeypatch, capsys, arguments, environment, problem, hint
):
    ask = asking(paths, monkeypatch, capsys, without=())
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'Fatal: it is broken'; exit 1\n")
    broken.chmod(0o755)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    answer = ask("up", *arguments.split())
    assert (answer.code, answer.out) == (2, "")
    assert problem in answer.problem and hint in answer.hint


def test_killed_it_leaves_nothing_for_long_the_next_one_goes_on_and_ctrl_c_ends_all_of_that(running, started, ask):
    paths, family = running.paths, running.family()
    before, starts = set(job_ids(paths)), running.starts()
    running.process.kill()
    running.process.wait()
    wait_until_gone(family, 90)
    waiting = ask("submit", "gc")
    assert (waiting.code, "cannot be reached" in waiting.problem) == (2, True)
    following = started(paths).wait_until_ready(times=starts + 1)
    (job_id,) = set(job_ids(paths)) - before
    wait_until(lambda: open_job(paths, job_id).status == "SUCCEEDED", 60)
    family = following.family()
    assert len(family) >= 4  # server, beat, worker, its child
    following.process.send_signal(signal.SIGINT)
    assert following.process.wait(60) == 0
    assert following.output.splitlines()[-1] == "All of it has ended."
    wait_until_gone(family, 10)
    assert not (paths.state / "broker.json").exists()
    assert not answers(paths.state / "redis.sock")

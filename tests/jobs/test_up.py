"""`python -m jobs up` as a user starts it: it brings everything, keeps it alive, and leaves nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fer_core.job.broker import read_record
from fer_core.job.job import job_ids, open_job
from fer_core.paths import Paths
from jobs.machine import answers, find_server
from tests.conftest import PROJECT, paths_in
from tests.jobs.conftest import wait_until
from tests.script import Answer, clean_environment

pytest.importorskip("celery")


@pytest.fixture(scope="module")
def program() -> Path:
    from fer_core.errors import JobError

    try:
        return find_server(os.environ)
    except JobError as error:
        pytest.skip(f"NOT TESTED: {error} {error.hint}")


class Up:
    """One `python -m jobs up`, with its output in a file."""

    def __init__(self, paths: Paths, *arguments: str, environment: dict[str, str] | None = None):
        self.paths = paths
        self.folder = paths.models.parent
        self._output = self.folder / f"up-{time.monotonic_ns()}.txt"
        self.environment = environment_of(paths) | (environment or {})
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

    def log(self, name: str) -> str:
        files = (self.paths.state / "logs").glob(f"{name}@*.txt")
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)

    def wait_until_ready(self, worker: str = "cpu0", times: int = 1) -> "Up":
        wait_until(lambda: self.log(worker).count(" ready.") >= times or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.output
        return self

    def ask(self, *arguments: str) -> Answer:
        """Runs another `python -m jobs`, in the same folder and with no variable that says where the broker is."""
        child = subprocess.run(
            [sys.executable, "-m", "jobs", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Answer(child.returncode, child.stdout, child.stderr)

    def end(self) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process.poll() is None:
            self.process.kill()


def environment_of(paths: Paths) -> dict[str, str]:
    return clean_environment(paths, {"PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "-1"})


@pytest.fixture
def started(tmp_path, program) -> Iterator:
    """Returns started(arguments…), which starts an `up` in the test's folder; all are ended at last."""
    everyone: list[Up] = []

    def start(*arguments: str, paths: Paths | None = None, **environment: str) -> Up:
        everyone.append(Up(paths or paths_in(tmp_path), *arguments, environment=environment))
        return everyone[-1]

    yield start
    for one in everyone:
        one.end()


@pytest.fixture(scope="module")
def running(tmp_path_factory, program) -> Iterator[Up]:
    """One for all tests that leave it as it is."""
    one = Up(paths_in(tmp_path_factory.mktemp("up")), "--workers", "2")
    try:
        yield one.wait_until_ready().wait_until_ready("cpu1")
    finally:
        one.end()
        print(one.output)


def wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert [process.cmdline() for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_it_says_what_it_has_started(running):
    state = running.paths.state
    wait_until(lambda: "Jobs that have not ended: 0." in running.output, 20)
    for name in ("cpu0", "cpu1", "beat"):
        assert f"{name} is process " in running.output
        assert next((state.resolve() / "logs").glob(f"{name}@*.txt")).is_file()
    assert "redis+socket://" in running.output
    assert read_record(state).pid == running.process.pid
    assert {path.name for path in state.glob("*.sock")} <= {"redis.sock"}


def test_each_worker_has_cores_of_its_own(running):
    mains = [process for process in running.family() if process.ppid() == running.process.pid]
    cores = [set(process.cpu_affinity()) for process in mains if "worker" in process.cmdline()]
    if len(os.sched_getaffinity(0)) > 1:
        assert len(cores) == 2 and not cores[0] & cores[1]


def test_a_job_sent_from_another_terminal_is_carried_out(running):
    answer = running.ask("submit", "gc", "--keep-days", "7")
    assert (answer.code, answer.err) == (0, "")
    assert "to the queue cpu. 2 workers take jobs from there." in answer.out
    job_id = answer.out.split()[1]
    followed = running.ask("status", job_id, "--follow")
    assert followed.out.splitlines()[-1] == "succeeded"
    wait_until(lambda: f"{job_id}: SUCCEEDED" in running.output, 30)


def test_celery_itself_finds_the_broker_too(running):
    command = [sys.executable, "-m", "celery", "-A", "jobs", "call", "gc", "--kwargs", '{"keep_days": 3}']
    child = subprocess.run(
        command, cwd=running.folder, env=running.environment, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    job = open_job(running.paths, child.stdout.strip())
    wait_until(lambda: job.end, 60)
    assert job.order.arguments == {"keep_days": 3}


def test_a_second_one_in_the_same_place_says_that_one_runs(running):
    answer = running.ask("up")
    assert answer.code == 2
    assert f"process {running.process.pid}" in answer.problem
    assert running.process.poll() is None


def test_the_doctor_finds_everything_in_order_but_what_nobody_gave_it(running):
    answer = running.ask("doctor", "--json")
    findings = json.loads(answer.out)
    bad = [finding for finding in findings if finding["level"] == "bad" and finding["what"] != "disk"]
    assert bad == []
    said = [f"{finding['what']}: {finding['text']}" for finding in findings]
    for wanted in ("broker: maxmemory-policy noeviction", "broker: appendonly yes", "clock: the broker: within"):
        assert any(text.startswith(wanted) for text in said), said
    assert any("queue gpu: 0 waiting, 2 listening" in text for text in said)
    assert sum(text.startswith("clock: cpu") for text in said) == 2


def test_a_cancelled_job_is_resumed(running):
    job_id = running.ask("submit", "evaluate", "--run", "20260131-120000-nothing-3f9a").out.split()[1]
    job = open_job(running.paths, job_id)
    wait_until(lambda: job.end, 90)
    assert job.status == "FAILED"
    answer = running.ask("resume", job_id)
    assert (answer.code, answer.err) == (0, "")
    assert f"{job_id} goes on as {job_id} in the queue cpu." in answer.out
    wait_until(lambda: job.end, 90)
    assert running.ask("resume", "no-such-job").code == 2


def test_a_worker_that_is_killed_is_started_again(running):
    (worker,) = [process for process in running.family() if "cpu1@%h" in process.cmdline()][:1]
    worker.kill()
    wait_until(lambda: "cpu1 has ended (killed by SIGKILL)" in running.output, 20)
    running.wait_until_ready("cpu1", times=2)
    assert "cpu1 runs again" in running.output


def test_killed_it_leaves_nothing_for_long_the_next_one_goes_on_and_ctrl_c_ends_all_of_that(started):
    one = started().wait_until_ready()
    family = one.family()
    one.process.kill()
    one.process.wait()
    wait_until_gone(family, 90)
    waiting = one.ask("submit", "gc")
    assert (waiting.code, "cannot be reached" in waiting.problem) == (2, True)
    following = started().wait_until_ready(times=2)
    (job_id,) = job_ids(one.paths)
    wait_until(lambda: open_job(one.paths, job_id).status == "SUCCEEDED", 60)
    check_ctrl_c_ends_all(following)


def check_ctrl_c_ends_all(one: Up) -> None:
    family, state = one.family(), one.paths.state
    assert len(family) >= 4  # server, beat, worker, its child
    one.process.send_signal(signal.SIGINT)
    assert one.process.wait(60) == 0
    assert one.output.splitlines()[-1] == "All of it has ended."
    wait_until_gone(family, 10)
    assert not (state / "broker.json").exists()
    assert not answers(state / "redis.sock")


def test_workers_join_a_broker_elsewhere(running, started, tmp_path):
    url = read_record(running.paths.state).url
    one = started("--join", url).wait_until_ready()
    assert "beat is process" not in one.output
    assert "redis.sock" in one.output and not (one.paths.state / "redis").exists()
    wait_until(lambda: "3 listening" in running.ask("doctor").out, 30)


def test_nothing_is_begun_where_no_broker_answers(started, tmp_path):
    one = started("--join", f"redis+socket://{tmp_path}/nobody.sock?virtual_host=0")
    assert one.process.wait(60) == 2
    lines = one.output.splitlines()
    assert len(lines) == 2 and "cannot be reached" in lines[0]


def test_what_is_no_redis_is_refused(started):
    one = started("--join", "amqp://localhost")
    assert one.process.wait(60) == 2
    assert "is no Redis" in one.output.splitlines()[0]


def test_without_a_server_the_install_commands_are_the_hint(started, tmp_path):
    one = started(FER_REDIS_SERVER="no-such-server")
    assert one.process.wait(60) == 2
    problem, hint = one.output.splitlines()
    assert "no-such-server" in problem and "pip install" in hint


def test_a_state_folder_that_cannot_be_made_is_named(started, tmp_path):
    (tmp_path / "file").write_text("in the way")
    one = started(FER_STATE_DIR=str(tmp_path / "file" / "state"))
    assert one.process.wait(60) == 2
    problem, hint = one.output.splitlines()
    assert str(tmp_path / "file") in problem and "$FER_STATE_DIR" in hint


def test_a_server_that_cannot_start_is_reported_with_what_it_said(started, tmp_path):
    broken = tmp_path / "bin" / "redis-server"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'Fatal: it is broken'; exit 1\n")
    broken.chmod(0o755)
    one = started(FER_REDIS_SERVER=str(broken))
    assert one.process.wait(60) == 2
    problem, hint = one.output.splitlines()
    assert "it is broken" in problem and "exit code 1" in problem
    assert "may be moved away" in hint

"""A job that needs too much memory is ended with a sentence; what only reserves or maps much is left alone."""

import os
import sys
import time
from pathlib import Path

import pytest

from fer_core.errors import ConfigError
from fer_core.locks import taken
from fer_core.resources import memory_bytes
from jobs.process import Ended, memory_limit, used_bytes, watched
from jobs.runner import Runner, RunnerOutcome, Worker
from tests.jobs.conftest import wait_until
from tests.jobs.parts import make_run

TAKES = "import time; taken = b'x' * (400 * 2**20); time.sleep(30)"
BY_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {TAKES!r}])"
RESERVES = "import mmap; a = mmap.mmap(-1, 8 * 2**30, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)"
MAPS = """
import mmap, sys, time
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    print(sum(mapped[::4096]))
time.sleep(1)
"""


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Returns ended(code, *arguments): how a process ended that may use 150 MB."""
    monkeypatch.setenv("FER_JOB_MEMORY", "150MB")
    return lambda code, *arguments: watched(
        [sys.executable, "-c", code, *arguments], tmp_path / "log.txt", lambda: None
    )


@pytest.mark.parametrize("code", [TAKES, BY_A_CHILD], ids=["itself", "its child"])
def test_a_process_that_takes_too_much_is_ended_with_a_sentence(ended, code):
    began = time.monotonic()
    kind, message = ended(code)
    assert kind == "too_large" and time.monotonic() - began < 20
    assert message.startswith("It needed more than 0.2 GB of memory, of the ") and "$FER_JOB_MEMORY" in message


def test_one_that_only_reserves_address_space_or_reads_a_large_file_through_a_map_is_left_alone(ended, tmp_path):
    with (tmp_path / "images").open("wb") as file:
        for _ in range(3):
            file.write(b"x" * (100 * 2**20))
    assert ended(RESERVES) == ended(MAPS, str(tmp_path / "images")) == Ended("done")


def test_the_system_would_end_it_before_anything_else(ended, tmp_path):
    assert ended("import time; time.sleep(1); print(open('/proc/self/oom_score_adj').read())").kind == "done"
    assert (tmp_path / "log.txt").read_text().split() == ["500"]


def test_the_limit_is_a_share_of_what_there_is_or_an_amount():
    assert memory_limit({}) == int(0.9 * memory_bytes())
    assert memory_limit({"FER_JOB_MEMORY": "50 %"}) == int(0.5 * memory_bytes())
    assert memory_limit({"FER_JOB_MEMORY": "1.5GB"}) == memory_limit({"FER_JOB_MEMORY": "1536m"}) == 1536 * 2**20
    for text in ("much", "0%", "101%", "-1G", "12", "nan%"):
        with pytest.raises(ConfigError, match="no amount of memory"):
            memory_limit({"FER_JOB_MEMORY": text})


def test_where_the_limit_is_no_amount_nothing_is_begun_and_why_is_said(ended, monkeypatch):
    monkeypatch.setenv("FER_JOB_MEMORY", "much")
    kind, message = ended("")
    assert (kind, message.splitlines()[0]) == ("refused", "$FER_JOB_MEMORY is 'much', no amount of memory.")


def test_a_training_that_is_refused_when_it_is_to_go_on_has_failed_and_waits_for_no_room(paths, tmp_path):
    run = make_run(paths, status="INTERRUPTED")
    command = [sys.executable, "-c", "print('Error: The images are gone.'); raise SystemExit(2)"]
    worker = Worker("w0", lambda: False)
    with taken(tmp_path / ".job.lock") as held:
        others = (tmp_path / ".cancel", held, worker, lambda: False)
        outcome = Runner(command, tmp_path / "log.txt", lambda: run, *others).outcome("message")
    assert outcome == RunnerOutcome("failed", "The images are gone.")


def test_what_a_process_has_for_itself_is_counted():
    assert used_bytes([os.getpid()]) > 2**20
    assert used_bytes([2**22 + 1]) == 0


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("print('Error: No room.'); print('Make some.'); raise SystemExit(2)", "refused", "No room.\nMake some."),
        ("raise SystemExit(3)", "not_finite", "The loss became NaN or infinite."),
        ("raise SystemExit(75)", "held", ""),
        ("raise SystemExit(143)", "interrupted", "A signal from outside ended its process."),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "Its process crashed (killed by SIGSEGV)."),
    ],
)
def test_how_a_process_ended_is_named(ended, code, kind, message):
    assert ended(code) == Ended(kind, message)


def test_nothing_that_a_process_has_started_outlives_it(ended, tmp_path):
    pid = tmp_path / "pid"
    code = f"import subprocess as s; p = s.Popen(['sleep', '60']); open({str(pid)!r}, 'w').write(str(p.pid))"
    assert ended(code).kind == "done"
    status = Path(f"/proc/{pid.read_text()}/stat")
    wait_until(lambda: not status.exists() or status.read_text().split()[2] == "Z", 5)

"""A job that needs too much memory is ended with a sentence; what only reserves or maps much is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_core.errors import ConfigError
from fer_core.resources import memory_bytes
from jobs.memory import MemoryWatch, memory_limit, used_bytes

LIMIT = 150 * 2**20
TAKES = "import time; taken = b'x' * (400 * 2**20); time.sleep(30)"
BY_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {TAKES!r}])"
RESERVES = "import mmap; a = mmap.mmap(-1, 8 * 2**30, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE); print('well')"
MAPS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    print(sum(mapped[::4096]), end="")
import time; time.sleep(1)
"""


def watched(code: str, *arguments: str, limit: int = LIMIT) -> tuple[int, str]:
    """Returns how a process that leads a group ended, and what the watch says of it."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    with MemoryWatch(process.pid, limit) as watch:
        code = process.wait(25)
    return code, watch.message


@pytest.mark.parametrize("code", [TAKES, BY_A_CHILD], ids=["itself", "its child"])
def test_a_process_that_takes_too_much_is_ended_with_a_sentence(code):
    began = time.monotonic()
    ended, message = watched(code)
    assert ended == -signal.SIGKILL and time.monotonic() - began < 20
    assert message.startswith("It needed more than 0.2 GB of memory, of the ")
    assert "$FER_JOB_MEMORY" in message


def test_one_that_only_reserves_address_space_is_left_alone():
    assert watched(RESERVES) == (0, "")


def test_so_is_one_that_reads_a_large_file_through_a_map(tmp_path):
    file = tmp_path / "images"
    with file.open("wb") as made:
        for _ in range(3):
            made.write(b"x" * (100 * 2**20))
    assert watched(MAPS, str(file)) == (0, "")


def test_the_system_would_end_it_before_anything_else():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    with MemoryWatch(process.pid, LIMIT):
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "500\n"
        process.communicate(b"\n")


def test_the_limit_is_a_share_of_what_there_is_or_an_amount():
    assert memory_limit({}) == int(0.9 * memory_bytes())
    assert memory_limit({"FER_JOB_MEMORY": "50 %"}) == int(0.5 * memory_bytes())
    assert memory_limit({"FER_JOB_MEMORY": "1.5GB"}) == memory_limit({"FER_JOB_MEMORY": "1536m"}) == 1536 * 2**20
    for text in ("much", "0%", "101%", "-1G", "12", "nan%"):
        with pytest.raises(ConfigError, match="no amount of memory"):
            memory_limit({"FER_JOB_MEMORY": text})


def test_what_a_process_has_for_itself_is_counted():
    assert used_bytes([os.getpid()]) > 2**20
    assert used_bytes([2**22 + 1]) == 0

"""How a command line ends and prints: exit codes, two lines for what can be mended, a traceback for what is ours."""

import errno
import fcntl
import io
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from fer_core.cli import ended, run_in_child
from fer_core.cli.command_line import Output, say, say_wrapped
from fer_core.errors import ArtifactError, ConfigError, NonFiniteLossError, RunHeldError
from fer_core.resources import file_lock
from tests.conftest import PROJECT
from tests.script import run_script

DETECTOR = "realtime_emotion_detector.py --source docs/live.png --no-display --model tiny --detector haar"
HOSTILE = "\x1b[2Jname\x1b]0;title\x07\x9b31m\x7f\r"


def refuse(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        (ConfigError("Wrong.", hint="Do this."), 2, "Do this."),
        (NonFiniteLossError("Wrong."), 3, "See README.md."),
        (RunHeldError("Wrong."), 75, "See README.md."),
    ],
)
def test_an_error_of_ours_is_two_lines_with_the_next_step_and_its_own_exit_code(capsys, error, code, hint):
    assert ended(refuse, error) == code
    assert capsys.readouterr().err == f"Error: Wrong.\n{hint}\n"


def test_a_folder_that_may_not_be_written_to_is_two_lines(capsys):
    assert ended(Path("/sys/kernel/fer").mkdir) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: /sys/kernel/fer cannot be read or written: ")
    assert "FER_MODELS_DIR" in second


def test_a_name_that_no_file_can_have_is_two_lines(capsys):
    assert ended(Path("a" * 300).stat) == 2
    assert capsys.readouterr().err == f"Error: {'a' * 80} … is too long for a name.\nCheck what was given.\n"


@pytest.mark.parametrize("bug", [ZeroDivisionError(), FileNotFoundError(2, "missing")])
def test_what_is_our_bug_keeps_its_traceback(bug):
    with pytest.raises(type(bug)):
        ended(refuse, bug)


def test_what_libraries_remark_is_not_printed_unless_it_is_asked_for(monkeypatch):
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        ended(lambda: warnings.warn("Glyph 128512 is missing.", stacklevel=1))
        assert remarks == []
        warnings.simplefilter("always")
        monkeypatch.setattr(sys, "warnoptions", ["always"])
        ended(lambda: warnings.warn("Glyph 128512 is missing.", stacklevel=1))
        assert len(remarks) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_128_and_its_number_and_is_as_before_afterwards(number, code):
    before = signal.getsignal(number)
    assert ended(lambda: os.kill(os.getpid(), number)) == code
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("script", ["train_emotion_model.py --list-recipes", DETECTOR])
def test_a_reader_that_has_gone_ends_the_script_without_a_word(script):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *script.split()]
    child = subprocess.run(command, cwd=PROJECT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (child.returncode, child.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_for_which_there_is_no_room_is_two_lines():
    command = [sys.executable, str(PROJECT / "train_emotion_model.py"), "--list-recipes"]
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert child.returncode == 2
    assert child.stderr.splitlines() == [
        "Error: The output cannot be written: No space left on device.",
        "Make room on the disk it goes to, or send it elsewhere.",
    ]


def test_a_terminal_that_is_not_utf_8_gets_question_marks_and_readable_errors(paths):
    latin = {"PYTHONIOENCODING": "ascii"}
    answer = run_script("--optimizer=adamm", paths=paths, environment=latin)
    assert (answer.code, answer.problem) == (2, "Error: --optimizer cannot be 'adamm'.")
    code = "from fer_core.cli import ended; ended(lambda: print('Keras …'))"
    child = subprocess.run([sys.executable, "-c", code], env=os.environ | latin, cwd=PROJECT, capture_output=True)
    assert (child.returncode, child.stdout.strip()) == (0, b"Keras ?")


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_process_that_native_code_ends_is_reported(name):
    with pytest.raises(ArtifactError, match=rf"ended the process that ran the model \({name}\)") as caught:
        run_in_child(signal.raise_signal, getattr(signal, name))
    assert "TF_ENABLE_ONEDNN_OPTS=0" in caught.value.hint


def test_the_child_prints_for_itself_and_its_exit_code_is_passed_on(capfd):
    run_in_child(print, "Hello.")
    with pytest.raises(SystemExit) as ending:
        run_in_child(refuse, NonFiniteLossError("Wrong."))
    assert ending.value.code == 3
    assert capfd.readouterr() == ("Hello.\n", "Error: Wrong.\nSee README.md.\n")


def printed(*parts: object) -> str:
    """Returns what goes to a terminal with colours."""
    terminal = {"force_terminal": True, "color_system": "standard", "markup": False, "highlight": False}
    console = Output(file=io.StringIO(), width=80, **terminal)
    console.print(*parts)
    return console.file.getvalue()


@pytest.mark.parametrize("part", [HOSTILE, Text(HOSTILE)], ids=["text", "styled"])
def test_control_characters_are_written_out_and_tabs_and_lines_stay(part):
    assert printed(part) == r"\x1b[2Jname\x1b]0;title\x9b31m\x7f" + "\n"
    assert printed("a\nb\tc").splitlines()[0] == "a"


def test_nor_are_those_in_a_table_obeyed_whose_colours_stay():
    table = Table(box=None)
    table.add_column("job")
    table.add_row(Text(HOSTILE, style="red"))
    shown = printed(table)
    assert "\x1b[31m\\x1b[2Jname" in shown
    assert shown.count("\x1b[2J") == shown.count("\x07") == shown.count("\x9b") == 0


def test_control_characters_of_names_never_reach_the_terminal(capsys):
    hostile = "sad\x1b[2J\x1b]0;title\x07\u202e\udcf6.jpg"
    ended(refuse, ConfigError(f"Wrong: {hostile}", hint=hostile))
    say(Output(), hostile)
    say_wrapped(Output(), hostile)
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    assert "sad\\x1b[2J" in said.out


def test_a_file_system_without_locks_is_refused_and_blocks_nobody_afterwards(tmp_path, monkeypatch, capsys):
    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert ended(file_lock(tmp_path / "lock").acquire) == 2
    assert capsys.readouterr().err.startswith("Error: This file system cannot lock files (flock).\n")
    monkeypatch.undo()
    with file_lock(tmp_path / "lock", timeout_seconds=0):
        pass

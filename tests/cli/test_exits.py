"""How a door ends: exit codes, two lines for what the user can mend, a traceback for what is ours."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fer_core.cli.exits import ended
from fer_core.cli.output import Output, say
from fer_core.errors import ConfigError, NonFiniteLossError, RunHeldError
from fer_core.evaluation.report import say as console_say
from tests.conftest import PROJECT
from tests.script import run_script


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("Wrong."), 2), (NonFiniteLossError("Wrong."), 3), (RunHeldError("Wrong."), 75)]
)
def test_an_error_of_ours_is_two_lines_and_its_own_exit_code(capsys, error, code):
    assert ended(raising(error)) == code
    assert capsys.readouterr().err == "Error: Wrong.\nSee README.md.\n"


def test_the_second_line_is_the_next_step(capsys):
    ended(raising(ConfigError("Wrong.", hint="Do this.")))
    assert capsys.readouterr().err.splitlines() == ["Error: Wrong.", "Do this."]


def test_what_libraries_remark_is_not_printed_unless_it_is_asked_for(monkeypatch):
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        ended(lambda: warnings.warn("Glyph 128512 is missing.", stacklevel=1))
        assert remarks == []
        warnings.simplefilter("always")
        monkeypatch.setattr(sys, "warnoptions", ["always"])
        ended(lambda: warnings.warn("Glyph 128512 is missing.", stacklevel=1))
        assert len(remarks) == 1


def test_what_is_our_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 / 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_door_with_128_and_its_number_and_is_as_before_afterwards(number, code):
    before = signal.getsignal(number)
    assert ended(lambda: os.kill(os.getpid(), number)) == code
    assert signal.getsignal(number) == before


def test_a_reader_that_has_gone_ends_the_script_without_a_word():
    prediction, writing = os.pipe()
    os.close(prediction)
    child = subprocess.run(
        [sys.executable, str(PROJECT / "train_emotion_model.py"), "--list-recipes"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert (child.returncode, child.stderr) == (141, "")


def test_a_terminal_that_is_not_utf_8_gets_question_marks_and_readable_errors(paths):
    latin = {"PYTHONIOENCODING": "ascii"}
    answer = run_script("--optimizer=adamm", paths=paths, environment=latin)
    assert (answer.code, answer.problem) == (2, "Error: --optimizer cannot be 'adamm'.")
    code = "from fer_core.cli.exits import ended; ended(lambda: print('Keras …'))"
    child = subprocess.run([sys.executable, "-c", code], env=os.environ | latin, cwd=PROJECT, capture_output=True)
    assert (child.returncode, child.stdout.strip()) == (0, b"Keras ?")


def test_a_folder_that_may_not_be_written_to_is_two_lines(capsys):
    assert ended(lambda: Path("/sys/kernel/fer").mkdir()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: /sys/kernel/fer cannot be read or written: ")
    assert "FER_MODELS_DIR" in second


def test_what_else_fails_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        ended(lambda: (tmp_path / "missing").read_bytes())


def test_control_characters_of_names_never_reach_the_terminal(capsys):
    hostile = "sad\x1b[2J\x1b]0;title\x07\u202e\udcf6.jpg"
    ended(raising(ConfigError(f"Wrong: {hostile}", hint=hostile)))
    say(Output(), hostile)
    console_say(Output(), hostile)
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    assert "sad\\x1b[2J" in said.out

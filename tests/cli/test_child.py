"""What runs in a process of its own, as its parent tells of it."""

import os
import signal

import pytest

from fer_core.cli.exits import run_in_child
from fer_core.errors import ArtifactError, ConfigError


def die(signal_number: int) -> None:
    os.kill(os.getpid(), signal_number)


def refuse(problem: str) -> None:
    raise ConfigError(problem, hint="Do this.")


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
def test_a_process_that_native_code_ends_is_told_of(name):
    with pytest.raises(ArtifactError, match=rf"ended the process that ran the model \({name}\)") as caught:
        run_in_child(die, getattr(signal, name))
    assert "TF_ENABLE_ONEDNN_OPTS=0" in caught.value.hint


def test_the_child_prints_for_itself_and_its_exit_code_is_passed_on(capfd):
    run_in_child(print, "Hello.")
    with pytest.raises(SystemExit) as ending:
        run_in_child(refuse, "Wrong.")
    assert ending.value.code == 2
    assert capfd.readouterr() == ("Hello.\n", "Error: Wrong.\nDo this.\n")

"""The scripts as users start them: in a process of their own, their output in a file."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from fer_core.cli import ended, train
from fer_core.paths import Paths
from tests.conftest import PROJECT

SCRIPT = str(PROJECT / "train_emotion_model.py")
DETECTOR = str(PROJECT / "realtime_emotion_detector.py")


class Answer(NamedTuple):
    """What the program printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def problem(self) -> str:
        """The first of the two lines on stderr."""
        return self._two_lines[0]

    @property
    def hint(self) -> str:
        """The second of the two lines on stderr."""
        return self._two_lines[1]

    @property
    def _two_lines(self) -> list[str]:
        lines = self.err.splitlines()
        assert len(lines) == 2, f"two lines are wanted on stderr, there are:\n{self.err}"
        return lines


def run_script(
    *arguments: object, paths: Paths, environment: dict[str, str] | None = None, script: tuple[str, ...] = (SCRIPT,)
) -> Answer:
    """Runs the script, or other Python code, with these arguments and places, and returns what it said."""
    folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
    return _run((*script, *map(str, arguments), *folders), paths, environment or {})


def run_here(*arguments: object, paths: Paths, main: Callable[[list[str]], None] = train.main) -> Answer:
    """Runs the training script, or another `main`, here, where Keras is loaded: that takes a process five seconds."""
    folders = ("--models-dir", paths.models, "--history-dir", paths.history)
    output, errors = io.StringIO(), paths.models.parent / "errors.txt"
    with pytest.MonkeyPatch.context() as patch, errors.open("w", encoding="utf-8") as file:
        patch.setenv("FER_CACHE_DIR", str(paths.cache))
        patch.setenv("KERAS_BACKEND", "tensorflow")
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(file):
            code = ended(main, [*map(str, (*arguments, *folders))])
    return Answer(code, output.getvalue(), errors.read_text(encoding="utf-8"))


def clean_environment(paths: Paths, more: dict[str, str]) -> dict[str, str]:
    """Returns the environment of a test's process: nothing of the project's own variables but what is given."""
    ours = ("FER_", "KERAS_", "JAX_", "DISPLAY", "WAYLAND_DISPLAY")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | {"FER_CACHE_DIR": str(paths.cache)} | more


def _run(command: tuple[str, ...], paths: Paths, more: dict[str, str]) -> Answer:
    folder = paths.models.parent
    with (folder / "output.txt").open("wb") as file:
        child = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=clean_environment(paths, more),
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=200,
        )
    return Answer(child.returncode, (folder / "output.txt").read_text(encoding="utf-8"), child.stderr)

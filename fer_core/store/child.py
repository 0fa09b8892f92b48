"""Runs a module in a process of its own: what reads foreign files may crash, hang, or take all memory there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fer_core.errors import ArtifactError
from fer_core.resources import limit_memory, memory_bytes

_PROJECT = Path(__file__).parents[2]
_REFUSED = 2


def run_child(
    module: str, *arguments: object, timeout_seconds: float, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Returns how `python -m MODULE ARGUMENTS` ended, whose `__main__` calls `answer`, with all that it printed.

    Raises the ArtifactError that was raised there, and subprocess.TimeoutExpired.
    """
    command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
    folders = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | environment | {"PYTHONPATH": folders}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_seconds)
    if child.returncode == _REFUSED:
        problem, hint = json.loads(child.stdout.splitlines()[-1])
        raise ArtifactError(problem, hint=hint)
    return child


def answer(task: Callable[[], str]) -> None:
    """In the child: prints what the task returns, or the ArtifactError that it raises. Gets half of the memory."""
    limit_memory(memory_bytes() // 2)
    try:
        print(task())
    except ArtifactError as error:
        print(json.dumps([str(error), error.hint]))
        sys.exit(_REFUSED)

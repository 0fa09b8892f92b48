"""`python -m fer_core.cli.study_reader FOLDER`: a process that reads parts of a study until none are left."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import tyro

from fer_core.cli import ended
from fer_core.cli.command_line import MODELS_DIR, parsed
from fer_core.errors import Interrupted, check_interrupted
from fer_core.paths import Paths
from fer_core.study.reading import StudyReader
from fer_core.study.study import find_study

PROGRAM = "-m fer_core.cli.study_reader"


def main(argv: Sequence[str]) -> None:
    """Reads until nothing is left, or whoever started this process has gone. Raises FerError."""
    folder, paths = parsed(_command_line, argv, program=PROGRAM, names=("models_dir",), positional=None)
    cv2.setNumThreads(1)  # the processes share the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    parent = os.getppid()

    def check_parent() -> None:
        check_interrupted()
        if os.getppid() != parent:
            raise Interrupted(signal.SIGTERM)

    study = find_study(folder)
    study.read_parts(StudyReader(study.about.settings, paths, before_each=check_parent))


def _command_line(folder: tyro.conf.Positional[str], models_dir: MODELS_DIR = None) -> tuple:
    """Read parts of a study."""
    return Path(folder), Paths.from_environment(models=models_dir)


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))

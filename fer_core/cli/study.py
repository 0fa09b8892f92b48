"""`--study FOLDER`: reads all pictures and videos of a source, shows how far it is, and says what came of it.

`python -m fer_core.cli.study FOLDER --spec JSON` is the process of a study that is a job; with `--helps` one that helps
it, and with `--reads` one that reads parts of any study until none are left.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import cv2
import tyro
from rich.console import Console
from rich.status import Status

from fer_core.cli import ended
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, Output, parsed, say
from fer_core.cli.live import LiveRequest
from fer_core.data.report import listed
from fer_core.errors import Interrupted, check_interrupted, signals_wait
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.study.files import whole_source
from fer_core.study.reading import StudyReader, settled
from fer_core.study.results import make_results
from fer_core.study.run import read_study
from fer_core.study.settings import ResultSettings, StudyFile, StudySettings
from fer_core.study.study import Study, StudyProgress, find_study, open_study
from fer_core.study.tables import check_format

PROGRAM = "-m fer_core.cli.study"
LINE_SECONDS = 10.0
"""How often a line says how far it is; a terminal shows it all the time."""
MOST_NAMED = 5
LEAST_DONE = 0.02
"""Before, nothing is said of the time that is left."""


def make_study(console: Console, request: LiveRequest) -> None:
    """Reads what is missing of a study, and makes its tables. Raises FerError, Interrupted."""
    settings, paths = request.settings, request.paths
    given = settings.model_dump() | {"format": settings.study_format}
    study = _opened(Path(settings.study), given, paths)
    read_and_sum_up(console, study, paths, _of(given, ResultSettings), processes=settings.jobs or available_cores())


def main(argv: Sequence[str]) -> None:
    """Reads a study to its end and makes its tables; or, for another process, what is left to read. Raises FerError."""
    names = ("spec", "processes", "helps", "reads", "models_dir", "history_dir")
    folder, spec, processes, helps, reads, paths = parsed(
        _command_line, argv, program=PROGRAM, names=names, positional=None
    )
    if reads:
        _read_parts(find_study(folder), paths)
    elif helps:
        with signals_wait():
            read_study(find_study(folder), paths, processes=processes, to_the_end=False)
    else:
        is_begun = (folder / "study.json").is_file()  # with the model that was in use then
        study = find_study(folder) if is_begun else _opened(folder, spec, paths)
        read_and_sum_up(Output(), study, paths, _of(spec, ResultSettings), processes=processes)


def _opened(folder: Path, given: Mapping[str, Any], paths: Paths) -> Study:
    about = {"source": whole_source(given["source"]), "format": given.get("format", "csv")}
    return open_study(folder, StudyFile(settings=settled(_of(given, StudySettings), paths), **about))


def _of(given: Mapping[str, Any], kind: type) -> Any:
    return kind(**{name: given[name] for name in kind.model_fields if name in given})


def _read_parts(study: Study, paths: Paths) -> None:
    """Until nothing is left, or whoever started this process has gone."""
    cv2.setNumThreads(1)  # the processes share the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    parent = os.getppid()

    def check_parent() -> None:
        check_interrupted()
        if os.getppid() != parent:
            raise Interrupted(signal.SIGTERM)

    study.read_parts(StudyReader(study.about.settings, paths, before_each=check_parent))


def _command_line(
    folder: tyro.conf.Positional[str],
    spec: Annotated[str, tyro.conf.arg(help="What is read and how, as JSON.")] = "{}",
    processes: Annotated[int, tyro.conf.arg(help="Processes that read.")] = 1,
    helps: Annotated[bool, tyro.conf.arg(help="Another process sees to the study.")] = False,
    reads: Annotated[bool, tyro.conf.arg(help="Only read, in this process alone.")] = False,
    models_dir: MODELS_DIR = None,
    history_dir: HISTORY_DIR = None,
) -> tuple:
    """Read a study that is a job, or a part of any."""
    paths = Paths.from_environment(models=models_dir, history=history_dir)
    return Path(folder), json.loads(spec), processes, helps, reads, paths


def read_and_sum_up(console: Console, study: Study, paths: Paths, made: ResultSettings, *, processes: int) -> None:
    """Reads what is missing in so many processes, makes the tables, and says what came of it."""
    check_format(study.about.format)
    reader = StudyReader(study.about.settings, paths)  # what cannot be loaded is said before anything is planned
    with console.status("Looking at the files …"):
        found = study.prepare()
    new = len({name for part in study.plan() for name, _ in part.files})
    say(console, _plan_in_words(len(found.files), found.left_out, new))
    if new:
        say(console, f"Reading with {reader.classifier.name}, faces found by {reader.detector.name}.")
        began = time.monotonic()
        with signals_wait(), console.status("Reading …") as status:
            read_study(study, paths, processes=processes, progress=_Progress(console, status))
        say(console, f"Read in {timedelta(seconds=round(time.monotonic() - began))}.")
    study.finish()
    with console.status("Making the tables …"):
        make_results(study, reader, made)
    _sum_up(console, study)


def _plan_in_words(files: int, left_out: str, new: int) -> str:
    again = "" if new == files else f", {new:,} of them not read yet" if new else ", all read already"
    return f"{files:,} files{again}{f'; {left_out}' if left_out else ''}."


class _Progress:
    """Is told how far the reading is, and shows that and the time to the end."""

    def __init__(self, console: Console, status: Status):
        self._console, self._status = console, status
        self._began = self._said = time.monotonic()

    def __call__(self, progress: StudyProgress) -> None:
        now = time.monotonic()
        text = f"{progress.read:,} of {progress.files:,} files read, {progress.done:.0%} of the work"
        if progress.done >= LEAST_DONE:
            seconds = (now - self._began) * (1 / progress.done - 1)
            text += f", about {timedelta(seconds=round(seconds))} left"
        self._status.update(text)
        if now - self._said >= LINE_SECONDS and not self._console.is_terminal:
            self._said = now
            say(self._console, text)


def _sum_up(console: Console, study: Study) -> None:
    table = study.files()
    failed = table[table["status"] == "failed"]
    read = table[table["status"] == "read"]
    frames, seconds = int(read["frames"].sum()), read["seconds"].sum()
    say(
        console,
        f"{len(read):,} files read: {frames:,} frames, {int(read['faces'].sum()):,} faces, {seconds:,.1f} s of video.",
    )
    if len(failed):
        first = [f"{name}: {reason}" for name, reason in zip(failed["file"], failed["reason"], strict=True)]
        say(console, f"{len(failed):,} files failed. {listed(first, most=MOST_NAMED)}")
    say(console, f"Written: {study.files_csv}, the tables beside it, and {study.folder / 'readings'}")
    say(console, f"To look at: {study.folder / 'report.html'}")


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))

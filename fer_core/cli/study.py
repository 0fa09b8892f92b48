"""`--study FOLDER`: reads all pictures and videos of a source, shows how far it is, and says what came of it."""

import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.status import Status

from fer_core.cli.console import say
from fer_core.cli.live import LiveRequest
from fer_core.data.report import listed
from fer_core.errors import signals_wait
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.study.files import whole_source
from fer_core.study.reading import StudyReader, settled
from fer_core.study.results import make_results
from fer_core.study.run import read_study
from fer_core.study.settings import ResultSettings, StudyFile, StudySettings
from fer_core.study.study import Study, StudyProgress, open_study
from fer_core.study.tables import check_format

LINE_SECONDS = 10.0
"""How often a line says how far it is; a terminal shows it all the time."""
MOST_NAMED = 5
LEAST_DONE = 0.02
"""Before, nothing is said of the time that is left."""


def make_study(console: Console, request: LiveRequest) -> None:
    """Reads what is missing of a study, and makes its tables. Raises FerError, Interrupted."""
    settings, paths = request.settings, request.paths
    given = settings.model_dump()
    own, made = (kind(**{name: given[name] for name in kind.model_fields}) for kind in (StudySettings, ResultSettings))
    about = {"source": whole_source(settings.source), "format": settings.study_format}
    study = open_study(Path(settings.study), StudyFile(settings=settled(own, paths), **about))
    read_and_sum_up(console, study, paths, made, processes=settings.jobs or available_cores())


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

"""One trial in its own process: looks at the data, asks what to train, trains it, measures it, tells what came of it.

Whoever finds that nothing is left to train ends the search. Keras is imported when the oracle is asked, after the data
has been looked at. A process that was killed anywhere in between is simply started again with the same job.
"""

import functools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError, NonFiniteLossError
from fer_core.store.clock import Clock, utc_now
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.training.checkpoint import read_progress
from fer_core.training.history import read_history
from fer_core.training.report import Report, ignore
from fer_core.training.train import train, training_data
from fer_core.tuning import sentences
from fer_core.tuning.asking import Asked, ask
from fer_core.tuning.ending import end_if_over
from fer_core.tuning.entries import Entry
from fer_core.tuning.fingerprints import fingerprints_of
from fer_core.tuning.folder import Search
from fer_core.tuning.halving import is_stopped, why_stopped
from fer_core.tuning.keeping import drop_weights
from fer_core.tuning.measuring import parameters
from fer_core.tuning.state import load_state
from fer_core.tuning.tables import write_trials
from fer_core.tuning.telling import Outcome, tell, tell_speed

_INITIAL = "tuner/initial_epoch"
"""Among the values of a Hyperband trial: the epochs that the trial had which it goes on with."""


def _nothing(run: Run) -> None:
    """Is told which run is trained, and does nothing."""


def run_trial(
    search: Search,
    job_id: str,
    *,
    report: Report = ignore,
    begin: Callable[[Run], None] = _nothing,
    clock: Clock = utc_now,
) -> None:
    """Does what the search asks of this job: a trial, a confirmation, or nothing; and ends the search after the last.

    A trial whose loss becomes no number has failed, which is a result of the search and no error here.

    Args:
        job_id: who asks. The same job gets the same trial again, however often it is started.
        report: is told sentences, progress and epochs.
        begin: is told the run, before Keras does anything for it.

    Raises:
        FerError: data, code, settings or a file that cannot be used; the trial is not told and can be gone on with.
    """
    dataset = training_data(search.base, search.paths)
    _say(report, sentences.of_images(dataset))
    asked = ask(search, job_id, metadata=fingerprints_of(dataset), clock=clock)
    if load_state(search).other_code:
        _say(report, "The code has changed since the search began: its trials may not compare exactly.")
    if isinstance(asked, Asked):
        _carry_out(search, asked, dataset, report=report, begin=begin, clock=clock)
    else:
        _say(report, asked.message)
    ended = end_if_over(search, clock=clock)
    if ended is not None:
        _say(report, sentences.of_end(search, ended))
    drop_weights(search, load_state(search))


def _carry_out(
    search: Search, asked: Asked, dataset: Dataset, *, report: Report, begin: Callable[[Run], None], clock: Clock
) -> None:
    entry = asked.entry
    _say(report, sentences.of_entry(search, entry))
    if entry.status == "RUNNING":
        begin(open_run(search.paths, entry.run))
        if asked.config.seed != search.base.seed:  # the seed decides the split
            dataset = training_data(asked.config, search.paths)
        outcome = _Training(search, entry, dataset, report, clock).outcome()
        entry = tell(search, entry.number, outcome, clock=clock).entries[entry.number]
    _say(report, sentences.of_outcome(search, load_state(search), entry))
    write_trials(search)


@dataclass(frozen=True)
class _Training:
    """One training of a search, from whatever there is of it to its outcome."""

    search: Search
    entry: Entry
    dataset: Dataset
    report: Report
    clock: Clock

    @property
    def run(self) -> Run:
        return open_run(self.search.paths, self.entry.run)

    def outcome(self) -> Outcome:
        """Returns what came of the training; one that was finished before and only not told is not trained again."""
        if self.run.state.status != "SUCCEEDED":
            try:
                self._train()
            except NonFiniteLossError as error:
                return Outcome("FAILED", epochs=self.run.state.epoch, message=str(error))
        return self._measured()

    def _train(self) -> None:
        with self.run.hold():
            self._drop_damaged_checkpoint()
        stopped = functools.partial(is_stopped, self.search, self.entry.number, clock=self.clock)
        train(self.run, self.dataset, paths=self.search.paths, report=self._with_estimate, is_stopped=stopped)

    def _with_estimate(self, kind: str, fields: dict[str, Any]) -> None:
        """Tells on; where the training has reckoned what an epoch takes, also how long the search will."""
        self.report(kind, fields)
        if "epoch_seconds" in fields:
            state = tell_speed(self.search, fields["epoch_seconds"], clock=self.clock)
            if state is not None and state.ends_utc is not None:
                _say(self.report, sentences.of_duration(self.search, state))

    def _drop_damaged_checkpoint(self) -> None:
        try:
            read_progress(self.run.checkpoint)
        except ArtifactError as error:
            shutil.rmtree(self.run.checkpoint, ignore_errors=True)
            _say(self.report, f"{error} It is removed, and the training begins again.")

    def _measured(self) -> Outcome:
        rows = read_history(self.run.history_csv).rows
        why = why_stopped(self.search, self.entry.number)
        own_rows = rows[self.entry.values.get(_INITIAL, 0) :]
        return Outcome(
            "COMPLETED",
            score=self._score(rows),
            epochs=len(rows),
            stopped_early=bool(why),
            message=why,
            parameters=parameters(self.run),
            seconds=round(sum(row.get("seconds") or 0.0 for row in own_rows), 3),
        )

    def _score(self, rows: Sequence[dict]) -> float:
        """Returns the objective of the epoch whose weights are saved: what a trial is worth is what it leaves."""
        objective, kept = self.search.spec.objective, (self.run.manifest.scores or {}).get("kept_epoch")
        row = next((row for row in rows if row["epoch"] == kept), {})
        if row.get(objective) is None:
            raise ArtifactError(
                f"{self.run.history_csv} does not say {objective} of epoch {kept}, which the run has kept.",
                hint="Restore that file, and the trial is told when its job is resumed.",
            )
        return row[objective]


def _say(report: Report, text: str) -> None:
    report("event", {"text": text})

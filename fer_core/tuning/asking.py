"""`ask`: which trial a job trains. The state of the search is written first, then the run folder of the trial.

So a process that dies in between loses nothing: its job asks again and gets the same trial, and the run is made then.
Keras Tuner is imported by `ask` alone, before it takes the lock, since that takes seconds.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.recipes import fitted_to
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import replacing
from fer_core.store.run import Run
from fer_core.store.runs import create_run, new_run_id
from fer_core.training.history import HISTORY_HEADER
from fer_core.tuning.entries import CONTINUES, EPOCHS, Entry, SearchState
from fer_core.tuning.fingerprints import Fingerprints
from fer_core.tuning.folder import Search
from fer_core.tuning.notes import write_note
from fer_core.tuning.space import with_values
from fer_core.tuning.stage import confirmations_left, stage
from fer_core.tuning.state import changing, load_state


class Asked(NamedTuple):
    """A training to carry out; if its entry is told already, there is nothing to train."""

    entry: Entry
    config: TrainConfig


class Idle(NamedTuple):
    """Nothing to train before another trial has ended."""

    message: str


class Over(NamedTuple):
    """Nothing to train any more."""

    message: str


class _OtherImages(NamedTuple):
    """The images here are not those of the search."""


def ask(search: Search, job_id: str, *, metadata: Fingerprints, clock: Clock = utc_now) -> Asked | Idle | Over:
    """Returns what the job is to train; its run exists then, and that of a trial which goes on has its checkpoint.

    A job that asks again gets the same again. The first trial decides which images the others need; that the code has
    changed since is noted in the state, for whoever compares.

    Raises:
        ConfigError: other images than the search was begun with. ArtifactError, DiskFullError.
    """
    question = _Question(search, job_id, metadata, clock(), _oracle(search, job_id, clock()))
    with changing(search) as state:
        answer = question.answer(state)
    if isinstance(answer, _OtherImages):
        raise ConfigError(
            f"The images here are not those that search {search.id} was begun with; its trials would not compare.",
            hint=f"Make them equal on all machines, or start a new search with warm_start {search.id!r}.",
        )
    if not isinstance(answer, Entry):
        return answer
    config = config_of(search, answer).model_copy(update={"data": metadata.data_source or search.base.data})
    if answer.status == "RUNNING":
        _make_run(search, state, answer, config, clock)
    write_note(search, state, answer.number)
    return Asked(answer, config)


def _oracle(search: Search, job_id: str, timestamp: datetime) -> Callable:
    """Returns what proposes trials; not imported where none is wanted, since that takes seconds."""
    state = load_state(search)
    if state.entry_of(job_id) is not None or stage(search.spec, state, timestamp) != "trials":
        return _no_oracle
    from fer_core.tuning.oracle import propose

    return propose


def _no_oracle(*_: object) -> str:
    """Somebody who knows more has to be asked; meanwhile another trial was wanted."""
    return "wait"


def config_of(search: Search, entry: Entry) -> TrainConfig:
    """Returns the settings that an entry is trained with."""
    epochs = entry.values.get(EPOCHS, search.base.epochs)
    # A short trial of Hyperband may have fewer epochs than the recipe warms up for.
    base = fitted_to(search.base, epochs).model_copy(update={"epochs": epochs, "seed": entry.seed})
    return with_values(base, entry.values)


@dataclass(frozen=True)
class _Question:
    """Everything that the answer depends on, but for the state."""

    search: Search
    job_id: str
    metadata: Fingerprints
    timestamp: datetime
    propose: Callable

    def answer(self, state: SearchState) -> Entry | Idle | Over | _OtherImages:
        own = state.entry_of(self.job_id)
        if own is not None and own.status != "RUNNING":
            return own
        if state.status != "RUNNING":
            return Over(state.message or f"Search {self.search.id} has ended ({state.status}).")
        if state.data_fingerprint not in (None, self.metadata.data_fingerprint):
            return _OtherImages()
        self._begin(state)
        return own or self._next(state)

    def _begin(self, state: SearchState) -> None:
        code = self.metadata.code_fingerprint
        if state.code_fingerprint not in (None, code) and code not in state.other_code:
            state.other_code.append(code)
        state.data_fingerprint, state.code_fingerprint = self.metadata.data_fingerprint, state.code_fingerprint or code
        state.started_utc = state.started_utc or utc_text(self.timestamp)

    def _next(self, state: SearchState) -> Entry | Idle | Over:
        spec = self.search.spec
        now = stage(spec, state, self.timestamp)
        if now == "trials":
            return self._next_trial(state)
        if now == "confirmations":
            trial, seed = confirmations_left(spec, state)[0]
            return self._enter(state, kind="confirm", of=trial.number, seed=seed, values=trial.settings)
        if now == "waiting":
            return Idle("The last trials of the search are being trained.")
        return Over(f"Search {self.search.id} has nothing left to train.")

    def _next_trial(self, state: SearchState) -> Entry | Idle | Over:
        proposal = self.propose(self.search.plan, state.trials)
        if proposal == "wait":
            state.waits_after = state.ended
            return Idle("The oracle waits for trials that are being trained.")
        if proposal == "exhausted":
            state.exhausted = True
            return self._next(state)
        return self._enter(state, kind="trial", seed=self.search.base.seed, values=proposal)

    def _enter(self, state: SearchState, **fields: Any) -> Entry:
        run = self._free_run_id(state)
        asked = utc_text(self.timestamp)
        entry = Entry(number=len(state.entries), run=run, job=self.job_id, asked_utc=asked, **fields)
        state.entries.append(entry)
        return entry

    def _free_run_id(self, state: SearchState) -> str:
        """Other trials of this second have their folders only soon."""
        taken = {entry.run for entry in state.entries}
        while True:
            run_id = new_run_id(self.search.base, recipe=self.search.spec.recipe, clock=lambda: self.timestamp)
            if run_id not in taken and not self.search.run_folder(run_id).exists():
                return run_id


def _make_run(search: Search, state: SearchState, entry: Entry, config: TrainConfig, clock: Clock) -> None:
    run = create_run(
        search.paths,
        config,
        recipe=search.spec.recipe,
        kind="trial",
        parent=search.id,
        promote=False,
        history_header=HISTORY_HEADER,
        run_id=entry.run,
        clock=clock,
    )
    if CONTINUES in entry.values:
        shorter = state.entries[int(entry.values[CONTINUES])]
        _continue(run, search.run_folder(shorter.run) / run.checkpoint.name)


def _continue(run: Run, checkpoint: Path) -> None:
    """Puts the checkpoint of the shorter trial into the new run, with the optimizer's state and all.

    Where the run has one of its own by now, that stays; where the other's is gone, the trial begins at its first epoch.
    """
    run.checkpoint.mkdir(exist_ok=True)
    for source in checkpoint.glob("[!.]*"):
        target = run.checkpoint / source.name
        if not target.exists():
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)

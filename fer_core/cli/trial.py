"""`python -m fer_core.cli.trial SEARCH --job JOB`: the process of one trial. Jobs start it; a person can, too.

It loads the data, asks what to train, trains it, measures it, and tells what came of it. A process that was killed
anywhere in between is started again with the same job.
"""

import functools
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import tyro

from fer_core.cli import ended
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, Output, parsed, say, send_native_messages_to
from fer_core.cli.training import Display
from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError, NonFiniteLossError, signals_wait
from fer_core.paths import Paths
from fer_core.store.artifacts import parameters
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.training.history import read_history
from fer_core.training.progress import Report, duration, ignore, read_progress
from fer_core.training.train import train, training_data
from fer_core.tuning.entries import INITIAL_EPOCH, Entry, SearchState, ranked, winner
from fer_core.tuning.results import drop_weights, end_if_over, write_trials
from fer_core.tuning.stage import CONFIRMATION_SEEDS
from fer_core.tuning.state import Search, load_state, open_search
from fer_core.tuning.trials import Asked, Fingerprints, Outcome, ask, code_fingerprint, is_stopped, tell, tell_speed

PROGRAM = "-m fer_core.cli.trial"


def main(argv: Sequence[str]) -> None:
    """Does what the search asks of this job. Raises FerError for what the user can mend."""
    name, job, paths = parsed(_command_line, argv, program=PROGRAM, names=("job", "models_dir", "history_dir"))
    search = open_search(paths, name)
    console = Output()
    send_native_messages_to(search.folder / "log.txt")  # until it is known which run is trained
    try:
        with signals_wait(), Display(console) as display:
            run_trial(search, job, report=display, begin=lambda run: send_native_messages_to(run.log_txt))
    except KeyboardInterrupt:
        say(console, f"\nInterrupted. Nothing before it is lost: job {job} goes on with it when it is resumed.")
        raise


def _command_line(
    search: tyro.conf.Positional[str],
    job: Annotated[str, tyro.conf.arg(help="Who asks; the same job gets the same trial again.")],
    models_dir: MODELS_DIR = None,
    history_dir: HISTORY_DIR = None,
) -> tuple[str, str, Paths]:
    """Train one trial of a search."""
    return search, job, Paths.from_environment(models=models_dir, history=history_dir)


def run_trial(
    search: Search,
    job_id: str,
    *,
    report: Report = ignore,
    begin: Callable[[Run], None] = lambda run: None,
) -> None:
    """Does what the search asks of this job: a trial, a confirmation, or nothing; and ends the search after the last.

    A trial whose loss becomes no number has failed, which is a result of the search and no error here.

    Args:
        job_id: who asks. The same job gets the same trial again, however often it is started.
        report: gets messages, progress and epochs.
        begin: gets the run, before Keras does anything for it.

    Raises:
        FerError: data, code, settings or a file that cannot be used; the trial has no outcome and can be continued.
    """
    dataset = training_data(search.plan.base, search.paths)
    parts = ((dataset.train, "train"), (dataset.validation, "validate"), (dataset.test, "test"))
    images = (f"{len(part):,} images {verb}" for part, verb in parts if part is not None)
    _say(report, f"{dataset.name}: {', '.join(images)}.")
    metadata = Fingerprints(dataset.fingerprint, code_fingerprint(), dataset.source)
    asked = ask(search, job_id, metadata=metadata)
    if load_state(search).other_code:
        _say(report, "The code has changed since the search began: its trials may not compare exactly.")
    if isinstance(asked, Asked):
        _carry_out(search, asked, dataset, report=report, begin=begin)
    else:
        _say(report, asked)
    ended = end_if_over(search)
    if ended is not None:
        _say(report, _end_text(search, ended))
    drop_weights(search, load_state(search))


def duration_text(search: Search, state: SearchState) -> str:
    """Returns how long the search will take in all, by its first estimate, and of what that is made."""
    spec, again = state.plan.spec, CONFIRMATION_SEEDS * min(state.plan.spec.confirm_top, state.plan.spec.max_trials)
    trials = f"at most {spec.max_trials} trials of up to {state.plan.base.epochs} epochs"
    confirmed = f" and {again} trainings of the best again" if again else ""
    ends = datetime.fromisoformat(state.ends_utc).astimezone()
    return (
        f"The search takes about {duration(state.first_estimate_seconds)}, until {ends:%a %H:%M}: {trials}{confirmed}, "
        f"{duration(state.epoch_seconds)} an epoch. `python -m jobs status {search.id}` shows how far it is."
    )


def _carry_out(search: Search, asked: Asked, dataset: Dataset, *, report: Report, begin: Callable[[Run], None]) -> None:
    entry = asked.entry
    shown = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in entry.settings.items()}
    settings = ", ".join(f"{name} {value}" for name, value in shown.items())
    _say(report, f"{entry.title} of search {search.id}, run {entry.run}: {settings}.")
    if entry.status == "RUNNING":
        run = open_run(search.paths, entry.run)
        begin(run)
        if asked.config.seed != search.plan.base.seed:  # the seed decides the split
            dataset = training_data(asked.config, search.paths)
        try:
            if run.state.status != "SUCCEEDED":  # else it was finished before, and its outcome not saved
                _train(search, entry, run, dataset, report=report)
            outcome = _outcome(search, entry, run)
        except NonFiniteLossError as error:
            outcome = Outcome("FAILED", epochs=run.state.epoch, message=str(error))
        entry = tell(search, entry.number, outcome).entries[entry.number]
    _say(report, _outcome_text(load_state(search), entry))
    write_trials(search)


def _train(search: Search, entry: Entry, run: Run, dataset: Dataset, *, report: Report) -> None:
    with run.hold():
        try:
            read_progress(run.checkpoint)
        except ArtifactError as error:
            shutil.rmtree(run.checkpoint, ignore_errors=True)
            _say(report, f"{error} It is removed, and the training begins again.")

    def with_estimate(kind: str, fields: dict[str, Any]) -> None:
        report(kind, fields)
        if "epoch_seconds" in fields:
            state = tell_speed(search, fields["epoch_seconds"])
            if state is not None and state.ends_utc is not None:
                _say(report, duration_text(search, state))

    stopped = functools.partial(is_stopped, search, entry.number)
    train(run, dataset, paths=search.paths, report=with_estimate, is_stopped=stopped)


def _outcome(search: Search, entry: Entry, run: Run) -> Outcome:
    rows, objective = read_history(run.history_csv).rows, search.spec.objective
    epoch = (run.manifest.scores or {}).get("kept_epoch")
    score = next((row.get(objective) for row in rows if row["epoch"] == epoch), None)
    if score is None:
        raise ArtifactError(
            f"{run.history_csv} does not say {objective} of epoch {epoch}, which the run has kept.",
            hint="Restore that file, and resume the job of the trial.",
        )
    reason = load_state(search).stopped.get(entry.number, "")
    return Outcome(
        "COMPLETED",
        score=score,
        epochs=len(rows),
        stopped_early=bool(reason),
        message=reason,
        parameters=parameters(run),
        seconds=round(sum(row.get("seconds") or 0.0 for row in rows[entry.values.get(INITIAL_EPOCH, 0) :]), 3),
    )


def _say(report: Report, text: str) -> None:
    report("event", {"text": text})


def _outcome_text(state: SearchState, entry: Entry) -> str:
    if entry.score is None:
        return f"{entry.title} has failed: {entry.message}"
    objective = state.plan.spec.objective
    epochs = "1 epoch" if entry.epochs == 1 else f"{entry.epochs} epochs"
    size = "" if entry.parameters is None else f", {entry.parameters:,} parameters"
    text = f"{entry.title}: {objective} {entry.score:.4f}, {epochs}{size}."
    best = ranked(state.entries, objective) if entry.kind == "trial" else ()
    so_far = f"Best so far: trial {best[0].number}, {best[0].score:.4f}." if best else ""
    return " ".join(filter(None, (entry.message, text, so_far)))


def _end_text(search: Search, state: SearchState) -> str:
    chosen = winner(state.entries, search.spec.objective)
    if chosen is None:
        return f"Search {search.id} is over. {state.message}"
    return (
        f"Search {search.id} is over. Trial {chosen.trial.number} has won: {search.spec.objective} {chosen.score:.4f}"
        f"{chosen.mean_of}. Its run: {state.winner}. Its settings: {search.best_toml}"
    )


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))

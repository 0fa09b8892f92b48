"""What the process of a trial says: which images, which settings, what came of them, and how the search ended."""

from datetime import datetime

from fer_core.data.dataset import Dataset
from fer_core.training.report import duration
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.ranking import milliseconds_text, ranked, winner
from fer_core.tuning.stage import confirmations_of


def of_images(dataset: Dataset) -> str:
    """Returns how many images do what."""
    parts = ((dataset.train, "train"), (dataset.validation, "validate"), (dataset.test, "test"))
    return f"{dataset.name}: {', '.join(f'{len(part):,} images {verb}' for part, verb in parts if part is not None)}."


def of_entry(search: Search, entry: Entry) -> str:
    """Returns what is trained, with which settings."""
    settings = ", ".join(f"{name} {_value(value)}" for name, value in entry.settings.items())
    return f"{_name(entry)} of search {search.id}, run {entry.run}: {settings}."


def of_duration(search: Search, state: SearchState) -> str:
    """Returns how long the search will take in all, when that was reckoned first, and of what."""
    spec, epochs = search.spec, search.base.epochs
    trials = f"at most {spec.max_trials} trials of up to {epochs} epochs"
    again = confirmations_of(spec, spec.max_trials)
    confirmed = f" and {again} trainings of the best again" if again else ""
    ends = datetime.fromisoformat(state.ends_utc).astimezone()
    return (
        f"The search takes about {duration(state.first_estimate_seconds)}, until {ends:%a %H:%M}: {trials}{confirmed}, "
        f"{duration(state.epoch_seconds)} an epoch. `python -m jobs status {search.id}` shows how far it is."
    )


def of_outcome(search: Search, state: SearchState, entry: Entry) -> str:
    """Returns what came of a training, and which trial is the best so far."""
    if entry.score is None:
        return f"{_name(entry)} has failed: {entry.message}"
    size = "" if entry.parameters is None else f", {entry.parameters:,} parameters"
    of_face = "" if entry.latency_ms is None else f", {milliseconds_text(entry.latency_ms)} ms a face"
    epochs = "1 epoch" if entry.epochs == 1 else f"{entry.epochs} epochs"
    told = f"{_name(entry)}: {search.spec.objective} {entry.score:.4f}, {epochs}{size}{of_face}."
    best = ranked(state.entries, search.spec.objective) if entry.kind == "trial" else ()
    so_far = f"Best so far: trial {best[0].number}, {best[0].score:.4f}." if best else ""
    return " ".join(filter(None, (entry.message, told, so_far)))


def of_end(search: Search, state: SearchState) -> str:
    """Returns how the search has ended."""
    chosen = winner(state.entries, search.spec.objective)
    if chosen is None:
        return f"Search {search.id} is over. {state.message}"
    trainings = len(chosen.confirmations)
    mean = f", the mean of {trainings} trainings with other seeds" if trainings > 1 else ""
    return (
        f"Search {search.id} is over. Trial {chosen.trial.number} has won: {search.spec.objective} {chosen.score:.4f}"
        f"{mean}. Its run: {state.winner}. Its settings: {search.best_toml}"
    )


def _name(entry: Entry) -> str:
    return f"Trial {entry.number}" if entry.kind == "trial" else f"Trial {entry.of} with seed {entry.seed}"


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

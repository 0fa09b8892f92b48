"""What the soak of the jobs sends at the same time, and what came of it: counted, and compared bit by bit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from job_server import JobServer
from remains import Outcome, leftovers, outcome, torn_files

from fer_core.errors import FerError
from fer_core.store.metrics import read_metrics
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run
from fer_core.tuning.state import Search, load_state

_SETTINGS = {"sample_per_class": 40, "batch_size": 16, "epochs": 8, "threads": 1, "devices": "cpu"}
_SETTINGS |= {"rotation": 15, "shift": 0.1, "flip": True, "contrast": 0.2, "class_weights": "balanced"}
_SEARCH = {"recipe": "smoke", "data": "sample", "settings": _SETTINGS | {"epochs": 4}}
_SEARCH |= {"keep_top_k": 100}
ROUND = {
    "train": ("train", {"recipe": "smoke", "data": "sample"} | _SETTINGS),
    "random": ("tune", _SEARCH | {"max_trials": 4, "stop_early": False, "confirm_top": 1}),
    "hyperband": ("tune", _SEARCH | {"oracle": "hyperband", "max_epochs": 4, "max_trials": 6, "confirm_top": 0}),
}
"""By name: each task with its arguments."""
COMPARED = "random"
"""Which search has the same trials in whatever order they end."""


@dataclass
class Came:
    """What a round came to."""

    runs: dict[str, Outcome] = field(default_factory=dict)
    """Of the training, and of each trial of the random search by its number."""
    trials: dict[str, int] = field(default_factory=dict)
    """How many each search has completed."""
    problems: list[str] = field(default_factory=list)


def came_of(server: JobServer, sent: dict[str, str]) -> Came:
    """Returns what the jobs of a round came to, all of which have ended.

    Args:
        sent: their ids, by name.
    """
    came = Came(problems=[*torn_files(server.paths), *leftovers(server.paths)])
    for name, job_id in sent.items():
        job = server.ended(job_id)
        if job.end.status != "SUCCEEDED":
            came.problems.append(f"{name} is {job.end.status}: {job.end.message}")
        elif job.search is None:
            came.runs[name] = _outcome(job.run, came)
        else:
            _note_search(job.search, name, came)
    return came


def differences(came: Came, expected: Came) -> Iterator[str]:
    """Gives a sentence for each thing that is not as in the undisturbed round."""
    yield from came.problems
    for name, count in expected.trials.items():
        if came.trials.get(name) != count:
            yield f"{name}: {came.trials.get(name)} trainings, undisturbed {count}"
    for name, one in expected.runs.items():
        other = came.runs.get(name)
        if other is None or one is None:
            yield f"{name}: missing"
            continue
        for part in vars(one):
            if getattr(other, part) != getattr(one, part):
                yield f"{name}: another {part}"


def _note_search(search: Search, name: str, came: Came) -> None:
    state = load_state(search)
    completed = [entry for entry in state.entries if entry.status == "COMPLETED"]
    came.trials[name] = len(completed)
    runs = sorted(run.id for run in list_runs(search.paths) if run.manifest.parent == search.id)
    rows = len(search.trials_csv.read_text(encoding="utf-8").splitlines()) - 1
    checks = {
        f"it is {state.status}: {state.message}": state.status == "SUCCEEDED",
        f"{len(completed)} of {len(state.entries)} are completed": len(completed) == len(state.entries),
        "its runs are not its entries": runs == sorted(entry.run for entry in state.entries),
        "two entries have one job": len({entry.job for entry in state.entries}) == len(state.entries),
        f"{rows} rows in trials.csv": rows == len(state.entries),
    }
    came.problems += [f"{name}: {sentence}" for sentence, is_so in checks.items() if not is_so]
    for entry in completed:
        found = _outcome(open_run(search.paths, entry.run), came)
        if name == COMPARED:
            came.runs[f"{name} {entry.number}"] = found


def _outcome(run: Run, came: Came) -> Outcome | None:
    attempts = [line["attempt"] for line in read_metrics(run.metrics_jsonl) if line["kind"] == "epoch"]
    if attempts != sorted(attempts):
        came.problems.append(f"run {run.id} was trained by two at once: attempts {attempts}")
    try:
        return outcome(run)
    except (OSError, KeyError, FerError) as error:
        came.problems.append(f"run {run.id}: {error!r}")
        return None

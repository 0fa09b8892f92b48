"""The history CSVs together with the runs that wrote them."""

from fer_core.errors import ArtifactError
from fer_core.places import Places
from fer_core.store.run import Run
from fer_core.store.runs import list_runs
from fer_core.training.history import History, list_histories


def histories(places: Places) -> list[History]:
    """Returns every history CSV, oldest first, with run, recipe and test score where one of our runs wrote it."""
    known = {}
    for run in list_runs(places):
        try:
            known[run.manifest.history_csv] = _facts(run)
        except ArtifactError:  # a broken run must not hide the others; its CSV is listed as a file
            continue
    return list_histories(places.history, known)


def _facts(run: Run) -> tuple[str, str | None, float | None]:
    scores = run.manifest.scores or {}
    return run.id, run.manifest.recipe, scores.get("accuracy")

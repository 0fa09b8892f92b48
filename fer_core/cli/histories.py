"""The history CSVs together with the runs that wrote them."""

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.store.runs import list_runs
from fer_core.training.history import History, list_histories


def histories(paths: Paths) -> list[History]:
    """Returns every history CSV, oldest first, with run, recipe and test score where one of our runs wrote it."""
    known = {}
    for run in list_runs(paths):
        try:
            known[run.manifest.history_csv] = _metadata(run)
        except ArtifactError:  # a broken run must not hide the others; its CSV is listed as a file
            continue
    return list_histories(paths.history, known)


def _metadata(run: Run) -> tuple[str, str | None, float | None]:
    scores = run.manifest.scores or {}
    return run.id, run.manifest.recipe, scores.get("accuracy")

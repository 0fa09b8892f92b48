"""The runs under models/runs: making one, opening one by its id, finding the one to go on with."""

import contextlib
import difflib
import re
import secrets
import shutil
from datetime import datetime
from pathlib import Path

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, NoSuchArtifactError, did_you_mean
from fer_core.paths import Paths, shipped_folder
from fer_core.store.files import (
    Clock,
    create_atomically,
    full_disk_named,
    sweep,
    sync,
    temporary_beside,
    utc_now,
    utc_text,
    write_atomically,
    write_json,
)
from fer_core.store.manifest import Kind, Manifest, checked_id, checkout_commit, installed_versions
from fer_core.store.run import Run, State

UNFINISHED = ("QUEUED", "RUNNING", "INTERRUPTED")
_NO_RUNS = "There are no runs yet; `python train_emotion_model.py --data sample` makes one."


def create_run(
    paths: Paths,
    config: TrainConfig,
    *,
    recipe: str | None = None,
    kind: Kind = "train",
    parent: str | None = None,
    members: tuple[str, ...] = (),
    promote: bool = True,
    history_header: str = "",
    run_id: str | None = None,
    clock: Clock = utc_now,
) -> Run:
    """Returns a new run that waits to be trained: its folder with manifest and state, and its history CSV.

    Both appear whole, under names that no other process gets. Raises ArtifactError, DiskFullError.

    Args:
        run_id: from `new_run_id`, where somebody has noted it before: if there is such a run already, it is returned.
    """
    runs = paths.models / "runs"
    if run_id is not None:
        checked_id(run_id, "run id")
        if (runs / run_id / "manifest.json").is_file():
            return open_run(paths, run_id)
    timestamp = clock()
    history_csv = _reserve_history(_history_folder(paths, kind, parent), history_header, timestamp)
    fields = {
        "created_utc": utc_text(timestamp),
        "kind": kind,
        "parent": parent,
        "members": members,
        "recipe": recipe,
        "config": config,
        "promote": promote and kind != "trial",
        "history_csv": history_csv.relative_to(paths.history).as_posix(),
        "seed": config.seed,
        "versions": installed_versions(),
        "git_commit": checkout_commit(),
    }
    try:
        runs.mkdir(parents=True, exist_ok=True)
        sweep(runs)
        while True:
            id_ = run_id or new_run_id(config, recipe=recipe, clock=lambda: timestamp)
            folder, manifest = runs / id_, Manifest(run_id=id_, **fields)
            if _create_folder(folder, manifest):
                break
            if run_id is not None:  # a job's folder is there already
                _write_files(folder, manifest)
                break
    except BaseException:
        history_csv.unlink(missing_ok=True)
        raise
    return Run(folder, paths.history)


def new_run_id(config: TrainConfig, *, recipe: str | None = None, clock: Clock = utc_now) -> str:
    """Returns an id for a run that `create_run` makes later, so that it can be noted before there is a folder."""
    slug = re.sub(r"[^A-Za-z0-9_]+", "_", recipe or config.network).strip("_")[:60] or "run"
    return f"{clock():%Y%m%d-%H%M%S}-{slug}-{_mark()}"


def open_run(paths: Paths, run_id: str) -> Run:
    """Returns an existing run. Raises ArtifactError if there is none of that id, or it is no id."""
    checked_id(run_id, "run id")
    folder = paths.models / "runs" / run_id
    if (folder / "manifest.json").is_file():
        return Run(folder, paths.history)
    ids = [run.id for run in list_runs(paths)]
    near = difflib.get_close_matches(run_id, ids, n=1)
    newest = f"The newest are: {', '.join(ids[:-6:-1])}." if ids else _NO_RUNS
    hint = did_you_mean(run_id, near) if near else newest
    if shipped_folder(run_id) is not None:
        hint = f"{run_id} comes with the project: it is no run, and is read by its name, with --model {run_id}."
    raise NoSuchArtifactError(f"There is no run {run_id!r} in {folder.parent}.", hint=hint)


def list_runs(paths: Paths) -> list[Run]:
    """Returns all runs, oldest first."""
    manifests = (paths.models / "runs").glob("[!.]*/manifest.json")
    return [Run(folder, paths.history) for folder in sorted(path.parent for path in manifests)]


def latest_unfinished(paths: Paths) -> Run | None:
    """Returns the newest run that was started by hand, is not finished and is trained by no living process."""
    return next((run for run in reversed(list_runs(paths)) if _can_be_resumed(run)), None)


def _mark() -> str:
    return secrets.token_hex(2)


def _can_be_resumed(run: Run) -> bool:
    try:
        manifest, status = run.manifest, run.state.status
    except ArtifactError:  # one broken run must not keep the others from going on
        return False
    is_by_hand = manifest.kind == "train" and manifest.parent is None and not (run.folder / "job.json").exists()
    return is_by_hand and status in UNFINISHED and not run.is_held()


def _history_folder(paths: Paths, kind: Kind, parent: str | None) -> Path:
    if parent is None or kind != "trial":
        return paths.history
    checked_id(parent, "search id")
    return paths.history / f"search_{parent.removeprefix('search_')}"


def _reserve_history(folder: Path, header: str, timestamp: datetime) -> Path:
    """Returns the path of a new CSV named by the time; the second in one second ends in _2."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    number = 1
    while True:
        mark = "" if number == 1 else f"_{number}"
        path = folder / f"training_history_{timestamp:%Y%m%d_%H%M%S}{mark}.csv"
        with contextlib.suppress(FileExistsError):
            create_atomically(path, header)
            return path
        number += 1


def _create_folder(folder: Path, manifest: Manifest) -> bool:
    """Makes a run's folder in one instant; False if the name is taken."""
    if folder.exists():
        return False
    temporary = temporary_beside(folder)
    try:
        with full_disk_named(folder):
            temporary.mkdir()
            _write_files(temporary, manifest)
            temporary.rename(folder)
            sync(folder.parent)
    except OSError:
        if not folder.exists():
            raise
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def _write_files(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest last, since a folder that has one is a run; leaves one that is there already as it is."""
    if not (folder / "manifest.json").is_file():
        write_json(folder / "state.json", State(epochs=manifest.config.epochs).model_dump())
        write_atomically(folder / "manifest.json", manifest.to_json())

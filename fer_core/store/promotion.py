"""Which run is in use: `current.json` decides, and beside it lies a copy of its model for other programs.

Promotion never trains, never judges which model is better, and needs no Keras.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST, SHIPPED_NAME, Paths
from fer_core.resources import file_lock
from fer_core.store.files import (
    Clock,
    DiskFullError,
    file_sha256,
    read_json,
    replacing,
    sweep,
    temporary_beside,
    utc_now,
    utc_text,
)
from fer_core.store.manifest import Manifest, RunId, Timestamp, checked
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run

_LONGEST_HISTORY = 50


class Pointer(BaseModel):
    """What current.json says: the run in use, and those before it, the latest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: RunId
    previous: Annotated[tuple[RunId, ...], Field(max_length=_LONGEST_HISTORY)] = ()
    promoted_utc: Timestamp
    sha256: str
    """Of the run's model.h5, and so of the copy."""


class Promotion(NamedTuple):
    """Whether a run is in use now, and a sentence that says so or why not."""

    promoted: bool
    sentence: str


class Step(NamedTuple):
    """A way back: from the model in use to the one before, by their runs' ids or `SHIPPED_NAME`."""

    start: str
    end: str


def model_copy(paths: Paths) -> Path:
    """Returns where the copy of the model in use lies, as the classic scripts know it."""
    return paths.models / "emotion_recognition_modelfer.h5"


def labels_copy(paths: Paths) -> Path:
    """Returns where the labels of that copy lie."""
    return paths.models / "emotion_labels.json"


def _pointer_path(paths: Paths) -> Path:
    return paths.models / "current.json"


def current(paths: Paths) -> Pointer | None:
    """Returns what has been promoted last, None if nothing has. Raises ArtifactError for a broken pointer."""
    path = _pointer_path(paths)
    if not path.exists():
        return None
    hint = "Delete it, and promote the run that should be in use."
    content = read_json(path, "pointer to the model in use")
    return checked(Pointer, content, otherwise=f"{path} is no pointer to a run", hint=hint)


def model_in_use(paths: Paths, *, shipped: Path = SHIPPED_BEST) -> Path | None:
    """Returns the folder of the promoted run, else the shipped one, else None. Raises ArtifactError if that is gone.

    Where a kill has cut a promotion off, its copies are put right first.
    """
    if _was_cut_off(paths):
        # Not if another process is at it, or nothing can be written: then it is for the next one.
        with contextlib.suppress(OSError, DiskFullError), _promoting(paths, shipped, timeout_seconds=0):
            pass
    return _folder_in_use(paths, shipped)


def _folder_in_use(paths: Paths, shipped: Path) -> Path | None:
    pointer = current(paths)
    if pointer is None:
        return shipped if (shipped / "model.h5").is_file() else None
    folder = paths.models / "runs" / pointer.run
    if not (folder / "model.h5").is_file():
        raise ArtifactError(
            f"Run {pointer.run} is in use, but {folder / 'model.h5'} is missing.",
            hint=f"Promote another run, or delete {_pointer_path(paths)}: then the project's own model is in use.",
        )
    return folder


def promote(paths: Paths, run: Run, *, shipped: Path = SHIPPED_BEST, clock: Clock = utc_now) -> Promotion:
    """Puts a finished run into use, and returns whether it did. Promoting the same run again repairs its copies.

    A model of drawn faces does not take the place of one of photographs, be it the one that comes with the project.
    Raises ArtifactError, DiskFullError.
    """
    manifest = _checked_manifest(run)
    with _promoting(paths, shipped):
        if _is_of_drawn_faces(manifest):
            with contextlib.suppress(ArtifactError):  # the model in use is gone already
                in_use = _folder_in_use(paths, shipped)
                if in_use and not _is_of_drawn_faces(Run(in_use, paths.history).manifest):
                    reason = f"run {run.id} was trained on the sample's drawn faces. Its model is {run.model_h5}."
                    return Promotion(False, f"The model in use was trained on photographs and stays: {reason}")
        pointer = current(paths)
        before = (pointer.run, *pointer.previous) if pointer else ()
        _put_into_use(paths, run, previous=[run_id for run_id in before if run_id != run.id], clock=clock)
    return Promotion(True, f"Run {run.id} is the model in use now: {model_copy(paths)}.")


def awaiting_promotion(paths: Paths) -> Run | None:
    """Returns the newest run if it is finished and should be in use but never was: a kill came in between."""
    run = next(reversed(list_runs(paths)), None)
    manifest = run and _complete_manifest(paths, run.id)
    if not manifest or not manifest.promote or _is_of_drawn_faces(manifest):
        return None
    pointer = current(paths)
    return None if pointer is not None and run.id in (pointer.run, *pointer.previous) else run


def step_back(paths: Paths, *, shipped: Path = SHIPPED_BEST) -> Step | None:
    """Returns the step that `rollback` would take, None if there is none. Raises ArtifactError for a broken pointer.

    It ends at the latest run before that is still there whole; before all of them was the project's own model.
    """
    pointer = current(paths)
    if pointer is None:
        return None
    before = next((run_id for run_id in pointer.previous if _complete_manifest(paths, run_id)), None)
    if before is None and (shipped / "model.h5").is_file():
        before = SHIPPED_NAME
    return Step(pointer.run, before) if before else None


def rollback(
    paths: Paths, *, wanted: Step | None = None, shipped: Path = SHIPPED_BEST, clock: Clock = utc_now
) -> Pointer | None:
    """Puts the model before the current one into use, and returns the pointer; None: the project's own model is.

    Args:
        wanted: the step that was decided on. Where it is another one by now, because something else was promoted
            meanwhile, nothing is changed.

    Raises ArtifactError if there is no step back or another one than wanted, DiskFullError.
    """
    with _promoting(paths, shipped):
        step = step_back(paths, shipped=shipped)
        if step is None:
            raise ArtifactError(
                f"There is no model in {paths.models} to go back to: none was in use before, or it is gone.",
                hint="`python -m jobs promote RUN` puts a finished run into use.",
            )
        if wanted not in (None, step):
            raise ArtifactError(
                f"Another model was put into use or taken out of it meanwhile: {step.start} is in use now.",
                hint=f"Look again, and decide anew: the one before it is {step.end}.",
            )
        if step.end == SHIPPED_NAME:
            unfinished = temporary_beside(_pointer_path(paths))
            unfinished.touch()
            try:
                _write_copies(paths, shipped)
                _pointer_path(paths).unlink()
            finally:
                unfinished.unlink()
            return None
        previous = current(paths).previous
        later = previous[previous.index(step.end) + 1 :]
        return _put_into_use(paths, open_run(paths, step.end), previous=later, clock=clock)


def _checked_manifest(run: Run) -> Manifest:
    """Returns the manifest of a finished run. Raises ArtifactError if it is not finished, or not all of it is there."""
    status = run.state.status
    if status != "SUCCEEDED":
        raise ArtifactError(
            f"Run {run.id} is not finished (it is {status}); only a finished run can be put into use.",
            hint=f"`python train_emotion_model.py --resume {run.id}` goes on with it.",
        )
    missing = [path.name for path in (run.model_h5, run.labels_json) if not path.is_file()]
    if missing:
        raise ArtifactError(f"Run {run.id} cannot be put into use: {run.folder} has no {' and no '.join(missing)}.")
    return run.manifest


def _complete_manifest(paths: Paths, run_id: str) -> Manifest | None:
    try:
        return _checked_manifest(open_run(paths, run_id))
    except ArtifactError:
        return None


def _is_of_drawn_faces(manifest: Manifest) -> bool:
    return "sample" in (manifest.data_name, manifest.config.data)


def _put_into_use(paths: Paths, run: Run, *, previous: list[str] | tuple[str, ...], clock: Clock) -> Pointer:
    pointer = Pointer(
        run=run.id,
        previous=tuple(previous[:_LONGEST_HISTORY]),
        promoted_utc=utc_text(clock()),
        sha256=file_sha256(run.model_h5),
    )
    # Renamed last: until then its temporary file says that the copies may be of two models.
    with replacing(_pointer_path(paths)) as pointer_file:
        pointer_file.write_text(pointer.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _write_copies(paths, run.folder)
    return pointer


def _write_copies(paths: Paths, folder: Path) -> None:
    # Both are written before the first is renamed.
    with replacing(labels_copy(paths)) as labels, replacing(model_copy(paths)) as model:
        shutil.copyfile(folder / "model.h5", model)
        shutil.copyfile(folder / "labels.json", labels)


def _was_cut_off(paths: Paths) -> bool:
    """Whether a promotion has begun and not ended: it is under way, or was killed."""
    return any(paths.models.glob(".current.*.part.json"))


@contextlib.contextmanager
def _promoting(paths: Paths, shipped: Path, *, timeout_seconds: float = -1) -> Iterator[None]:
    """One process at a time; `timeout_seconds` -1: however long it takes. Raises filelock.Timeout, an OSError.

    Puts the copies right that a killed process left.
    """
    paths.models.mkdir(parents=True, exist_ok=True)
    with file_lock(paths.models / ".promotion.lock", timeout_seconds=timeout_seconds):
        if _was_cut_off(paths):
            with contextlib.suppress(ArtifactError):  # what is in use is gone: there is nothing to copy
                if (folder := _folder_in_use(paths, shipped)) is not None:
                    _write_copies(paths, folder)
        sweep(paths.models)
        yield

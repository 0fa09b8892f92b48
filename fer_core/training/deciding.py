"""The end of a retraining: compares the finished model with the one in use, and puts the better one into use.

To be called in a process that has not trained the model: what is judged is the saved file. The decision is written
before it is carried out, and done again after a kill it is the same one.
"""

from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import plain, read_json, write_json
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.promotion import current, promote
from fer_core.store.run import Run
from fer_core.store.runs import SHIPPED_BEST
from fer_core.training.comparing import Ask, Compared, asked_by_keras, compare_models, files_of
from fer_core.training.retraining import RetrainSpec


class Decision(BaseModel):
    """What promotion.json says: the verdict, and whether the run has been put into use."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    run: str
    model_sha256: str
    champion: str | None
    """The model in use then: a run's id or shipped/best; None if there was none."""
    champion_sha256: str | None
    better: bool
    reasons: tuple[str, ...]
    """Sentences: why it is better, or each reason why not."""
    remarks: tuple[str, ...]
    """Sentences on how the two were compared."""
    figures: dict[str, Any]
    promoted: bool = False
    decided_utc: str

    def sentences(self) -> tuple[str, ...]:
        """Returns the whole for people."""
        outcome = "is put into use" if self.promoted else "is kept, and not put into use"
        return (*self.remarks, *self.reasons, f"Run {self.run} {outcome}.")


def decide(
    run: Run,
    dataset: Dataset,
    spec: RetrainSpec,
    paths: Paths,
    *,
    ask: Ask | None = None,
    shipped: Path = SHIPPED_BEST,
    clock: Clock = utc_now,
) -> Decision:
    """Returns what became of a finished run, and puts it into use where it is measurably better.

    The decision is written into the run's promotion.json. One process at a time decides, so that two retrainings that
    end together are compared with each other.

    Args:
        dataset: of the run's own settings.
        ask: how a saved model is asked; None: by Keras.

    Raises:
        ArtifactError: the model in use cannot be read. DiskFullError.
    """
    with FileLock(paths.models / ".deciding.lock"):
        champion = _champion(run, paths, shipped)
        decision = _kept(run, champion)
        if decision is None:
            compared = compare_models(run, dataset, champion, spec, paths, ask=ask or asked_by_keras(run))
            decision = _made(run, champion, compared, clock)
            _keep(run, decision)
        if decision.better and not decision.promoted:
            decision = _carried_out(run, decision, paths, shipped)
            _keep(run, decision)
    return decision


def _champion(run: Run, paths: Paths, shipped: Path) -> ModelFiles | None:
    """Returns the model that the run has to beat; where the run itself is in use already, the one before it."""
    pointer = current(paths)
    others = [run_id for run_id in ((pointer.run, *pointer.previous) if pointer else ()) if run_id != run.id]
    if others:
        return find_model(others[0], paths)
    return find_model(str(shipped), paths) if (shipped / "model.h5").is_file() else None


def _kept(run: Run, champion: ModelFiles | None) -> Decision | None:
    """Returns the decision that was written before, if it is whole and of the same two files.

    One that was carried out stands, whatever is in use since then: somebody may have taken the run out of use.
    """
    try:
        decision = Decision.model_validate(read_json(run.folder / "promotion.json", "decision"))
    except (ArtifactError, ValidationError):
        return None
    is_of_both = decision.promoted or decision.champion_sha256 == (champion.sha256 if champion else None)
    return decision if is_of_both and decision.model_sha256 == files_of(run).sha256 else None


def _keep(run: Run, decision: Decision) -> None:
    write_json(run.folder / "promotion.json", decision.model_dump(mode="json"))


def _made(run: Run, champion: ModelFiles | None, compared: Compared, clock: Clock) -> Decision:
    return Decision(
        run=run.id,
        model_sha256=files_of(run).sha256,
        champion=champion.name if champion else None,
        champion_sha256=champion.sha256 if champion else None,
        remarks=compared.remarks,
        decided_utc=utc_text(clock()),
        **plain(compared.verdict._asdict()),
    )


def _carried_out(run: Run, decision: Decision, paths: Paths, shipped: Path) -> Decision:
    """A run that has been in use already is not put back: a kill came in between, or somebody has taken it out."""
    pointer = current(paths)
    if pointer is not None and run.id in (pointer.run, *pointer.previous):
        return decision.model_copy(update={"promoted": True})
    promotion = promote(paths, run, shipped=shipped)
    if promotion.promoted:
        return decision.model_copy(update={"promoted": True})
    reasons = (*(reason for reason in decision.reasons if reason != promotion.sentence), promotion.sentence)
    return decision.model_copy(update={"reasons": reasons})

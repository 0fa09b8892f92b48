"""The end of a retraining: compares the finished model with the one in use, and puts the better one into use.

To be called in a process that has not trained the model: what is judged is the saved file. The decision is written
before it is carried out, and done again after a kill it is the same one. Imports Keras when it loads the models.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.data.dataset import Dataset, load_dataset
from fer_core.errors import ArtifactError, DatasetError
from fer_core.evaluation.analysis_data import training_hashes
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.gate import Limits, Verdict, judge
from fer_core.evaluation.metrics import Evaluation, confusion_matrix, summary
from fer_core.evaluation.predict import class_numbers
from fer_core.paths import SHIPPED_BEST, Paths
from fer_core.resources import file_lock
from fer_core.store.files import Clock, plain, read_json, utc_now, utc_text, write_json
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.promotion import current, promote
from fer_core.store.run import Run
from fer_core.training.retraining import RetrainSpec

_RELOADED = ("accuracy", "macro_f1")
Predict = Callable[[ModelFiles, Dataset], np.ndarray]
"""Returns a saved model's probabilities for the test images, float32 (n, outputs), not calibrated."""


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
    predict: Predict | None = None,
    shipped: Path = SHIPPED_BEST,
    clock: Clock = utc_now,
) -> Decision:
    """Returns what became of a finished run, and puts it into use where it is measurably better.

    The decision is written into the run's promotion.json. One process at a time decides, so that two retrainings that
    end together are compared with each other.

    Args:
        dataset: of the run's own settings.
        predict: how a saved model predicts; None: by Keras.

    Raises:
        ArtifactError: the model in use cannot be read. DiskFullError.
    """
    path = run.folder / "promotion.json"
    with file_lock(paths.models / ".deciding.lock"):
        challenger, champion = find_model(str(run.folder), paths), _champion(run, paths, shipped)
        decision = _made_before(path, challenger, champion)
        if decision is None:
            given = {"spec": spec, "paths": paths, "predict": predict or _keras_predict(run)}
            verdict, remarks = _compared(run, dataset, challenger, champion, **given)
            decision = Decision(
                run=run.id,
                model_sha256=challenger.sha256,
                champion=champion.name if champion else None,
                champion_sha256=champion.sha256 if champion else None,
                remarks=remarks,
                decided_utc=utc_text(clock()),
                **plain(verdict._asdict()),
            )
            write_json(path, decision.model_dump(mode="json"))
        if decision.better and not decision.promoted:
            decision = _carried_out(run, decision, paths, shipped)
            write_json(path, decision.model_dump(mode="json"))
    return decision


def _champion(run: Run, paths: Paths, shipped: Path) -> ModelFiles | None:
    """Returns the model that the run has to beat; where the run itself is in use already, the one before it."""
    pointer = current(paths)
    others = [run_id for run_id in ((pointer.run, *pointer.previous) if pointer else ()) if run_id != run.id]
    if others:
        return find_model(others[0], paths)
    return find_model(str(shipped), paths) if (shipped / "model.h5").is_file() else None


def _made_before(path: Path, challenger: ModelFiles, champion: ModelFiles | None) -> Decision | None:
    """Returns the decision that was written before, if it is whole and of the same two files.

    One that was carried out stands, whatever is in use since then: somebody may have taken the run out of use.
    """
    try:
        decision = Decision.model_validate(read_json(path, "decision"))
    except (ArtifactError, ValidationError):
        return None
    is_of_both = decision.promoted or decision.champion_sha256 == (champion.sha256 if champion else None)
    return decision if is_of_both and decision.model_sha256 == challenger.sha256 else None


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


def _keras_predict(run: Run) -> Predict:
    """With the threads and devices that the run was trained with; raises ConfigError where the machine is another."""
    from fer_core.evaluation.predict import predict
    from fer_core.store.artifacts import load_model
    from fer_core.training.machine import prepare

    prepare(run.manifest.config, recorded=run.manifest)
    return lambda model, dataset: predict(load_model(model.model), dataset.test)


def _compared(
    run: Run,
    dataset: Dataset,
    challenger: ModelFiles,
    champion: ModelFiles | None,
    *,
    spec: RetrainSpec,
    paths: Paths,
    predict: Predict,
) -> tuple[Verdict, tuple[str, ...]]:
    """Returns whether the challenger is measurably better, and sentences on how the two were compared."""
    try:
        ours = predict(challenger, dataset)
    except ArtifactError as error:
        return Verdict(False, (f"The saved model cannot be read again: {error}",), {}), ()
    recorded = Evaluation.from_json(read_json(run.evaluation_json, f"evaluation of run {run.id}"))
    found = summary(confusion_matrix(dataset.test.labels, ours.argmax(axis=1), len(dataset.labels)))
    reloaded = {name: {"recorded": getattr(recorded, name), "found": getattr(found, name)} for name in _RELOADED}
    objection = _reload_objection(recorded, reloaded, challenger, spec.max_reload_difference)
    if objection or champion is None:
        reason = objection or "There is no model in use that it would have to beat."
        return Verdict(not objection, (reason,), {"reloaded": reloaded}), ()
    try:
        columns = class_numbers(champion.labels, dataset.labels)
    except DatasetError as error:
        reason = f"It cannot be compared with {champion.name}, the model in use. {error}"
        return Verdict(False, (reason,), {"reloaded": reloaded}), ()
    theirs = predict(champion, in_its_size(run, dataset, champion, paths))[:, columns]
    chosen, remarks = fair_images(champion, dataset)
    verdict = judge(
        dataset.test.labels[chosen],
        with_temperature(theirs, champion.temperature)[chosen],
        with_temperature(ours, challenger.temperature)[chosen],
        labels=dataset.labels,
        limits=Limits(spec.min_gain, spec.max_recall_loss, spec.max_calibration_loss, spec.confidence),
    )
    whom = f"Compared with {champion.name}, the model in use, on {dataset.test.name}."
    return verdict._replace(figures=verdict.figures | {"reloaded": reloaded}), (whom, *remarks)


def _reload_objection(
    recorded: Evaluation, reloaded: dict[str, dict[str, float]], challenger: ModelFiles, allowed: float
) -> str:
    """Returns what there is against the saved file; '' = nothing."""
    if recorded.model_sha256 != challenger.sha256:
        return f"{challenger.model} is not the file that was scored when it was saved."
    for name, score in reloaded.items():
        if abs(score["recorded"] - score["found"]) > allowed:
            now, was = score["found"], score["recorded"]
            return f"The saved model, loaded anew, has {name} {now:.6f}; recorded is {was:.6f}."
    return ""


def fair_images(champion: ModelFiles, dataset: Dataset) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns which test images two models are compared on, bool (n,), and sentences on what they have seen of them.

    Those are left out that only one of the two has seen in its training. Where that is not known of the champion, none
    is: what it has seen can only speak for it.
    """
    tested = dataset.test.hashes
    every = np.ones(len(tested), bool)
    if champion.manifest.config.validation == "test":
        return every, (f"{champion.name} was chosen on its test images: its score may be too good.",)
    seen = training_hashes(champion, dataset)
    if seen is None:
        return every, (f"Which of these images {champion.name} has seen in its training is not known.",)
    by_champion, by_challenger = np.isin(tested, seen), np.isin(tested, dataset.hashes_seen_before_test())
    is_fair = by_champion == by_challenger
    counts = {
        "{:,} of these {:,} test images occur in the training of both models.": (by_champion & by_challenger).sum(),
        "{:,} of these {:,} test images are left out: only one of the models has seen them.": (~is_fair).sum(),
    }
    return is_fair, tuple(text.format(count, len(tested)) for text, count in counts.items() if count)


def in_its_size(run: Run, dataset: Dataset, model: ModelFiles, paths: Paths) -> Dataset:
    """Returns the run's images as another model takes them; their order does not depend on the size."""
    if (model.side, model.channels, model.colours) == (dataset.side, dataset.channels, run.manifest.colours):
        return dataset
    shape = {"side": model.side, "channels": model.channels, "colours": model.colours if model.manifest else "gray"}
    return load_dataset(run.manifest.config, paths, **shape)

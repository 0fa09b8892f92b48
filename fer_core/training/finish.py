"""The end of a training: scores the kept weights on the test images once, and saves all that a run leaves.

Every file appears whole. Done again from the start if it was interrupted. Imports Keras.
"""

import keras
import numpy as np

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation import plots
from fer_core.evaluation.calibration import fit_temperature
from fer_core.evaluation.metrics import Evaluation, evaluate_probabilities
from fer_core.evaluation.predict import predict, predict_side_by_side
from fer_core.interruption import check_interrupted
from fer_core.store.artifacts import save_architecture, save_labels, save_model
from fer_core.store.export import ensure_litert, export_checked, export_int8
from fer_core.store.files import file_sha256, write_json
from fer_core.store.litert import LiteRTModel
from fer_core.store.manifest import Int8Facts
from fer_core.store.run import Run
from fer_core.training.checkpoint import Progress
from fer_core.training.history import write_history
from fer_core.training.report import RunReport

_EXPORT_PROBES = 256
_INT8_MAY_LOSE = 0.005
"""Of the accuracy on the test images."""


def finish(run: Run, network: keras.Model, dataset: Dataset, progress: Progress, told: RunReport) -> Evaluation:
    """Returns the evaluation on test of the finished network (stock Keras, float32), and saves everything."""
    write_history(run.history_csv, progress.rows)
    kept = kept_epoch(progress)
    evaluation, temperature = _evaluate(run, network, dataset)
    check_interrupted()
    run.update_manifest(scores=_scores(evaluation, progress, kept), temperature=temperature)
    save_labels(run.labels_json, dataset.labels)
    save_architecture(network, run.architecture_json)
    save_model(network, run.model_h5, manifest=run.manifest)
    evaluation = evaluation.model_copy(update={"model_sha256": file_sha256(run.model_h5)})
    write_json(run.evaluation_json, evaluation.to_json())
    check_interrupted()
    _export(run, network, dataset, told)
    check_interrupted()
    _plot(run, dataset, evaluation, progress)
    return evaluation


def kept_epoch(progress: Progress) -> int:
    """Returns the epoch whose weights are saved: the best, where validation chose one."""
    return progress.best_epoch if progress.best_weights else progress.epoch


def chosen_on(run: Run, dataset: Dataset) -> str:
    """Returns a sentence: which images chose the epoch and the temperature."""
    config = run.manifest.config
    if dataset.validation is None:
        return "No images chose the epoch: the last one is kept. None chose the temperature: it stays 1."
    chose_epoch = config.keep != "last" or config.early_stopping_patience > 0
    epoch = "when to stop" if config.keep == "last" else "the epoch"
    chosen = f"{epoch}, by {config.monitor}, and the temperature" if chose_epoch else "the temperature"
    part = f"Chosen on {dataset.validation.name} ({len(dataset.validation):,} images): {chosen}"
    kept = "" if chose_epoch else " The last epoch is kept."
    if config.validation == "test" and dataset.validation.name == dataset.test.name:
        score = "the test score is optimistic" if chose_epoch else "calibration looks better on them than it is"
        return f"{part}: the test images themselves, so {score}.{kept}"
    return f"{part}; the test images chose nothing.{kept}"


def _evaluate(run: Run, network: keras.Model, dataset: Dataset) -> tuple[Evaluation, float]:
    """Returns the scores of the network's own probabilities on test, and the temperature that calibrates them."""
    outputs = predict(network, dataset.test)
    evaluation = evaluate_probabilities(
        outputs,
        dataset.test.labels,
        label_names=dataset.labels,
        split=dataset.test.name,
        is_training_copy=np.isin(dataset.test.hashes, dataset.hashes_seen_before_test()),
        chosen_on=chosen_on(run, dataset),
    )
    part = dataset.validation
    if part is None:
        return evaluation, 1.0
    return evaluation, fit_temperature(outputs if part is dataset.test else predict(network, part), part.labels)


def _scores(evaluation: Evaluation, progress: Progress, kept: int) -> dict:
    row = progress.rows[kept - 1] if progress.rows else {}
    return {
        "split": evaluation.split,
        "images": evaluation.images,
        "accuracy": evaluation.accuracy,
        "accuracy_interval": evaluation.accuracy_interval,
        "macro_f1": evaluation.macro_f1,
        "loss": evaluation.loss,
        "chosen_on": evaluation.chosen_on,
        "kept_epoch": kept,
        "epochs": progress.epoch,
        "val_accuracy": row.get("val_accuracy"),
        "train_accuracy": row.get("accuracy"),
    }


def _export(run: Run, network: keras.Model, dataset: Dataset, told: RunReport) -> None:
    """A model without this export is still a model: what hinders it is told, and nothing is lost."""
    run.update_manifest(litert=None)
    run.model_tflite.unlink(missing_ok=True)
    try:
        made = _exported(run, network, dataset)
    except ModuleNotFoundError as error:
        told.event(f"No LiteRT export: {error.name} is not installed here.")
    except ArtifactError as error:
        told.event(f"No LiteRT export: {error}")
    else:
        told.event(made)
        if run.manifest.config.eight_bit:
            told.event(_int8(run, network, dataset))


def _exported(run: Run, network: keras.Model, dataset: Dataset) -> str:
    if keras.backend.backend() == "tensorflow":
        probes = dataset.test.images(slice(0, _EXPORT_PROBES))
        run.update_manifest(litert=export_checked(network, run.model_tflite, probes))
    elif not ensure_litert(run):
        return "No LiteRT export: TensorFlow is not installed here. The first machine that has it makes it."
    difference = run.manifest.litert.largest_difference
    return f"LiteRT export agrees with Keras: largest difference of a probability {difference:.1e}."


def _int8(run: Run, network: keras.Model, dataset: Dataset) -> str:
    """Keeps the export with 8-bit weights if it is nearly as good."""
    if keras.backend.backend() != "tensorflow":
        return "No int8 export: it takes TensorFlow."
    export_int8(network, run.model_int8)
    outputs = predict_side_by_side([LiteRTModel(run.model_int8).probabilities for _ in range(2)], dataset.test)
    accuracy = float((outputs.argmax(axis=1) == dataset.test.labels).mean())
    lost = run.manifest.scores["accuracy"] - accuracy
    if lost > _INT8_MAY_LOSE:
        run.model_int8.unlink()
        return f"No int8 export: it loses {100 * lost:.1f} points on the test images."
    run.update_manifest(int8=Int8Facts(sha256=file_sha256(run.model_int8), accuracy=accuracy))
    return f"Int8 export: {accuracy:.2%} of the test images right, {-100 * lost:+.2f} points."


def _plot(run: Run, dataset: Dataset, evaluation: Evaluation, progress: Progress) -> None:
    run.plots.mkdir(exist_ok=True)
    title = (
        f"{run.manifest.recipe or run.manifest.config.network}: {dataset.name}, {len(dataset.train):,} training images"
    )
    if progress.rows:  # an ensemble has none
        plots.training_curves(progress.rows, run.plots, title=title, kept_epoch=kept_epoch(progress))
    plots.confusion_matrix(
        np.array(evaluation.confusion),
        dataset.labels,
        run.plots / "confusion_matrix.png",
        title=f"{run.id}: {evaluation.split}, {evaluation.images:,} images, {evaluation.accuracy:.1%} right",
    )

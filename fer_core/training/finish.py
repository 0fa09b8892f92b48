"""The end of a training: scores the kept weights on the test images once, and saves all that a run leaves.

Every file appears whole. Done again from the start if it was interrupted. A trial of a search and a fold of an audit
leave no export and no plots: they take longer than many a trial, and `complete` makes them for the best. Imports Keras.
"""

import math

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ArtifactError, check_interrupted
from fer_core.evaluation.calibration import (
    ENOUGH_IMAGES,
    MANY_IMAGES,
    answered_at,
    fitted_on,
    prior_of,
    risk_coverage,
    useful_power,
    useful_temperature,
    with_temperature,
)
from fer_core.evaluation.figures import CURVES, confusion_figure, curve_figure, save
from fer_core.evaluation.metrics import Evaluation, evaluate_probabilities
from fer_core.evaluation.predict import predict, predict_side_by_side, save_answers
from fer_core.store.artifacts import save_architecture, save_labels, save_model
from fer_core.store.export import can_export, ensure_litert, export_checked, export_int8, export_int8_in_child
from fer_core.store.files import file_sha256, read_json, sweep, write_json
from fer_core.store.manifest import ONLY_ASKED, Int8Metadata, Manifest
from fer_core.store.run import Run
from fer_core.store.runtimes import LiteRTModel
from fer_core.training.history import read_history, write_history
from fer_core.training.progress import Progress, RunReport

_EXPORT_PROBES = 256
_MOST_HELD_OUT = 0.2
"""Of the images that could be trained on, for calibration."""
_INT8_MAY_LOSE = 0.005
"""Of the accuracy on the validation images."""
_SIDE_BY_SIDE = 2
_LAST_PLOT = "confusion_matrix.png"


def finish(
    run: Run,
    network: keras.Model,
    dataset: Dataset,
    *,
    progress: Progress,
    chosen: str,
    report: RunReport,
    class_weights: np.ndarray | None = None,
) -> Evaluation:
    """Returns the evaluation of the finished network (stock Keras, float32), and saves everything.

    It is scored on test; with `score_test` off, and in a trial of a search, on the validation images.

    Args:
        chosen: which images chose what; `chosen_on` makes it for a training.
        class_weights: of the loss, float32 (labels,); None for an ensemble, which has no prior of its own.
    """
    write_history(run.history_csv, progress.rows)
    kept, config = progress.kept_epoch, run.manifest.config
    fields = {} if class_weights is None else _adjusted(network, dataset, config, class_weights, report)
    is_of_test = is_scored_on_test(run.manifest)
    evaluation, calibration, outputs = _evaluate(network, dataset, chosen, is_of_test=is_of_test)
    if dataset.validation is not None:
        report.event(calibrated_on(calibration["temperature"], config, dataset))
    check_interrupted()
    manifest = run.update_manifest(scores=_scores(evaluation, progress, kept), **calibration, **fields)
    save_labels(run.labels_json, dataset.labels)
    save_architecture(network, run.architecture_json)
    save_model(network, run.model_h5, manifest=manifest)
    evaluation = evaluation.model_copy(update={"model_sha256": file_sha256(run.model_h5)})
    if is_of_test:
        save_answers(run.answers_npz, outputs, dataset.test.labels, labels=dataset.labels, test=dataset.test)
    write_json(run.evaluation_json, evaluation.to_json())
    check_interrupted()
    if manifest.kind not in ONLY_ASKED:
        export(run, network, dataset, report)
        check_interrupted()
        _plot(run, evaluation, progress.rows, kept)
    return evaluation


def complete(run: Run) -> None:
    """Makes the export and the plots of a finished trial; what is there already stays. Raises ArtifactError."""
    for folder in (run.folder, run.plots):  # somebody may have been killed over it
        sweep(folder)
    ensure_litert(run)
    if not (run.plots / _LAST_PLOT).is_file():
        evaluation = Evaluation.from_json(read_json(run.evaluation_json, "scores"))
        _plot(run, evaluation, read_history(run.history_csv).rows, run.manifest.scores["kept_epoch"])


def chosen_on(config: TrainConfig, dataset: Dataset) -> str:
    """Returns which images chose the epoch, the temperature, and whether the int8 export is kept, for people."""
    if dataset.validation is None:
        return "No images chose the epoch: the last one is kept. None chose the temperature: it stays 1."
    chose_epoch = config.keep != "last" or config.early_stopping_patience > 0
    epoch = "when to stop" if config.keep == "last" else "the epoch"
    choices = [f"{epoch}, by {config.monitor}"] if chose_epoch else []
    choices += ["the power of the prior"] if config.adjust_prior else []
    choices += ["the temperature", "whether the int8 export is kept"] if config.eight_bit else ["the temperature"]
    chosen = ", and ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    part = f"Chosen on {dataset.validation.name} ({len(dataset.validation):,} images): {chosen}"
    kept = "" if chose_epoch else " The last epoch is kept."
    if config.validation == "test" and dataset.validation.name == dataset.test.name:
        score = "the test score is optimistic" if chose_epoch else "calibration looks better on them than it is"
        return f"{part}: the test images themselves, so {score}.{kept}"
    return f"{part}; the test images chose nothing.{kept}"


def is_scored_on_test(manifest: Manifest) -> bool:
    """Whether the run's scores are those of test: a trial of a search is one of many, and only the best is scored."""
    return manifest.config.score_test and manifest.kind != "trial"


def _adjusted(
    network: keras.Model, dataset: Dataset, config: TrainConfig, class_weights: np.ndarray, report: RunReport
) -> dict:
    """Takes the prior out of the network's last biases as far as the settings say; returns fields of the manifest."""
    prior = prior_of(dataset.train, class_weights, is_of_votes=config.vote_target in ("probability", "cross-entropy"))
    fields = {"prior": dict(zip(dataset.labels, prior.tolist(), strict=True))}
    if not config.adjust_prior:
        return fields
    part = dataset.validation
    power = useful_power(predict(network, part), part.labels, prior)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, (bias - power * np.log(prior)).astype(bias.dtype)])
    report.event(f"The answers are divided by the prior to the power {power:.2f}, chosen on {part.name}.")
    return fields | {"prior_power": power}


def _evaluate(
    network: keras.Model, dataset: Dataset, chosen: str, *, is_of_test: bool
) -> tuple[Evaluation, dict[str, float | None], np.ndarray]:
    """Returns the scores of the own probabilities, what calibrates them (fields of the manifest), and them."""
    scored, part = (dataset.test if is_of_test else dataset.validation), dataset.validation
    answers = predict(network, scored)
    is_copy = np.isin(scored.hashes, dataset.hashes_seen_before_test()) if is_of_test else None
    evaluation = evaluate_probabilities(
        answers,
        scored.labels,
        label_names=dataset.labels,
        split=scored.name,
        is_training_copy=is_copy,
        chosen_on=chosen,
    )
    if part is None:
        return evaluation, {"temperature": 1.0, "unsure_below": None}, answers
    outputs = answers if part is scored else predict(network, part)
    temperature = useful_temperature(outputs, part.labels)
    sure = answered_at(risk_coverage(with_temperature(outputs, temperature), part.labels))
    is_known = sure is not None and len(part) >= ENOUGH_IMAGES
    return evaluation, {"temperature": temperature, "unsure_below": sure.threshold if is_known else None}, answers


def calibrated_on(temperature: float, config: TrainConfig, dataset: Dataset) -> str:
    """Returns what chose the temperature, and how more images would where the data has them, for people."""
    part = dataset.validation
    message, fraction = fitted_on(temperature, len(part), part.name), MANY_IMAGES / (len(part) + len(dataset.train))
    could_hold_out_more = config.validation == "split" and part.name == "validation" and fraction <= _MOST_HELD_OUT
    if temperature == 1 and len(part) < MANY_IMAGES and could_hold_out_more:
        return f"{message}: --validation-fraction {math.ceil(100 * fraction) / 100:g} holds out as many."
    return f"{message}."


def _scores(evaluation: Evaluation, progress: Progress, kept: int) -> dict:
    row = progress.rows[kept - 1] if progress.rows else {}
    own = ("split", "images", "accuracy", "accuracy_interval", "macro_f1", "loss", "chosen_on")
    return {name: getattr(evaluation, name) for name in own} | {
        "kept_epoch": kept,
        "epochs": progress.epoch,
        "val_accuracy": row.get("val_accuracy"),
        "train_accuracy": row.get("accuracy"),
    }


def _plot(run: Run, evaluation: Evaluation, rows: list[dict], kept: int) -> None:
    run.plots.mkdir(exist_ok=True)
    manifest = run.manifest
    images = manifest.splits["train"].images if manifest.splits else 0
    title = f"{manifest.recipe or manifest.config.network}: {manifest.data_name}, {images:,} training images"
    if rows:  # an ensemble has none
        for column in CURVES:
            save(curve_figure(rows, column, title=title, kept_epoch=kept), run.plots / f"training_{column}.png")
    title = f"{run.id}: {evaluation.split}, {evaluation.images:,} images, {evaluation.accuracy:.1%} right"
    save(confusion_figure(evaluation.confusion, evaluation.labels, title=title), run.plots / _LAST_PLOT)


def export(run: Run, network: keras.Model, dataset: Dataset, report: RunReport) -> None:
    """Writes the LiteRT export, and with `eight_bit` the int8 one, notes them in the manifest and reports on each.

    A model without them is still a model: what hinders an export is reported, and nothing is lost.
    """
    run.update_manifest(litert=None, int8=None)
    for path in (run.model_tflite, run.model_int8):
        path.unlink(missing_ok=True)
    makers = {"LiteRT": _float32, "int8": _int8} if run.manifest.config.eight_bit else {"LiteRT": _float32}
    for name, make in makers.items():
        try:
            report.event(make(run, network, dataset))
        except ModuleNotFoundError as error:
            report.event(f"No {name} export: {error.name} is not installed here.")
        except ArtifactError as error:
            report.event(f"No {name} export: {error}")


def _float32(run: Run, network: keras.Model, dataset: Dataset) -> str:
    if keras.backend.backend() == "tensorflow":
        probes = dataset.test.images(slice(0, _EXPORT_PROBES))
        run.update_manifest(litert=export_checked(network, run.model_tflite, probes))
    elif not ensure_litert(run):
        return "No LiteRT export: TensorFlow is not installed here. The first machine that has it makes it."
    difference = run.manifest.litert.largest_difference
    return f"LiteRT export agrees with Keras: largest difference of a probability {difference:.1e}."


def _int8(run: Run, network: keras.Model, dataset: Dataset) -> str:
    """Keeps the export if it is nearly as good on the validation images; where there are none, whatever it loses."""
    if keras.backend.backend() == "tensorflow":
        export_int8(network, run.model_int8)
    elif can_export():
        export_int8_in_child(run.model_h5, run.model_int8)
    else:
        return "No int8 export: TensorFlow is not installed here."
    part = dataset.validation
    lost = 0.0 if part is None else _accuracy(predict(network, part), part) - _int8_accuracy(run, part)
    if lost > _INT8_MAY_LOSE:
        run.model_int8.unlink()
        return f"No int8 export: it loses {100 * lost:.1f} points on {part.name} ({len(part):,} images)."
    scored = dataset.test if is_scored_on_test(run.manifest) else part
    accuracy = _int8_accuracy(run, scored)
    run.update_manifest(int8=Int8Metadata(sha256=file_sha256(run.model_int8), accuracy=accuracy))
    of_scored = f"{accuracy:.2%} of {scored.name} right, {100 * (accuracy - run.manifest.scores['accuracy']):+.2f}"
    why = "kept unseen, without validation images" if part is None else f"{-100 * lost:+.2f} points on {part.name}"
    return f"Int8 export: {why}; {of_scored} points."


def _int8_accuracy(run: Run, part: Split) -> float:
    classifiers = [LiteRTModel(run.model_int8).probabilities for _ in range(_SIDE_BY_SIDE)]
    return _accuracy(predict_side_by_side(classifiers, part), part)


def _accuracy(outputs: np.ndarray, part: Split) -> float:
    return float((outputs.argmax(axis=1) == part.labels).mean())

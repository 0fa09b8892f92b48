"""Which images a model is analysed with, how they relate to those that it was trained on, and its answers on them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, DatasetError, FerError
from fer_core.evaluation import calibration, metrics
from fer_core.evaluation.analysis import Analysis, Calibration, ConfusedPair, WrongFace
from fer_core.evaluation.metrics import Evaluation, wilson_interval
from fer_core.evaluation.predict import class_numbers, classes_not_scored, of_known_classes
from fer_core.paths import Paths, expanded
from fer_core.store.manifest import Manifest
from fer_core.store.model_files import ModelFiles, ignore

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset, Split

Classify = Callable[["Split"], np.ndarray]
"""Returns the model's probabilities, float32 (images, classes), in the order of the split and of its outputs."""

MOST_CONFUSED, MOST_WRONG = 6, 24
SAME_TEMPERATURE = 0.02  # two temperatures that differ by less give the same percentages


class FoundData(NamedTuple):
    """The images to analyse with; None where there are none, and then a sentence says what it would need."""

    dataset: "Dataset | None"
    reason: str = ""


def data_for(
    model: ModelFiles,
    given: str | None,
    paths: Paths,
    *,
    are_faces: bool = False,
    label_map: str | None = None,
    votes: str | None = None,
    report: Callable[[str], None] = ignore,
) -> FoundData:
    """Returns the images to analyse the model with, split as it was trained, in the size that it takes.

    Args:
        given: what --data says; None: what the model's manifest names, if it is there and its fingerprint is equal.
        are_faces: its pictures are faces already; without it, they are looked for as they were for the training.
        label_map, votes: what --label-map and --votes say of the given data.
        report: gets progress messages, e.g. of decoding.

    Raises:
        ConfigError: the label map does not fit. DatasetError: the given data is not usable, or has fewer than two
            classes that the model knows.
    """
    if given is not None:
        dataset = _loaded(model, given, paths, report, are_faces=are_faces, label_map=label_map, votes=votes)
        return FoundData(of_known_classes(dataset, model))
    manifest = model.manifest
    if manifest is None or manifest.data_fingerprint is None:
        return FoundData(None, f"It is not known what {model.name} was trained on.")
    names = [name for name in dict.fromkeys((manifest.data_source, manifest.config.data)) if name]
    source = next(filter(_is_there, names), None)
    if source is None:
        named = " ".join(filter(None, (manifest.data_name, f"({names[0]})" if names else "")))
        return FoundData(None, f"{named} is not here.")
    try:
        class_numbers(model.labels, (dataset := _loaded(model, source, paths, report)).labels)
    except DatasetError as error:
        return FoundData(None, str(error))
    if dataset.fingerprint != manifest.data_fingerprint:
        return FoundData(None, f"{source} does not hold the images any more that {model.name} was trained on.")
    return FoundData(dataset)


def analysis_of(
    model: ModelFiles, dataset: "Dataset", probabilities: Classify
) -> tuple[Analysis, np.ndarray, np.ndarray]:
    """Returns what the model says of the test images, and what that tells; saves and draws nothing.

    That is the analysis, the outputs, float32 (n, classes), and the truth, int64 (n,), as positions in the model's
    labels. Raises DatasetError, ArtifactError as `analyse` does.
    """
    test, remark = dataset.test, _remark_on(model, dataset)
    numbers = class_numbers(model.labels, dataset.labels, may_lack=True)
    scores = model.manifest.scores if model.manifest and not remark else None
    remark = " ".join(filter(None, (remark, classes_not_scored(dataset))))
    temperature, temperature_from = _temperature(model, dataset, probabilities, numbers)
    is_copy, compared_with = _copies_in_test(model, dataset)
    outputs, truth = _probabilities(model, test, probabilities), numbers[test.labels]
    calibrated = calibration.with_temperature(outputs, temperature)
    evaluation = metrics.evaluate_probabilities(
        outputs,
        truth,
        label_names=model.labels,
        split=test.name,
        is_training_copy=is_copy,
        chosen_on=str((scores or {}).get("chosen_on", "")),
        model_sha256=model.sha256,
    )
    curves, answered = metrics.precision_recall(outputs, truth), calibration.risk_coverage(calibrated, truth)
    wrong, labels = confidently_wrong(calibrated, truth), model.labels
    analysis = Analysis(
        evaluation=evaluation,
        temperature=temperature,
        temperature_from=temperature_from,
        before=_calibration(outputs, truth),
        after=_calibration(calibrated, truth),
        answered=tuple(calibration.thinned(answered)),
        mostly_right=calibration.answered_at(answered),
        average_precision={label: one.average_precision for label, one in zip(model.labels, curves, strict=True)},
        confused=most_confused(evaluation),
        confidently_wrong=tuple(
            WrongFace(name=name, truth=labels[true], predicted=labels[row.argmax()], confidence=float(row.max()))
            for name, true, row in zip(test.names(wrong), truth[wrong], calibrated[wrong], strict=True)
        ),
        compared_with=compared_with,
        remark=remark,
        pixels=model.pixels,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        seconds=0.0,
    )
    return analysis, outputs, truth


def most_confused(evaluation: Evaluation, most: int = MOST_CONFUSED) -> tuple[ConfusedPair, ...]:
    """Returns the pairs of classes with the largest share of images taken for the other.

    Ranked by the lower end of the share's 95 % interval, so that 1 of 2 images is no finding beside 98 of 496.
    """
    pairs = [
        ConfusedPair(truth=truth, predicted=predicted, images=images, of=sum(row))
        for truth, row in zip(evaluation.labels, evaluation.confusion, strict=True)
        for predicted, images in zip(evaluation.labels, row, strict=True)
        if truth != predicted and images
    ]
    ranked = sorted(pairs, key=lambda pair: -wilson_interval(pair.images, pair.of)[0])
    return tuple(ranked[:most])


def confidently_wrong(calibrated: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the positions of the wrong answers, int64 (k,), the most confident first, 24 at most."""
    wrong = np.flatnonzero(calibrated.argmax(axis=1) != truth)
    return wrong[np.argsort(-calibrated[wrong].max(axis=1), kind="stable")][:MOST_WRONG]


def training_hashes(model: ModelFiles, dataset: "Dataset") -> np.ndarray | None:
    """Returns the content hashes, uint64 (n,), of what the model's training and its choices saw; None if not known."""
    manifest = model.manifest
    if manifest is None:
        return None
    saved = saved_hashes(model.run_folder, manifest)
    if saved is None and manifest.split_fingerprint == dataset.split_fingerprint:
        return dataset.hashes_seen_before_test()
    return saved


def saved_hashes(run_folder: Path | None, manifest: Manifest) -> np.ndarray | None:
    """Returns the content hashes, uint64 (n,), saved in a run's folder; None if they are not there or not its own."""
    path = run_folder and run_folder / "training_images.bin"
    if manifest.training_images is None or path is None or not path.is_file():
        return None
    content = path.read_bytes()
    is_own = hashlib.sha256(content).hexdigest() == manifest.training_images.sha256
    return np.frombuffer(content, np.uint64) if is_own else None


def _loaded(
    model: ModelFiles,
    data: str,
    paths: Paths,
    report: Callable[[str], None],
    *,
    are_faces: bool = False,
    label_map: str | None = None,
    votes: str | None = None,
) -> "Dataset":
    from fer_core.data.dataset import load_as_trained, load_dataset

    config = model.manifest.config if model.manifest else TrainConfig()
    more = config.more_images if config.more_images and Path(config.more_images).is_dir() else None
    exclude = config.exclude if config.exclude and Path(config.exclude).is_file() else None
    # Whoever analyses a model cannot mend the data: what cannot be read is left out, and the data set counts it.
    config = config.model_copy(update={"data": data, "more_images": more, "exclude": exclude, "skip_bad_images": True})
    if config.vote_target == "softened":  # what is scored is not made of votes
        config = config.model_copy(update={"votes": None})
    if are_faces:
        config = config.model_copy(update={"faces": "given"})
    # A model from elsewhere sees gray, as what it was trained on is not known.
    colours = model.colours if model.manifest else "gray"
    shape = {"side": model.side, "channels": model.channels, "colours": colours}
    asked = {name: value for name, value in (("label_map", label_map), ("votes", votes)) if value is not None}
    if asked:
        return load_dataset(config.model_copy(update=asked | {"exclude": None}), paths, **shape, report=report)
    try:
        dataset = load_as_trained(config, paths, labels=model.labels, **shape, report=report)
    except FerError as error:
        if (config.label_map, config.votes, config.exclude) == (None,) * 3 and config.faces != "detect":
            raise
        # They were about the data that it was trained on, and need not fit another.
        faces = "given" if are_faces else "auto"
        config = config.model_copy(update={"label_map": None, "votes": None, "faces": faces, "exclude": None})
        dataset = load_dataset(config, paths, **shape, report=report)
        own = f"Read by its own labels and pictures, not as {model.name} was trained: {error} {error.hint}"
        dataset.contents.report.notes.append(own.strip())
    return dataset


def _calibration(probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
    bins = calibration.reliability(probabilities, truth)
    return Calibration(
        error=calibration.error_of(bins), loss=metrics.cross_entropy(probabilities, truth), bins=tuple(bins)
    )


def _is_there(name: str) -> bool:
    """Whether data can be had without a download, which is only made where it is asked for."""
    return name == "sample" or (name != "kaggle" and expanded(name).exists())


def _remark_on(model: ModelFiles, dataset: "Dataset") -> str:
    """Returns a sentence if these are not images and split of the training; '' if they are, or nothing is known."""
    manifest = model.manifest
    if manifest is None or manifest.split_fingerprint in (None, dataset.split_fingerprint):
        return ""
    if manifest.data_fingerprint == dataset.fingerprint:
        return "These images are split in another way than when the model was trained: it may know some of them."
    return "These are other images than the model was trained and scored with."


def _copies_in_test(model: ModelFiles, dataset: "Dataset") -> tuple[np.ndarray | None, str]:
    seen = training_hashes(model, dataset)
    if seen is not None:
        is_copy = np.isin(dataset.test.hashes, seen)
        which = "Each of these images is among the" if is_copy.all() else "Compared with the"
        different = "" if is_copy.all() else "different images "
        return is_copy, f"{which} {len(seen):,} {different}that training and its choices saw."
    if model.manifest is not None:
        return None, "Which of them also occur in training is not known: training_images.bin is missing."
    sentence = f"What this model was trained on is not known; compared with the training images of {dataset.name}."
    return np.isin(dataset.test.hashes, dataset.hashes_seen_before_test()), sentence


def _temperature(
    model: ModelFiles, dataset: "Dataset", probabilities: Classify, numbers: np.ndarray
) -> tuple[float, str]:
    part, own = dataset.validation, "so the temperature is the model's own."
    if part is None or part is dataset.test:
        which = "There are no validation images" if part is None else "The validation images are the test images"
        return model.temperature, f"{which}, {own}"
    unseen, caveat = _unseen(model, dataset, part)
    if unseen.sum() < min(calibration.ENOUGH_IMAGES, len(part)):
        return model.temperature, f"{part.name} may be known from training, {own}"
    value = calibration.useful_temperature(
        _probabilities(model, part, probabilities)[unseen], numbers[part.labels][unseen]
    )
    is_same = abs(value - model.temperature) <= SAME_TEMPERATURE
    difference = "" if is_same else f"; readings use {model.temperature:.2f}"
    return value, f"{calibration.fitted_on(value, int(unseen.sum()), f'{part.name}{caveat}')}{difference}."


def _unseen(model: ModelFiles, dataset: "Dataset", part: "Split") -> tuple[np.ndarray, str]:
    """Returns which validation images were not trained on, bool (n,), and a remark on them."""
    if model.manifest is None:
        return np.ones(len(part), bool), ", which is too low if the model was trained on them"
    if model.manifest.split_fingerprint == dataset.split_fingerprint:
        return np.ones(len(part), bool), ""
    seen = training_hashes(model, dataset)
    if seen is None:
        return np.zeros(len(part), bool), ""
    return ~np.isin(part.hashes, seen), " that do not occur in training"


def _probabilities(model: ModelFiles, part: "Split", probabilities: Classify) -> np.ndarray:
    """Returns the outputs; a model from elsewhere may end without softmax, and its scores look like confidences."""
    outputs = np.asarray(probabilities(part), np.float32)
    metrics.check_outputs(outputs, part.labels, model.labels)
    if calibration.meaning_of(outputs) != "probabilities":
        sums = outputs.sum(axis=1)
        raise ArtifactError(
            f"The outputs of {model.name} are no probabilities: they are {outputs.min():.2f} to {outputs.max():.2f}, "
            f"and add up to {sums.min():.2f} to {sums.max():.2f}.",
            hint="Its last layer must be a softmax.",
        )
    return outputs

"""Model cards: what a model must not be used for, and all of one that comes with the project, in Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.fer2013 import NAME as FER2013
from fer_core.evaluation.analysis_result import Analysis
from fer_core.evaluation.metrics import Evaluation, Interval, wilson_interval
from fer_core.recipes import RECIPES, recipe_config
from fer_core.store.manifest import Manifest

LIMITS = (
    "An expression is not a feeling. The model says which of a few words people would most likely write under a "
    "picture of a face; it does not know what the person feels.",
    "Expect worse results on faces, light and cameras unlike those that it was trained on. Nobody recorded age, gender "
    "or origin of the people shown, so errors by group are not known.",
    "Do not use it to decide about people: hiring, work, school, insurance, credit, police, border, justice, health, "
    "or whether someone lies. Do not use it on people who do not know about it. In the European Union, reading "
    "emotions at work and in education is forbidden, but for medical or safety reasons.",
)
_LICENCES = {
    FER2013: "FER-2013 asks for a citation (Goodfellow et al. 2013); no licence for its pictures is known. They were "
    "collected from the web and show real people: treat them as research data.",
    "sample": "The sample's faces are drawn by this project and are under the MIT licence, like the program.",
}
_UNKNOWN = "The licence of these images is not known here: whoever brought them knows it."
_OF_THE_MACHINE = {"data", "time_budget", "threads", "devices", "teacher"}
"""Settings that the command of a card leaves out or writes itself."""


class Known(NamedTuple):
    """All that a card says of a model."""

    name: str
    manifest: Manifest
    analysis: Analysis
    over_views: Analysis | None
    """The same images, the answers averaged over several views of each."""
    parameters: int
    flops: int | None
    """Twice the multiply-adds of one face."""
    milliseconds: Mapping[str, float]
    """For one face on one core, by the file that answers."""
    machine: str
    """That it was measured on."""
    sizes: Mapping[str, int]
    """Bytes, by file."""
    teachers: Sequence[str]
    """Names of the models that it was distilled from."""
    teachers_runs: Sequence[Manifest]
    """Of those that do not come with the project, where their runs are still there."""


def licence_of(data: str | None) -> str:
    """Returns what is known of the licence of a data set's images."""
    return _LICENCES.get(data or "", _UNKNOWN)


def card_text(known: Known) -> str:
    """Returns the card."""
    parts = (_head, _scores, _classes, _calibration, _costs, _origin, _limits)
    return "\n\n".join("\n".join(part(known)) for part in parts) + "\n"


def _head(known: Known) -> Iterator[str]:
    manifest = known.manifest
    yield f"# {known.name}"
    yield ""
    distilled = f", distilled from {' and '.join(known.teachers)}" if known.teachers else ""
    yield (
        f"Recognises {', '.join(manifest.labels)} in a picture of one face: recipe `{manifest.recipe}`{distilled}. "
        f"`model.h5` is stock Keras, takes {manifest.side} x {manifest.side} x {manifest.channels} grey values from 0 "
        "to 255 as they are, and gives a probability for each label, in the order of `labels.json`."
    )


def _scores(known: Known) -> Iterator[str]:
    evaluation = known.analysis.evaluation
    yield "## How good it is"
    yield ""
    data = known.manifest.data_name
    yield f"On the {evaluation.images:,} images of {evaluation.split} ({data}), with 95 % intervals:"
    yield ""
    yield from _table(("", "", "interval"), _figures(known, evaluation))
    yield ""
    yield f"{evaluation.chosen_on} {known.analysis.compared_with}"
    yield ""
    yield f"    python realtime_emotion_detector.py --analyze --model {known.name} --data FILE"


def _figures(known: Known, evaluation: Evaluation) -> Iterator[Sequence[str]]:
    yield "accuracy", _percent(evaluation.accuracy), _interval(evaluation.accuracy_interval)
    if known.over_views is not None:
        views = known.over_views.evaluation
        yield f"over {known.over_views.views} views", _percent(views.accuracy), _interval(views.accuracy_interval)
    if known.manifest.int8 is not None:
        right = round(known.manifest.int8.accuracy * evaluation.images)
        interval = wilson_interval(right, evaluation.images)
        yield "accuracy of `model_int8.tflite`", _percent(known.manifest.int8.accuracy), _interval(interval)
    yield "macro F1", _percent(evaluation.macro_f1), _interval(evaluation.macro_f1_interval)
    alone = evaluation.without_training_copies
    if alone is not None:
        name = f"accuracy on the {alone.images:,} images that do not also occur in training"
        yield name, _percent(alone.accuracy), _interval(alone.accuracy_interval)


def _classes(known: Known) -> Iterator[str]:
    classes, average = known.analysis.evaluation.per_class, known.analysis.average_precision
    rows = (
        (label, *map(_percent, (one.precision, one.recall, one.f1, average[label])), f"{one.images:,}")
        for label, one in classes.items()
    )
    yield from _table(("emotion", "precision", "recall", "F1", "average precision", "images"), rows)
    yield ""
    yield " ".join(f"{pair.sentence[:1].upper()}{pair.sentence[1:]}." for pair in known.analysis.confused[:3])


def _calibration(known: Known) -> Iterator[str]:
    before, after = known.analysis.before, known.analysis.after
    yield "## How far its confidence can be believed"
    yield ""
    scaled = (
        f", and {_percent(after.error)} after division of the logits by {known.analysis.temperature:.3f}, which the "
        "project's own programs do"
    )
    yield (
        f"The expected calibration error on {known.analysis.evaluation.split} is {_percent(before.error)}"
        f"{scaled if known.analysis.temperature != 1 else ''}. {known.analysis.temperature_from}"
    )


def _costs(known: Known) -> Iterator[str]:
    yield "## What it costs"
    yield ""
    rows = [("weights", f"{known.parameters:,}")]
    if known.flops:
        rows.append(("FLOPs for one face (twice the multiply-adds)", f"{known.flops / 1e6:,.1f} million"))
    rows += [(f"`{name}`", f"{size / 1e6:.2f} MB") for name, size in known.sizes.items()]
    rows += [(f"`{name}`, one face on one core", f"{time:.2f} ms") for name, time in known.milliseconds.items()]
    yield from _table(("", ""), rows)
    yield ""
    yield f"Times with LiteRT on {known.machine}, without finding the face."


def _origin(known: Known) -> Iterator[str]:
    manifest = known.manifest
    yield "## Where it is from"
    yield ""
    parts = {part: f"{one.images:,} of {one.name}" for part, one in (manifest.splits or {}).items()}
    yield f"Images: {', '.join(f'{part} {words}' for part, words in parts.items())}; {known.analysis.data}. One seed."
    yield f"{licence_of(manifest.data_name)} The weights are under the MIT licence, like the program."
    yield ""
    for teacher in known.teachers_runs:
        arguments = _arguments(teacher, list(teacher.teachers or ()))
        yield f"    python train_emotion_model.py {arguments}  # {teacher.run_id}"
    yield f"    python train_emotion_model.py {_arguments(manifest, known.teachers)}"
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    trained = f"{manifest.backend} on {manifest.devices}, {manifest.threads} threads, {manifest.precision}"
    how = "the mean of its members" if manifest.members else trained
    yield (
        f"Run {manifest.run_id}, {manifest.created_utc[:10]}: {how}; {versions}; commit {manifest.git_commit}. "
        "The same seed gives the same weights on the same machine."
    )


def _limits(known: Known) -> Iterator[str]:
    yield "## What it is not for"
    yield ""
    yield from (f"- {sentence}" for sentence in LIMITS)


def _arguments(manifest: Manifest, teachers: Sequence[str] = ()) -> str:
    """Returns what trains the model again: the recipe, and what differs from it."""
    config, recipe = manifest.config, manifest.recipe
    if manifest.members:
        return f"--ensemble {' '.join(manifest.members)}"
    base = dict(networks.with_all_options(recipe_config(recipe) if recipe in RECIPES else TrainConfig()))
    own = {name: value for name, value in config if name not in _OF_THE_MACHINE and value != base[name]}
    if manifest.plan:
        own["epochs"] = int(manifest.plan["epochs"])
    distilled = [f"--teacher {' '.join(teachers)}"] if teachers else []
    flags = [flag for name, value in own.items() for flag in _flags(name.replace("_", "-"), value)]
    return " ".join([*([f"--recipe {recipe}"] if recipe else []), "--data FILE", *distilled, *flags])


def _flags(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Mapping):
        return [flag for key, one in value.items() for flag in _flags(f"{name}.{key}".replace("_", "-"), one)]
    return [f"--{name} {' '.join(map(str, value)) if isinstance(value, tuple | list) else value}"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---{'|---:' * (len(head) - 1)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _interval(interval: Interval) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def machine() -> str:
    """Returns the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "an unnamed processor")

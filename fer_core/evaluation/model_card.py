"""Model cards: what a model must not be used for, and all of one that comes with the project, in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.splits import FER2013
from fer_core.evaluation.analysis import Analysis, sure_sentence
from fer_core.evaluation.metrics import Interval
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


class ModelCard(NamedTuple):
    """All that a card says of a model."""

    name: str
    manifest: Manifest
    analysis: Analysis
    over_views: Analysis | None
    """The same images, the answers averaged over several views of each."""
    in_int8: Analysis | None
    """The same images, read with the int8 export."""
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
    return _LICENCES.get(FER2013 if data == "FER+" else data or "", _UNKNOWN)


def card_text(card: ModelCard) -> str:
    """Returns the card, filled in from `model_card.md.jinja`."""
    import jinja2

    text = Path(__file__).with_name("model_card.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"percent": _percent, "interval": _interval, "count": "{:,}".format}
    evaluation, licence = card.analysis.evaluation, licence_of(card.manifest.data_name)
    values = card._asdict() | {"evaluation": evaluation, "arguments": _arguments, "limits": LIMITS, "licence": licence}
    values |= {"sure": sure_sentence(card.analysis)}
    return environment.from_string(text).render(values)


def _arguments(manifest: Manifest, teachers: Sequence[str] = ()) -> str:
    """Returns what trains the model again: the recipe, and what differs from it."""
    config, recipe = manifest.config, manifest.recipe
    if manifest.members:
        return f"--ensemble {' '.join(manifest.members)}"
    base = dict(networks.with_all_options(recipe_config(recipe) if recipe in RECIPES else TrainConfig()))
    own = {name: value for name, value in config if name not in _OF_THE_MACHINE and value != base[name]}
    if "network_options" in own and config.network == base["network"]:
        options = base["network_options"]
        own["network_options"] = {key: one for key, one in config.network_options.items() if one != options[key]}
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

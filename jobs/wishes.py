"""What each task accepts: flat keyword arguments, as `celery call --kwargs` and `python -m jobs submit` give them.

Checked by who sends and again by who carries out, with the same sentences.
"""

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError

from fer_core import networks
from fer_core.config import Settings, TrainConfig, config_error
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.recipes import DEFAULT_RECIPE, fitted_to, starting_config
from fer_core.training.retraining import RetrainSpec
from fer_core.tuning.spec import SearchSpec

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TEXT = "Give it as it is written, without line breaks, tabs and escape sequences."

Hours = Annotated[float, Field(gt=0, le=24 * 365)]


class TuneWish(SearchSpec):
    """A search: what `SearchSpec` says."""

    queue: str | None = None
    """Where its trials wait. Default: gpu."""


class TrialWish(Settings):
    """The next trial of a search. The server sends it to itself."""

    search: str
    """The search's id."""


class TrainWish(Settings):
    """A training: a recipe, and any settings of `TrainConfig` beside these."""

    recipe: str | None = None
    """Settings to start from. Default: resnet."""
    run: str | None = None
    """Go on with this run, with its own settings."""
    promote: bool = False
    """Make the finished model the one in use."""
    max_hours: Hours | None = None
    """Stop after so many hours; it can be resumed."""
    queue: str | None = None
    """Where it waits for a worker. Default: gpu."""
    settings: dict[str, Any] = {}
    """The settings that are other than the recipe's, by name."""


class RetrainWish(RetrainSpec):
    """A retraining: what `RetrainSpec` says."""

    max_hours: Hours | None = None
    """Stop after so many hours; it can be resumed."""
    queue: str | None = None
    """Where it waits for a worker. Default: gpu."""


class EvaluateWish(Settings):
    """An analysis of a model on the test images."""

    run: str = "current"
    """A run id, a .h5 file, or 'current' (the model in use)."""
    data: str | None = None
    """The images. Default: those that the model was trained on."""
    queue: str | None = None
    """Where it waits for a worker. Default: cpu."""


class GcWish(Settings):
    """A clean-up of what is not needed any more."""

    keep_days: Annotated[float, Field(ge=0, le=100_000)] = 30
    """What is younger than so many days stays."""
    dry_run: bool = False
    """Only say what would be removed."""
    queue: str | None = None
    """Where it waits for a worker. Default: cpu."""


WISHES: dict[str, type[Settings]] = {
    "tune": TuneWish,
    "trial": TrialWish,
    "train": TrainWish,
    "retrain": RetrainWish,
    "evaluate": EvaluateWish,
    "gc": GcWish,
}


def checked_wish(task: str, arguments: dict[str, Any]) -> Settings:
    """Returns the arguments of a task as its wish.

    Raises:
        JobError: there is no such task. ConfigError: an argument, or what they mean together, is wrong.
    """
    if task not in WISHES:
        raise JobError(f"There is no task {task!r}.", hint=did_you_mean(task, WISHES))
    check_texts(task, arguments)
    if task == "train":
        arguments = _with_settings_apart(arguments)
    try:
        wish = WISHES[task].model_validate(arguments)
    except ValidationError as error:
        raise config_error(error, WISHES[task], task, script=f"-m jobs submit {task}") from None
    if isinstance(wish, TrainWish):
        _check_training(wish)
    return wish


def check_texts(task: str, value: Any, *, name: str = "") -> None:
    """Raises ConfigError for text that no file can be called, and terminals would obey: '\\0', an escape sequence."""
    if isinstance(value, str) and _CONTROL.search(value):
        raise ConfigError(f"{task}: {name or 'a name'} has a control character in it: {value[:80]!r}.", hint=_TEXT)
    if isinstance(value, dict):
        for key, one in value.items():
            check_texts(task, key)
            check_texts(task, one, name=str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            check_texts(task, one, name=name)


def train_config(wish: TrainWish) -> TrainConfig:
    """Returns the settings of a new training, every option of the network written out. Raises ConfigError."""
    changed = dict(wish.settings)
    base = fitted_to(starting_config(wish.recipe, changed.get("network")), changed.get("epochs"))
    options = changed.pop("network_options", None) or {}
    if not isinstance(options, dict):
        raise ConfigError(f"network_options is {options!r}, not options by name.")
    is_same_network = changed.get("network", base.network) == base.network
    changed["network_options"] = (base.network_options if is_same_network else {}) | options
    return networks.with_all_options(TrainConfig.checked(base.model_dump() | changed))


def recipe_of(wish: TrainWish) -> str | None:
    """Returns the recipe that the run is named after; None where a network was named instead."""
    return wish.recipe or (None if "network" in wish.settings else DEFAULT_RECIPE)


def _with_settings_apart(arguments: dict[str, Any]) -> dict[str, Any]:
    """Puts what is no argument of the task's own under `settings`."""
    own = {name: value for name, value in arguments.items() if name in TrainWish.model_fields}
    others = {name: value for name, value in arguments.items() if name not in own}
    for name in others:
        if name not in TrainConfig.model_fields:
            names = [*TrainWish.model_fields, *TrainConfig.model_fields]
            raise ConfigError(f"train: there is no setting {name!r}.", hint=did_you_mean(name, names))
    given = own.get("settings") or {}
    return own | {"settings": {**given, **others}} if isinstance(given, dict) else own


def _check_training(wish: TrainWish) -> None:
    if wish.run is None:
        train_config(wish)
    elif wish.recipe is not None or wish.settings:
        raise ConfigError(
            f"Run {wish.run} has settings of its own; it takes no others.",
            hint="Leave `run` out to train with other settings, or leave the settings out to go on with it.",
        )

"""What each task accepts: flat keyword arguments, as `celery call --kwargs` and `python -m jobs submit` give them.

Validated by the sender and again by the worker, with the same sentences. Also the queues in which jobs wait.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from fer_core import networks
from fer_core.config import Settings, TrainConfig, config_error, with_present_names
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.recipes import DEFAULT_RECIPE, fitted_to, starting_config
from fer_core.study.settings import Format, ResultSettings, StudySettings
from fer_core.training.retraining import RetrainSpec
from fer_core.tuning.space import with_settings
from fer_core.tuning.spec import SearchSpec

QUEUES = ("gpu.high", "gpu", "cpu")
"""In the order in which a worker that listens to all of them takes from them."""

QUEUE_OF_TASK = {"tune": "gpu", "train": "gpu", "retrain": "gpu", "evaluate": "cpu", "read": "cpu", "gc": "cpu"}
"""Where a job waits that names no queue."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")

Hours = Annotated[float, Field(gt=0, le=24 * 365)]
MaxHours = Annotated[Hours | None, Field(description="Stop after this many hours; it can be resumed.")]
Queue = Annotated[str | None, Field(description="The queue in which it waits, if not in that of its task.")]


class TuneArguments(SearchSpec):
    """Search for better settings of a recipe."""

    queue: Queue = None


class TrainArguments(Settings):
    """Train one model."""

    recipe: str | None = None
    """Settings to start from. Default: resnet."""
    run: str | None = None
    """Go on with this run, with its own settings."""
    promote: bool = False
    """Make the finished model the one in use."""
    max_hours: MaxHours = None
    queue: Queue = None
    settings: dict[str, Any] = {}
    """The settings that are other than the recipe's, by name."""


class RetrainArguments(RetrainSpec):
    """Train again on all data so far, and promote the result if it is measurably better."""

    max_hours: MaxHours = None
    queue: Queue = None


class EvaluateArguments(Settings):
    """Analyse a model on the test images."""

    run: str = "current"
    """A run id, a .h5 file, or 'current' (the model in use)."""
    data: str | None = None
    """The images. Default: those that the model was trained on."""
    queue: Queue = None


class GcArguments(Settings):
    """Remove what nobody needs any more."""

    keep_days: Annotated[float, Field(ge=0, le=100_000)] = 30
    """What is younger than so many days stays."""
    dry_run: bool = False
    """Only say what would be removed."""
    queue: Queue = None


class ReadArguments(ResultSettings, StudySettings):
    """Read the faces in any number of pictures and videos, into tables and a report."""

    source: str = ""
    """A folder, a pattern such as 'videos/**/*.mp4', or a list of files as .csv."""
    format: Format = "csv"
    """The tables of readings."""
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """In each worker that takes part."""
    max_hours: MaxHours = None
    queue: Queue = None


ARGUMENTS: dict[str, type[Settings]] = {
    "tune": TuneArguments,
    "train": TrainArguments,
    "retrain": RetrainArguments,
    "evaluate": EvaluateArguments,
    "read": ReadArguments,
    "gc": GcArguments,
}
TASKS = {task: arguments.__doc__ for task, arguments in ARGUMENTS.items()}
"""What each task is for."""


def validate(task: str, arguments: dict[str, Any]) -> Settings:
    """Returns the arguments of a task as one value.

    Raises:
        JobError: there is no such task. ConfigError: an argument, or what they mean together, is wrong.
    """
    if task not in ARGUMENTS:
        raise JobError(f"There is no task {task!r}.", hint=did_you_mean(task, ARGUMENTS))
    _check_texts(task, arguments)
    arguments = with_present_names(arguments)
    if task == "train":
        arguments = _with_settings_apart(arguments)
    try:
        checked = ARGUMENTS[task].model_validate(arguments)
    except ValidationError as error:
        raise config_error(error, ARGUMENTS[task], task, script=f"-m jobs submit {task}") from None
    if isinstance(checked, TrainArguments):
        _check_training(checked)
    if isinstance(checked, ReadArguments) and not checked.source:
        raise ConfigError("read: it is not said what.", hint="Give source, such as a folder of videos.")
    return checked


def _check_texts(task: str, value: Any, name: str = "a name") -> None:
    """Refuses text that no file can be called, and terminals would obey: '\\0', an escape sequence."""
    if isinstance(value, str) and _CONTROL.search(value):
        hint = "Give it as it is written, without line breaks, tabs and escape sequences."
        raise ConfigError(f"{task}: {name} has a control character in it: {value[:80]!r}.", hint=hint)
    if isinstance(value, dict):
        _check_texts(task, list(value))
        for key, one in value.items():
            _check_texts(task, one, str(key))
    for one in value if isinstance(value, list | tuple) else ():
        _check_texts(task, one, name)


def _with_settings_apart(arguments: dict[str, Any]) -> dict[str, Any]:
    """Puts what is no argument of the task's own under `settings`."""
    own = {name: value for name, value in arguments.items() if name in TrainArguments.model_fields}
    others = {name: value for name, value in arguments.items() if name not in own}
    unknown = next((name for name in others if name not in TrainConfig.model_fields), None)
    if unknown is not None:
        hint = did_you_mean(unknown, [*TrainArguments.model_fields, *TrainConfig.model_fields])
        raise ConfigError(f"train: there is no setting {unknown!r}.", hint=hint)
    given = own.get("settings") or {}
    return own | {"settings": given | others} if isinstance(given, dict) else own


def _check_training(arguments: TrainArguments) -> None:
    if arguments.run is None:
        train_config(arguments)
    elif arguments.recipe is not None or arguments.settings:
        raise ConfigError(
            f"Run {arguments.run} has settings of its own; it takes no others.",
            hint="Leave `run` out to train with other settings, or leave the settings out to go on with it.",
        )


def train_config(arguments: TrainArguments) -> TrainConfig:
    """Returns the settings of a new training, every option of the network written out: "l2" is one of them, too.

    Raises ConfigError.
    """
    changed = dict(arguments.settings)
    if not isinstance(changed.get("network_options", {}), dict):
        raise ConfigError(f"network_options is {changed['network_options']!r}, not options by name.")
    if not isinstance(changed.get("network", ""), str):
        raise ConfigError(f"network is {changed['network']!r}, not the name of one.")
    base = fitted_to(starting_config(arguments.recipe, changed.get("network")), changed.get("epochs"))
    if changed.get("network", base.network) != base.network:
        base = base.model_copy(update={"network": changed["network"], "network_options": {}})
    return with_settings(networks.with_all_options(base), changed)


def recipe_of(arguments: TrainArguments) -> str | None:
    """Returns the recipe that the run is named after; None where a network was named instead."""
    return arguments.recipe or (None if "network" in arguments.settings else DEFAULT_RECIPE)


def queues(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of all queues: our own, and those of $FER_QUEUES. Raises ConfigError for what is no name."""
    more = [name.strip() for name in environ.get("FER_QUEUES", "").split(",") if name.strip()]
    for name in more:
        if not _QUEUE_NAME.fullmatch(name):
            hint = "Names have letters, digits, '-', '_' and '.' only, with commas between them."
            raise ConfigError(f"$FER_QUEUES names {name!r}, which is no queue.", hint=hint)
    return tuple(dict.fromkeys((*QUEUES, *more)))


def queue_of(task: str, arguments: Settings, environ: Mapping[str, str], *, named: str | None = None) -> str:
    """Returns the queue that a job waits in. Raises JobError for one that there is not: nobody would take it."""
    name, known = named or getattr(arguments, "queue", None) or QUEUE_OF_TASK[task], queues(environ)
    if name not in known:
        raise JobError(f"There is no queue {name!r}.", hint=f"{did_you_mean(name, known)} $FER_QUEUES adds more.")
    return name

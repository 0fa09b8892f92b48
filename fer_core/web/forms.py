"""Forms of jobs, made from what the tasks accept: names, choices, ranges and help are those of the settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, TASKS, TrainArguments, queues
from fer_core.recipes import DEFAULT_RECIPE, RECIPES, starting_config
from fer_core.tuning import spec
from fer_core.tuning.space import OPTION, parameters

FORMS = ("tune", "train", "retrain", "evaluate")
_OWN_TITLE, _SETTINGS_TITLE, _NETWORK_TITLE = "The job", "The training", "The network"


_NO_PATHS = ("sample", "kaggle")


class MissingDataError(ConfigError):
    """The images of a job are not on this machine."""


@dataclass(frozen=True)
class FormField:
    """One setting in a form."""

    name: str
    kind: Literal["select", "checks", "checkbox", "number", "text", "json"]
    value: Any
    """As it is shown; what is the same when the form comes back is left out of the job."""
    help: str
    choices: tuple[Any, ...] = ()
    """As the job takes them; a browser sends back what they are as text."""
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    """For numbers: '1' where they are whole."""
    reloads: bool = False
    """Whether another value changes which other fields there are, and with what they begin."""
    default: str = ""
    """What a job has that does not say it; asked for where `reloads`, since such a form may begin with another."""
    empty: Any = None
    """What a field that was emptied stands for."""

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name.removeprefix(OPTION).replace("_", " ")


@dataclass(frozen=True)
class FormSection:
    """Fields that belong together."""

    title: str
    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class JobForm:
    """The form of a task."""

    task: str
    about: str
    sections: tuple[FormSection, ...]

    @property
    def fields(self) -> dict[str, FormField]:
        """All fields by their names."""
        return {one.name: one for section in self.sections for one in section.fields}


def job_form(task: str, chosen: Mapping[str, str], environ: Mapping[str, str]) -> JobForm:
    """Returns the form of a task. Raises JobError for one without a form, ConfigError for an unknown recipe or network.

    Args:
        chosen: recipe and network that were chosen already: what they have is what the form begins with.
    """
    if task not in FORMS:
        raise JobError(f"There is no form for {task[:60]!r}.", hint=did_you_mean(task, FORMS))
    network = chosen.get("network") if task == "train" else None
    default = "" if network else {"tune": spec.DEFAULT_RECIPE, "train": DEFAULT_RECIPE}.get(task, "")
    recipe = chosen.get("recipe") or default
    base = starting_config(recipe, network)
    if task == "train":
        sections = _of_training(base, network or base.network, environ, is_of_recipe=bool(recipe))
    else:
        sections = [FormSection(_OWN_TITLE, tuple(_of_arguments(ARGUMENTS[task], environ)))]
        if task == "tune":
            sections = [_with_space(sections[0], base)]
    sections = [_with_recipe(section, recipe, default) for section in sections]
    return JobForm(task, TASKS[task], tuple(sections))


def arguments_of(form: JobForm, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a job: what was sent that the job would not have by itself.

    Args:
        sent: a Werkzeug MultiDict. What is no field of the form is left out.

    Raises:
        ConfigError: a value cannot be read. What it means is checked by `validate`.
    """
    arguments: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, one in form.fields.items():
        if one.kind not in ("checkbox", "checks") and name not in sent:
            continue
        value = _value(one, sent)
        if value == _as_sent(one):
            continue
        if name.startswith(OPTION):
            options[name.removeprefix(OPTION)] = value
        else:
            arguments[name] = value
    return arguments | ({"network_options": options} if options else {})


def check_data(arguments: Mapping[str, Any]) -> None:
    """Raises MissingDataError for images that are not on this machine: most likely misspelt, and found out hours later.

    Workers on other machines may have them all the same, which only the person who sends the job can know.
    """
    settings = arguments.get("settings")
    named = [arguments.get("data"), settings.get("data") if isinstance(settings, Mapping) else None]
    for data in named:
        if isinstance(data, str) and data not in _NO_PATHS and not Path(data).expanduser().exists():
            raise MissingDataError(
                f"There is no {data[:200]} on this server.",
                hint="Check the path; the search or training would fail. Send it all the same if its workers have it.",
            )


def _of_training(
    base: TrainConfig, network: str, environ: Mapping[str, str], *, is_of_recipe: bool
) -> list[FormSection]:
    own = [one for one in _of_arguments(TrainArguments, environ) if one.name not in ("settings", "run")]
    module = networks.network_module(network)
    is_same = network == base.network
    options = module.Options.checked(base.network_options if is_same else {}, where=f"network {network}")
    settings = [
        _field(name, about, getattr(base, name), environ)
        for name, about in TrainConfig.model_fields.items()
        if name not in ("network", "network_options")
    ]
    chosen = FormField(
        "network", "select", network, TrainConfig.model_fields["network"].description or "", tuple(networks.names())
    )
    of_network = [
        _field(f"{OPTION}{name}", about, getattr(options, name), environ)
        for name, about in module.Options.model_fields.items()
    ]
    return [
        FormSection(_OWN_TITLE, tuple(own)),
        FormSection(_NETWORK_TITLE, (_reloading(chosen, base.network if is_of_recipe else ""), *of_network)),
        FormSection(_SETTINGS_TITLE, tuple(settings)),
    ]


def _of_arguments(arguments: type[Settings], environ: Mapping[str, str]) -> list[FormField]:
    return [
        _field(name, about, about.get_default(call_default_factory=True), environ)
        for name, about in arguments.model_fields.items()
        if name != "dry_run"
    ]


def _with_space(section: FormSection, base: TrainConfig) -> FormSection:
    """What a search varies is chosen from what has a range."""
    names = tuple(one.name for one in parameters(base))
    fields = (
        FormField("space", "checks", (), one.help, names) if one.name == "space" else one for one in section.fields
    )
    return FormSection(section.title, tuple(fields))


def _with_recipe(section: FormSection, recipe: str, default: str) -> FormSection:
    fields = []
    for one in section.fields:
        if one.name == "recipe":
            empty = () if recipe else ("",)
            one = _reloading(FormField("recipe", "select", recipe, one.help, (*empty, *RECIPES)), default)
        fields.append(one)
    return FormSection(section.title, tuple(fields))


def _reloading(one: FormField, default: str) -> FormField:
    return FormField(one.name, one.kind, one.value, one.help, one.choices, reloads=True, default=default)


def _field(name: str, about: FieldInfo, value: Any, environ: Mapping[str, str]) -> FormField:
    """Returns the field of a setting."""
    kind = _plain_type(about.annotation)
    text = about.description or ""
    if name == "queue":
        return FormField(name, "select", value or "", text, ("", *queues(environ)))
    if get_origin(kind) is Literal:
        return FormField(name, "select", value, text, get_args(kind))
    if kind is bool:
        return FormField(name, "checkbox", bool(value), text)
    if kind in (int, float):
        low, high = _range(about)
        step = "1" if kind is int else "any"
        return FormField(name, "number", "" if value is None else value, text, (), low, high, step)
    if kind is str:
        return FormField(name, "text", value or "", text)
    empty = {tuple: [], dict: {}}.get(get_origin(kind)) if value is not None else None
    return FormField(name, "json", json.dumps(value) if value else "", text, empty=empty)


def _plain_type(annotation: Any) -> Any:
    """Returns what a setting is, without `Annotated` and `| None`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain_type(parts[0])
    if origin in (Union, UnionType):
        others = [part for part in parts if part is not NoneType]
        return _plain_type(others[0]) if len(others) == 1 else annotation
    return annotation


def _range(about: FieldInfo) -> tuple[float | None, float | None]:
    """Returns the smallest and largest allowed number, as far as they are said."""
    limits = [*about.metadata, *_metadata(about.annotation)]
    low = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in limits if isinstance(limit, Le)), None)
    low = next((limit.gt for limit in limits if isinstance(limit, Gt)), low)
    high = next((limit.lt for limit in limits if isinstance(limit, Lt)), high)
    return low, high


def _metadata(annotation: Any) -> list[Any]:
    """Returns what `Annotated` says, at any depth."""
    found: list[Any] = []
    if get_origin(annotation) is Annotated:
        for part in get_args(annotation)[1:]:
            found += part.metadata if isinstance(part, FieldInfo) else [part]
    for part in get_args(annotation):
        found += _metadata(part)
    return found


def _value(one: FormField, sent: Any) -> Any:
    """Returns the value that was sent for a field, as the job takes it."""
    if one.kind == "checkbox":
        return one.name in sent
    if one.kind == "checks":
        return sent.getlist(one.name) or None
    text = sent.get(one.name, "").strip()
    if text == "":
        return one.empty
    if one.kind == "select":
        return next((choice for choice in one.choices if str(choice) == text), text)
    if one.kind == "number":
        return _number(one, text)
    return _json(one, text) if one.kind == "json" else text


def _as_sent(one: FormField) -> Any:
    """Returns what need not be sent for the field: what the job has by itself."""
    if one.reloads:
        return one.default or None
    if one.kind == "checks" or one.value in ("", None):
        return one.empty
    return json.loads(one.value) if one.kind == "json" else one.value


def _number(one: FormField, text: str) -> int | float:
    try:
        return int(text) if one.step == "1" else float(text)
    except ValueError:
        kind = "a whole number" if one.step == "1" else "a number"
        raise ConfigError(
            f"{one.label} takes {kind}, not {text[:40]!r}.", hint="Change it, and send it again."
        ) from None


def _json(one: FormField, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{one.label} is no JSON: {error}.", hint='For example {"epochs": 20} or [1, 2].') from None

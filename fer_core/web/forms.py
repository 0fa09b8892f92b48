"""Forms of jobs, made from the JSON schemas of what the tasks accept: names, choices, ranges and help are theirs.

And how what a browser sends for them is read.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, TASKS, queues
from fer_core.recipes import DEFAULT_RECIPE, RECIPES, fitted_to, starting_config
from fer_core.store.files import parse_json
from fer_core.store.manifest import Manifest
from fer_core.tuning import spec
from fer_core.tuning.space import OPTION, Parameter, parameters

FORMS = ("tune", "train", "retrain", "evaluate", "read")
LOW, HIGH, LEFT = "low:", "high:", "left:"
"""Before the name of a setting: where a search varies it from and to, and the choices that are left."""
_ABOVE = (
    *("source", "fps", "format", "baseline", "markers", "marker_window", "coding"),
    *("processes", "max_hours", "queue"),
)
"""Of a study's settings those that are not about model and detector."""
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")
_COMMA = re.compile(r",(?![^\[]*\])")
"""Not one within a list."""
_LABELS = {"fps": "frames per second", "prior": "correction for frequent emotions"}


@dataclass(frozen=True)
class FormField:
    """One setting in a form."""

    name: str
    kind: Literal["select", "space", "checkbox", "integer", "number", "text", "list", "lines", "rows"]
    value: Any
    """As it is shown."""
    help: str
    choices: tuple[Any, ...] = ()
    """As the job takes them; a browser sends back what they are as text."""
    minimum: float | None = None
    maximum: float | None = None
    reloads: bool = False
    """Whether another value changes which other fields there are, and with what they begin."""
    unchanged: Any = None
    """What a job has that does not name it, and so need not be sent."""
    empty: Any = None
    """What a field that was emptied stands for."""
    parameters: tuple[Parameter, ...] = ()
    """What a search can vary, with its ranges."""

    @property
    def label(self) -> str:
        """The name for people."""
        return _LABELS.get(self.name, self.name.removeprefix(OPTION).replace("_", " "))


@dataclass(frozen=True)
class JobForm:
    """The form of a task."""

    task: str
    about: str
    sections: dict[str, list[FormField]]
    """Fields that belong together, by their title."""

    @property
    def fields(self) -> dict[str, FormField]:
        """All fields by their names."""
        return {one.name: one for section in self.sections.values() for one in section}


def job_form(
    task: str, chosen: Mapping[str, str], environ: Mapping[str, str], *, like: Manifest | None = None
) -> JobForm:
    """Returns the form of a task. Raises JobError for one without a form, ConfigError for an unknown recipe or network.

    Args:
        chosen: recipe and network that were chosen already: what they have is what the form begins with.
        like: a run whose settings the form begins with instead, if it is one of a training.
    """
    if task not in FORMS:
        raise JobError(f"There is no form for {task[:60]!r}.", hint=did_you_mean(task, FORMS))
    if like is not None and task == "train" and not chosen.get("recipe") and not chosen.get("network"):
        return _like(like, environ)
    network = chosen.get("network") if task == "train" else None
    default = None if network else {"tune": spec.DEFAULT_RECIPE, "train": DEFAULT_RECIPE}.get(task)
    recipe = chosen.get("recipe") or default or ""
    base = starting_config(recipe, network)
    left_out = ("dry_run", "settings", "run") if task == "train" else ("dry_run",)
    left_out += ("ranges",)  # beside what varies
    own = [one for one in _fields(ARGUMENTS[task], {}, environ) if one.name not in left_out]
    sections = {"The job": [_with_choices(one, task, recipe, default, base) for one in own]}
    if task == "train":
        sections |= _of_training(base, network or base.network, environ, default=base.network if recipe else None)
    if task == "read":
        above = sorted((one for one in own if one.name in _ABOVE), key=lambda one: _ABOVE.index(one.name))
        sections = {"What is read": above, "Model and detector": [one for one in own if one.name not in _ABOVE]}
    return JobForm(task, TASKS[task], sections)


def _like(manifest: Manifest, environ: Mapping[str, str]) -> JobForm:
    """Returns the form of a training with a run's settings. Sent as it is, it trains the same once more."""
    config = networks.with_all_options(manifest.config)
    recipe = manifest.recipe if manifest.recipe in RECIPES else None
    if recipe and RECIPES[recipe]().network != config.network:
        recipe = None
    form = job_form("train", {"recipe": recipe} if recipe else {"network": config.network}, environ)
    # What the job has by itself, with so many epochs.
    usual = fitted_to(starting_config(recipe, None if recipe else config.network), config.epochs)
    own, by_itself = (JobForm("", "", _of_training(one, config.network, environ)).fields for one in (config, usual))

    def filled(one: FormField) -> FormField:
        if one.name not in own or one.name in ("network", "recipe"):
            return one
        unchanged = one.unchanged if one.name == "epochs" else by_itself[one.name].unchanged
        return replace(one, value=own[one.name].value, unchanged=unchanged)

    return replace(form, sections={title: list(map(filled, section)) for title, section in form.sections.items()})


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
        if one.kind == "space":
            arguments |= searched(one, sent)
            continue
        if one.kind != "checkbox" and name not in sent:
            continue
        value = value_sent(one, sent)
        if value == one.unchanged:
            continue
        if name.startswith(OPTION):
            options[name.removeprefix(OPTION)] = value
        else:
            arguments[name] = value
    return arguments | ({"network_options": options} if options else {})


def _with_choices(one: FormField, task: str, recipe: str, default: str | None, base: TrainConfig) -> FormField:
    """Returns a field with what its schema does not know: the recipes, and the settings that have a range."""
    if one.name == "recipe":
        names = (*(() if recipe else ("",)), *RECIPES)
        return FormField("recipe", "select", recipe, one.help, names, reloads=True, unchanged=default)
    if one.name == "space" and task == "tune":
        every = parameters(base)
        usual = tuple(parameter.name for parameter in spec.space_of(spec.SearchSpec(recipe=recipe)))
        return FormField("space", "space", usual, one.help, parameters=every)
    return one


def _of_training(
    base: TrainConfig, network: str, environ: Mapping[str, str], *, default: str | None = None
) -> dict[str, list[FormField]]:
    options_type = networks.network_module(network).Options
    given = base.network_options if network == base.network else {}
    options = options_type.checked(given, where=f"network {network}").model_dump()
    settings = {one.name: one for one in _fields(TrainConfig, dict(base), environ) if one.name != "network_options"}
    about = settings.pop("network").help
    chosen = FormField("network", "select", network, about, tuple(networks.names()), reloads=True, unchanged=default)
    of_network = [replace(one, name=f"{OPTION}{one.name}") for one in _fields(options_type, options, environ)]
    return {"The network": [chosen, *of_network], "The training": list(settings.values())}


def _fields(model: type[Settings], values: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[FormField]:
    """Yields a field for each setting, with these values; others have their defaults."""
    for name, schema in model.model_json_schema()["properties"].items():
        if name == "queue":
            schema = schema | {"enum": ["", *queues(environ)]}
        kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        yield _field(name, schema | kinds[0], values.get(name, schema.get("default")))


def _field(name: str, schema: Mapping[str, Any], value: Any) -> FormField:
    text, kind = _plain_help(schema.get("description", "")), schema.get("type")
    unchanged = None if value == "" else value
    if "enum" in schema:
        shown = "" if value is None else value
        return FormField(name, "select", shown, text, tuple(schema["enum"]), unchanged=unchanged)
    if kind == "boolean":
        return FormField(name, "checkbox", bool(value), text, unchanged=bool(value))
    if kind in ("integer", "number"):
        low, high = (schema.get(f"exclusive{end}", schema.get(end.lower())) for end in ("Minimum", "Maximum"))
        return FormField(name, kind, "" if value is None else value, text, (), low, high, unchanged=value)
    if kind == "string":
        return FormField(name, "text", value or "", text, unchanged=unchanged)
    kind = "lines" if kind == "object" else "rows" if schema.get("items", {}).get("type") == "object" else "list"
    empty = None if value is None else {} if kind == "lines" else []
    unchanged = json.loads(json.dumps(value)) if value else empty
    return FormField(name, kind, _shown(kind, value), text, unchanged=unchanged, empty=empty)


def _plain_help(text: str) -> str:
    """Returns the help of a setting without what only a command line has: settings are called as forms call them."""
    return _FLAG.sub(lambda flag: f"“{flag[1].replace('-', ' ')}”", text).replace("`", "")


def _shown(kind: str, value: Any) -> str:
    """Returns a setting's value as a field shows it: 1, 2, 3; settings as `name = value`, one in each line."""
    if kind == "list":
        return ", ".join(map(str, value or ()))
    if kind == "lines":
        return "\n".join(f"{name} = {json.dumps(one)}" for name, one in (value or {}).items())
    return "\n".join(_shown("lines", row).replace("\n", ", ") for row in value or ())


def value_sent(one: FormField, sent: Any) -> Any:
    """Returns the value that was sent for a field, as the job takes it. Raises ConfigError."""
    if one.kind == "checkbox":
        return one.name in sent
    text = sent.get(one.name, "").strip()
    if text == "":
        return one.empty
    if one.kind == "select":
        return next((choice for choice in one.choices if str(choice) == text), text)
    if one.kind in ("integer", "number"):
        return _number(one.label, text, int if one.kind == "integer" else float)
    if one.kind == "list":
        return [_literal(part) for part in text.strip("[]").split(",") if part.strip()]
    if one.kind == "lines":
        return _settings(one, text.splitlines())
    if one.kind == "rows":
        return [_settings(one, _COMMA.split(line)) for line in text.splitlines() if line.strip()]
    return text


def searched(one: FormField, sent: Any) -> dict[str, Any]:
    """Returns what a search varies, and where that is not as usual. Raises ConfigError."""
    names = sent.getlist("space") or list(one.value)
    ranges = {}
    for parameter in one.parameters:
        name, label = parameter.name, parameter.name.removeprefix(OPTION).replace("_", " ")
        if name not in names:
            continue
        if parameter.choices:
            left = [choice for choice in parameter.choices if str(choice) in sent.getlist(LEFT + name)]
            wanted, usual = left or list(parameter.choices), list(parameter.choices)
        else:
            usual, number = [parameter.low, parameter.high], int if parameter.kind == "int" else float
            texts = [sent.get(end + name, "").strip() for end in (LOW, HIGH)]
            ends = zip(texts, usual, strict=True)
            wanted = [_number(label, text, number) if text else end for text, end in ends]
        if wanted != usual:
            ranges[name] = wanted
    space = {"space": names} if set(names) != set(one.value) else {}
    return space | ({"ranges": ranges} if ranges else {})


def _number(label: str, text: str, number: type[int | float]) -> int | float:
    try:
        return number(text)
    except ValueError:
        kind = "a whole number" if number is int else "a number"
        hint = "Change it, and send it again."
        raise ConfigError(f"{label} takes {kind}, not {text[:40]!r}.", hint=hint) from None


def _settings(one: FormField, lines: Sequence[str]) -> dict[str, Any]:
    """Returns settings that were written as `name = value`. Raises ConfigError."""
    found = {}
    for line in filter(None, map(str.strip, lines)):
        name, is_set, value = line.partition("=")
        if not is_set or not name.strip():
            hint = "Write a setting as name = value, for example epochs = 20."
            raise ConfigError(f"{one.label}: {line[:60]!r} is no setting.", hint=hint)
        found[name.strip()] = _literal(value)
    return found


def _literal(text: str) -> Any:
    """Returns a number, a list, true or false as such, and anything else as text."""
    with suppress(ValueError):
        return parse_json(text)
    return text.strip()

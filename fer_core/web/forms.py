"""Forms of jobs, made from the JSON schemas of what the tasks accept: names, choices, ranges and help are theirs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, TASKS, queues
from fer_core.paths import expanded
from fer_core.recipes import DEFAULT_RECIPE, RECIPES, starting_config
from fer_core.tuning import spec
from fer_core.tuning.space import OPTION, parameters
from fer_core.web.data_choice import NO_PATHS, check_folder, check_path

FORMS = ("tune", "train", "retrain", "evaluate")


@dataclass(frozen=True)
class FormField:
    """One setting in a form."""

    name: str
    kind: Literal["select", "checks", "checkbox", "integer", "number", "text", "json"]
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

    @property
    def label(self) -> str:
        """The name for people."""
        return self.name.removeprefix(OPTION).replace("_", " ")


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


def job_form(task: str, chosen: Mapping[str, str], environ: Mapping[str, str]) -> JobForm:
    """Returns the form of a task. Raises JobError for one without a form, ConfigError for an unknown recipe or network.

    Args:
        chosen: recipe and network that were chosen already: what they have is what the form begins with.
    """
    if task not in FORMS:
        raise JobError(f"There is no form for {task[:60]!r}.", hint=did_you_mean(task, FORMS))
    network = chosen.get("network") if task == "train" else None
    default = None if network else {"tune": spec.DEFAULT_RECIPE, "train": DEFAULT_RECIPE}.get(task)
    recipe = chosen.get("recipe") or default or ""
    base = starting_config(recipe, network)
    left_out = ("dry_run", "settings", "run") if task == "train" else ("dry_run",)
    own = [one for one in _fields(ARGUMENTS[task], {}, environ) if one.name not in left_out]
    sections = {"The job": [_with_choices(one, task, recipe, default, base) for one in own]}
    if task == "train":
        sections |= _of_training(base, network or base.network, environ, default=base.network if recipe else None)
    return JobForm(task, TASKS[task], sections)


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
        if value == one.unchanged:
            continue
        if name.startswith(OPTION):
            options[name.removeprefix(OPTION)] = value
        else:
            arguments[name] = value
    return arguments | ({"network_options": options} if options else {})


def check_data(arguments: Mapping[str, Any], folders: Sequence[Path], *, unchecked: bool) -> None:
    """Raises MissingDataError for images that are not on this machine: most likely misspelt, and found out hours later.

    Workers on other machines may have them all the same, which only the person who sends the job can know: `unchecked`.
    ConfigError for what is here, but neither a file nor a folder, or lies in none of `folders`, if there are some.
    """
    settings = arguments.get("settings")
    named = [arguments.get("data"), settings.get("data") if isinstance(settings, Mapping) else None]
    for data in named:
        if isinstance(data, str) and data and data not in NO_PATHS:
            check_folder(expanded(data), folders) if unchecked else check_path(data, folders)


def _with_choices(one: FormField, task: str, recipe: str, default: str | None, base: TrainConfig) -> FormField:
    """Returns a field with what its schema does not know: the recipes, and the settings that have a range."""
    if one.name == "recipe":
        names = (*(() if recipe else ("",)), *RECIPES)
        return FormField("recipe", "select", recipe, one.help, names, reloads=True, unchanged=default)
    if one.name == "space" and task == "tune":
        return FormField("space", "checks", (), one.help, tuple(parameter.name for parameter in parameters(base)))
    return one


def _of_training(
    base: TrainConfig, network: str, environ: Mapping[str, str], *, default: str | None
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
    text, kind = schema.get("description", ""), schema.get("type")
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
    empty = {"array": [], "object": {}}.get(kind) if value is not None else None
    written = json.dumps(value) if value else ""
    return FormField(name, "json", written, text, unchanged=json.loads(written) if written else empty, empty=empty)


def _value(one: FormField, sent: Any) -> Any:
    """Returns the value that was sent for a field, as the job takes it. Raises ConfigError."""
    if one.kind == "checkbox":
        return one.name in sent
    if one.kind == "checks":
        return sent.getlist(one.name) or None
    text = sent.get(one.name, "").strip()
    if text == "":
        return one.empty
    if one.kind == "select":
        return next((choice for choice in one.choices if str(choice) == text), text)
    if one.kind in ("integer", "number"):
        return _number(one, text)
    return _json(one, text) if one.kind == "json" else text


def _number(one: FormField, text: str) -> int | float:
    try:
        return int(text) if one.kind == "integer" else float(text)
    except ValueError:
        kind = "a whole number" if one.kind == "integer" else "a number"
        hint = "Change it, and send it again."
        raise ConfigError(f"{one.label} takes {kind}, not {text[:40]!r}.", hint=hint) from None


def _json(one: FormField, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{one.label} is no JSON: {error}.", hint='For example {"epochs": 20} or [1, 2].') from None

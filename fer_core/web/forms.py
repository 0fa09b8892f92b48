"""Forms of jobs, made from the JSON schemas of what the tasks accept: names, choices, ranges and help are theirs."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import JobError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, TASKS, queues
from fer_core.recipes import DEFAULT_RECIPE, RECIPES, fitted_to, starting_config
from fer_core.store.files import plain
from fer_core.store.manifest import Manifest
from fer_core.tuning import spec
from fer_core.tuning.space import OPTION, parameters
from fer_core.web.form_values import FormField, searched, value_sent

_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")
FORMS = ("tune", "train", "retrain", "evaluate", "read")
_ABOVE = (
    "source",
    "fps",
    "format",
    "baseline",
    "markers",
    "marker_window",
    "coding",
    "processes",
    "max_hours",
    "queue",
)
"""Of a study's settings those that are not about model and detector."""


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
    usual = networks.with_all_options(
        fitted_to(starting_config(recipe, None if recipe else config.network), config.epochs)
    )
    own, own_usual = (
        {**dict(one), **{OPTION + name: value for name, value in one.network_options.items()}}
        for one in (config, usual)
    )

    def filled(one: FormField) -> FormField:
        if one.name not in own or one.name in ("network", "recipe"):
            return one
        usual_value = one.unchanged if one.name == "epochs" else _sendable(one, own_usual[one.name])
        return replace(one, value=_shown(one.kind, own[one.name]), unchanged=usual_value)

    sections = {title: [filled(one) for one in section] for title, section in form.sections.items()}
    return replace(form, sections=sections)


def _sendable(one: FormField, value: Any) -> Any:
    """Returns a setting's value as `value_sent` reads it from the form."""
    if one.kind in ("list", "lines", "rows"):
        return plain(value) if value else one.empty
    return None if value == "" else value


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
        return FormField(
            "space", "space", usual, one.help, tuple(parameter.name for parameter in every), parameters=every
        )
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


def _shown(kind: str, value: Any) -> Any:
    """Returns a setting's value as a field shows it: 1, 2, 3; settings as `name = value`, one in each line."""
    if kind == "list":
        return ", ".join(map(str, value or ()))
    if kind == "lines":
        return "\n".join(f"{name} = {json.dumps(one)}" for name, one in (value or {}).items())
    if kind == "rows":
        return "\n".join(_shown("lines", row).replace("\n", ", ") for row in value or ())
    return "" if value is None else bool(value) if kind == "checkbox" else value

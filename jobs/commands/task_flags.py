"""The flags of a task, made from what it accepts: names, types, defaults and help are those of its arguments."""

import inspect
import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from tyro.conf import FlagCreatePairsOff, UseAppendAction

from fer_core.config import TrainConfig
from fer_core.job.arguments import ARGUMENTS, TrainArguments
from jobs.commands.line import flag

_PLAIN = (str, int, float, bool)
_NOT_FLAGS = ("settings", "dry_run")
"""--set fills the first; --dry-run is about the sending."""
_SET_HELP = "A setting of the training or the network, such as learning_rate=1e-4. May be given several times."
_SHOW_HELP = "Show what would be sent, and send nothing."


def flags_of(task: str, settings: Mapping[str, Any]) -> list[inspect.Parameter]:
    """Returns the flags of a task: its own, those of a training's settings, --set, and --dry-run.

    Args:
        settings: the defaults of a training's settings; empty for other tasks.
    """
    fields = _fields(task)
    defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()} | settings
    flags = [_flag(name, field, defaults[name]) for name, field in fields.items()]
    if "settings" in ARGUMENTS[task].model_fields:
        pairs = UseAppendAction[tuple[str, ...]]
        flags.append(flag("set", pairs, default=(), help=_SET_HELP, metavar="NAME=VALUE"))
    return [*flags, flag("dry_run", FlagCreatePairsOff[bool], default=False, help=_SHOW_HELP)]


def json_flags(task: str) -> frozenset[str]:
    """Returns the names of the flags that take JSON."""
    return frozenset(name for name, field in _fields(task).items() if not _is_plain(field.annotation))


def _fields(task: str) -> dict[str, FieldInfo]:
    arguments = ARGUMENTS[task]
    settings = TrainConfig.model_fields if arguments is TrainArguments else {}
    fields = {**arguments.model_fields, **settings}
    return {name: field for name, field in fields.items() if name not in _NOT_FLAGS}


def _flag(name: str, field: FieldInfo, default: Any) -> inspect.Parameter:
    about = field.description or ""
    if _is_plain(field.annotation):
        return flag(name, field.annotation, default=default, help=about)
    return flag(name, str | None, default=json.dumps(default) if default else None, help=about, metavar="JSON")


def _is_plain(annotation: Any) -> bool:
    """Whether words on a command line can say it: a text or number, a choice, several of them, or nothing."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_plain(parts[0])
    if origin in (Union, UnionType):
        return all(part is NoneType or _is_plain(part) for part in parts)
    if origin is tuple:
        return len(parts) == 2 and parts[1] is Ellipsis and _is_plain(parts[0])
    return origin is Literal or annotation in _PLAIN

"""`submit`, `rerun`, `resume`: check a job, send it, say who will take it. `cancel` stops it.

The flags of `submit` are what the task accepts.
"""

import inspect
import json
import shlex
import time
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic.fields import FieldInfo
from tyro.conf import FlagCreatePairsOff, UseAppendAction, arg

from fer_core.cli.command_line import peek
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.job.arguments import ARGUMENTS, TASKS, validate
from fer_core.job.broker import BrokerAwayError, models_id
from fer_core.job.job import Job, find_job
from fer_core.job.lifecycle import cancel_job, create_job, end_cancelled, resume_job
from fer_core.locks import is_taken
from fer_core.recipes import RECIPES, starting_config
from fer_core.store.runs import open_run
from fer_core.tuning.space import with_settings
from fer_core.tuning.stage import parse_trial_name
from jobs.console import Context, flag, given, new_table

CANCEL_SECONDS = 12.0  # a training that is asked to end has six seconds for it, and then is killed
_ASK_SECONDS = 0.5
_MEANT = {"evaluate": "--run", "read": "--source", "gc": "--keep-days"}
"""What a value that stands alone is most likely for, if not for --recipe."""
_JSON = {  # an example of each
    "start_from": '[{"learning_rate": 0.001}]',
    "ranges": '{"learning_rate": [0.0001, 0.01]}',
    "network_options": '{"l2": 0.0001}',
}
_SET_HELP = "A setting of the training or the network, such as learning_rate=1e-4. May be given several times."
_SHOW_HELP = "Show what would be sent, and send nothing."

Pairs = UseAppendAction[tuple[str, ...]]


def submit(context: Context, *argv: str) -> None:
    """Send a job: tune, train, retrain, evaluate, read, gc. It is checked before."""
    task = next(iter(argv), "--help")
    if task in ("-h", "--help"):
        context.say("usage: python -m jobs submit TASK [flags]\n")
        context.show(new_table("", "", rows=((f"  {name}", about) for name, about in TASKS.items())))
        context.say("\n`python -m jobs submit TASK --help` lists the flags of one; --dry-run shows what would be sent.")
        return
    if task not in TASKS:
        raise JobError(f"There is no task {task!r} to submit.", hint=did_you_mean(task, TASKS))
    arguments, dry_run = _arguments(task, argv[1:])
    _submit(context, task, arguments, dry_run=dry_run)


def rerun(
    context: Context,
    run: str,
    *,
    set: Annotated[Pairs, arg(metavar="NAME=VALUE", help=_SET_HELP)] = (),
    queue: str | None = None,
    promote: bool = False,
    dry_run: bool = False,
) -> None:
    """Train a run again, from the start, with some settings changed.

    Args:
        run: The run's id.
        queue: Where it waits for a worker. Default: gpu.
        promote: Make the finished model the one in use.
        dry_run: Show what would be sent, and send nothing.
    """
    manifest = open_run(context.paths, run).manifest
    arguments: dict[str, Any] = with_settings(manifest.config, _settings(set)).model_dump(mode="json")
    arguments |= {"recipe": manifest.recipe} if manifest.recipe in RECIPES else {}
    arguments |= {"queue": queue} if queue else {}
    arguments |= {"promote": True} if promote else {}
    _submit(context, "train", arguments, dry_run=dry_run)


def _submit(context: Context, task: str, arguments: dict[str, Any], *, dry_run: bool) -> None:
    """Sends a job and says where it is and how to watch it; with `dry_run` only shows it. Raises FerError."""
    validate(task, arguments)
    if dry_run:
        context.say(f"Not sent: {task}")
        context.say_json(arguments)
        kwargs = f" --kwargs {shlex.quote(json.dumps(arguments, ensure_ascii=False))}" if arguments else ""
        context.say(f"The same by Celery: celery -A jobs call {task}{kwargs}")
        return
    job = create_job(context.paths, task, arguments, environ=context.environ, clock=context.clock)
    context.say(f"Sent {job.id} to the queue {job.queue}. {_send(context, job)}")
    context.say(f"Watch:  python -m jobs status {job.id} --follow")
    context.say(f"Cancel: python -m jobs cancel {job.id}")


def _send(context: Context, job: Job) -> str:
    """Sends the message of a job, and returns how many workers take jobs from its queue.

    Raises JobError where the broker is away: the job waits on the disk then.
    """
    try:
        context.broker.send(job)
        workers = context.broker.workers(seconds=_ASK_SECONDS)
    except BrokerAwayError as error:
        starts = "`python -m jobs up` starts broker and workers, which take it"
        hint = f"{starts}; `python -m jobs cancel {job.id}` ends it."
        raise JobError(f"{error} {job.id} is written down, and waits.", hint=hint) from error
    ours = models_id(context.paths)
    count = sum(about["models_id"] == ours and job.queue in about["queues"] for about in workers.values())
    if count == 0:
        return "No worker takes jobs from there now: `python -m jobs up` starts one."
    return f"{count} {'worker takes' if count == 1 else 'workers take'} jobs from there."


def cancel(context: Context, name: str, *, wait: bool = True) -> None:
    """Stop a job, waiting or running, or all of a search. `resume` goes on with it.

    Args:
        name: A job's id, or a run or search.
        wait: Until it has ended, some seconds at most.
    """
    trial = parse_trial_name(name)
    if trial is not None:
        hint = f"`python -m jobs cancel {trial.search}` cancels all of it."
        raise JobError(f"{name} is one trial of search {trial.search}.", hint=hint)
    job = find_job(context.paths, name)
    cancel_job(job)
    deadline = time.monotonic() + (CANCEL_SECONDS if wait else 0.0)
    with context.console.status(f"Waiting for the end of {job.id} …"):
        while (still := _is_at_work(job)) and time.monotonic() < deadline:
            time.sleep(0.2)
            end_cancelled(job)
    if still:
        context.say(f"{name} was asked to end. `python -m jobs status {name} --follow` shows when it has.")
    else:
        context.say(f"{name} is cancelled. `python -m jobs resume {name}` goes on with it.")


def _is_at_work(job: Job) -> bool:
    """Whether somebody still works on the job, or on any trial of it."""
    return job.end is None or any(map(is_taken, job.folder.glob(".slot*.lock")))


def resume(context: Context, name: str) -> None:
    """Go on with a job, a run or a search that failed, was cancelled, or ran out of time.

    Args:
        name: A job's id, or a run or search.
    """
    job = resume_job(context.paths, name)
    context.say(f"{name} goes on as {job.id} in the queue {job.queue}. {_send(context, job)}")
    context.say(f"Watch:  python -m jobs status {job.id} --follow")


def _arguments(task: str, argv: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Returns what differs from the task's defaults, and whether it is only to be shown."""
    # `settings` is filled by --set, and `dry_run` is about the sending.
    fields = {**ARGUMENTS[task].model_fields, **(TrainConfig.model_fields if task == "train" else {})}
    fields = {name: field for name, field in fields.items() if name not in ("settings", "dry_run")}
    defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    if task == "train":
        defaults |= dict(starting_config(peek(argv, "--recipe"), peek(argv, "--network")))
    flags = [_flag(name, field, defaults[name]) for name, field in fields.items()]
    if "settings" in ARGUMENTS[task].model_fields:
        flags.append(flag("set", Pairs, default=(), help=_SET_HELP, metavar="NAME=VALUE"))
    flags.append(flag("dry_run", FlagCreatePairsOff[bool], default=False, help=_SHOW_HELP))
    values = given(flags, argv, name=f"submit {task}", about=TASKS[task], positional=_MEANT.get(task, "--recipe"))
    changed = {one.name: values[one.name] for one in flags if values[one.name] != one.default}
    dry_run, pairs = changed.pop("dry_run", False), _settings(changed.pop("set", ()))
    arguments = {name: _from_json(name, value) if name in _JSON else value for name, value in changed.items()}
    return arguments | ({"settings": pairs} if pairs else {}), dry_run


def _flag(name: str, field: FieldInfo, default: Any) -> inspect.Parameter:
    about = field.description or ""
    if name not in _JSON:
        return flag(name, field.annotation, default=default, help=about)
    return flag(name, str | None, default=json.dumps(default) if default else None, help=about, metavar="JSON")


def _from_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        flag = f"--{name.replace('_', '-')}"
        raise ConfigError(f"{flag} is no JSON: {error}.", hint=f"For example: {flag} '{_JSON[name]}'") from None


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Returns the settings by name, each value read as TOML (1e-4, true, [10, 20]), or else as the text that it is.

    Raises ConfigError for what is no pair.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not name or not equals:
            raise ConfigError(f"--set takes NAME=VALUE, not {pair!r}.", hint="For example: --set learning_rate=1e-4")
        try:
            found[name.replace("-", "_")] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.replace("-", "_")] = None if value.lower() == "none" else value
    return found

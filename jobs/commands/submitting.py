"""`submit`: checks a job, sends it, and says who will take it. The flags come from what the task accepts."""

import json
import shlex
import tomllib
from collections.abc import Sequence
from typing import Any

from fer_core.cli.command_line import peek
from fer_core.config import Settings
from fer_core.data.default_source import find_source
from fer_core.errors import ConfigError, DatasetError, JobError, did_you_mean
from fer_core.job.arguments import TASKS, TrainArguments, TuneArguments, train_config, validate
from fer_core.job.broker_address import BrokerAwayError
from fer_core.job.create import create_job
from fer_core.job.job import Job
from fer_core.recipes import starting_config
from fer_core.tuning.space import OPTION, setting_name
from jobs.commands.context import Context, new_table
from jobs.commands.line import given
from jobs.commands.task_flags import flags_of, json_flags

_ASK_SECONDS = 0.5
_MEANT = {"tune": "--recipe", "train": "--recipe", "retrain": "--recipe", "evaluate": "--run", "gc": "--keep-days"}
"""What a value that stands alone is most likely for."""


def submit(context: Context, *argv: str) -> None:
    """Send a job: tune, train, retrain, evaluate, gc. It is checked before."""
    task = next(iter(argv), "--help")
    if task in ("-h", "--help"):
        _print_tasks(context)
        return
    if task not in TASKS:
        raise JobError(f"There is no task {task!r} to submit.", hint=did_you_mean(task, TASKS))
    arguments, dry_run = _arguments(task, argv[1:])
    say_sent(context, task, arguments, dry_run=dry_run)


def say_sent(context: Context, task: str, arguments: dict[str, Any], *, dry_run: bool) -> None:
    """Sends a job and says where it is and how to watch it; with `dry_run` only shows it. Raises FerError."""
    if _has_no_data(context, validate(task, arguments)):
        context.say("No data set was named, and there is no default one here: workers take theirs ($FER_DATA, ./data).")
    if dry_run:
        context.say(f"Not sent: {task}")
        context.say_json(arguments)
        context.say(f"The same by Celery: {_celery_call(task, arguments)}")
        return
    job = create_job(context.paths, task, arguments, environ=context.environ, clock=context.clock)
    send(context, job)
    context.say(f"Sent {job.id} to the queue {job.queue}. {consumers_sentence(context, job.queue)}")
    context.say(f"Watch:  python -m jobs status {job.id} --follow")
    context.say(f"Cancel: python -m jobs cancel {job.id}")


def send(context: Context, job: Job) -> None:
    """Sends the message of a job. Raises JobError where the broker is away: the job waits on the disk then."""
    try:
        context.broker.send(job)
    except BrokerAwayError as error:
        hint = (
            f"`python -m jobs up` starts broker and workers, which take it; `python -m jobs cancel {job.id}` ends it."
        )
        raise JobError(f"{error} {job.id} is written down, and waits.", hint=hint) from error


def consumers_sentence(context: Context, queue: str) -> str:
    """Returns how many workers take jobs from a queue."""
    count = sum(queue in about["queues"] for about in context.broker.workers(seconds=_ASK_SECONDS).values())
    if count == 0:
        return "No worker takes jobs from there now: `python -m jobs up` starts one."
    return f"{count} {'worker takes' if count == 1 else 'workers take'} jobs from there."


def _has_no_data(context: Context, arguments: Settings) -> bool:
    """Whether a search or a new training names no images, and this machine would not find any either."""
    if isinstance(arguments, TrainArguments):
        data = arguments.run or train_config(arguments).data
    elif isinstance(arguments, TuneArguments):
        data = arguments.data
    else:
        return False
    try:
        find_source(data, context.environ)
    except DatasetError:
        return True
    return False


def _arguments(task: str, argv: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Returns what differs from the task's defaults, and whether it is only to be shown."""
    flags = flags_of(task, _settings_shown(task, argv))
    values = given(flags, argv, name=f"submit {task}", about=TASKS[task], positional=_MEANT[task])
    defaults = {parameter.name: parameter.default for parameter in flags}
    changed = {name: value for name, value in values.items() if value != defaults[name]}
    dry_run, pairs = changed.pop("dry_run", False), settings_given(changed.pop("set", ()))
    as_json = json_flags(task)
    arguments = {name: _decoded(name, value) if name in as_json else value for name, value in changed.items()}
    if pairs:
        arguments["settings"] = _by_whole_names(pairs, arguments) if task == "train" else pairs
    return arguments, dry_run


def _settings_shown(task: str, argv: Sequence[str]) -> dict[str, Any]:
    """Returns the settings that a training has without any flags: those of its recipe."""
    return dict(starting_config(peek(argv, "--recipe"), peek(argv, "--network"))) if task == "train" else {}


def _decoded(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        flag = f"--{name.replace('_', '-')}"
        raise ConfigError(f"{flag} is no JSON: {error}.", hint=f"For example: {flag} '{_EXAMPLES[name]}'") from None


_EXAMPLES = {"start_from": '[{"learning_rate": 0.001}]', "network_options": '{"l2": 0.0001}'}


def _by_whole_names(pairs: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns settings of a training, those of the network together: "l2" is in "network_options"."""
    network = pairs.get("network", arguments.get("network"))
    base = starting_config(arguments.get("recipe"), network)
    config = base.model_copy(update={"network": network or base.network})
    named = {setting_name(name, config): value for name, value in pairs.items()}
    options = {name.removeprefix(OPTION): value for name, value in named.items() if name.startswith(OPTION)}
    settings = {name: value for name, value in named.items() if not name.startswith(OPTION)}
    return settings | ({"network_options": options} if options else {})


def _print_tasks(context: Context) -> None:
    context.say("usage: python -m jobs submit TASK [flags]\n")
    table = new_table("task", "")
    table.show_header = False
    for task, about in TASKS.items():
        table.add_row(f"  {task}", about)
    context.show(table)
    context.say("\n`python -m jobs submit TASK --help` lists the flags of one; --dry-run shows what would be sent.")


def _celery_call(task: str, arguments: dict[str, Any]) -> str:
    kwargs = f" --kwargs {shlex.quote(json.dumps(arguments, ensure_ascii=False))}" if arguments else ""
    return f"celery -A jobs call {task}{kwargs}"


def settings_given(pairs: Sequence[str]) -> dict[str, Any]:
    """Returns the settings by name, each value read as TOML (1e-4, true, [10, 20]), or else as the text that it is.

    Raises ConfigError for what is no pair.
    """
    return dict(map(_pair, pairs))


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not name or not equals:
        raise ConfigError(f"--set takes NAME=VALUE, not {text!r}.", hint="For example: --set learning_rate=1e-4")
    return name.replace("-", "_"), _value(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None if text.lower() == "none" else text

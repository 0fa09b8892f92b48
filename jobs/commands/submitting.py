"""`submit`: checks a job, sends it, and says who will take it. The flags come from what the task accepts."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from fer_core.cli.command_line import peek
from fer_core.config import Settings
from fer_core.data.default_source import find_source
from fer_core.errors import ConfigError, DatasetError, JobError, did_you_mean
from fer_core.recipes import starting_config
from fer_core.tuning.space import OPTION, setting_name
from jobs.commands.desk import Desk, new_table
from jobs.commands.line import given
from jobs.commands.setting_pairs import settings_given
from jobs.commands.task_flags import flags_of, json_flags
from jobs.wishes import TrainWish, TuneWish, checked_wish, train_config

TASKS = {
    "tune": "Search for better settings of a recipe.",
    "train": "Train one model.",
    "retrain": "Train again on all data so far, and promote the result if it is measurably better.",
    "evaluate": "Analyse a model on the test images.",
    "gc": "Remove what nobody needs any more.",
}
"""What a person sends; the jobs of trials are sent by their search."""


_MEANT = {"tune": "--recipe", "train": "--recipe", "retrain": "--recipe", "evaluate": "--run", "gc": "--keep-days"}
"""What a value that stands alone is most likely for."""


def submit(desk: Desk, *argv: str) -> None:
    """Send a job: tune, train, retrain, evaluate, gc. It is checked before."""
    task = next(iter(argv), "--help")
    if task in ("-h", "--help"):
        _print_tasks(desk)
        return
    if task not in TASKS:
        raise JobError(f"There is no task {task!r} to submit.", hint=did_you_mean(task, TASKS))
    arguments, dry_run = _arguments(task, argv[1:])
    say_sent(desk, task, arguments, dry_run=dry_run)


def say_sent(desk: Desk, task: str, arguments: dict[str, Any], *, dry_run: bool) -> None:
    """Sends a job and says where it is and how to watch it; with `dry_run` only shows it. Raises FerError."""
    if _has_no_data(desk, checked_wish(task, arguments)):
        desk.say("No data set was named, and there is no default one here: workers take theirs ($FER_DATA, ./data).")
    if dry_run:
        desk.say(f"Not sent: {task}")
        desk.say_json(arguments)
        desk.say(f"The same by Celery: {_celery_call(task, arguments)}")
        return
    from jobs.commands.broker import consumers_sentence, sent

    job = sent(desk, task, arguments)
    desk.say(f"Sent {job.id} to the queue {job.queue}. {consumers_sentence(desk, job.queue)}")
    desk.say(f"Watch:  python -m jobs status {job.id} --follow")
    desk.say(f"Cancel: python -m jobs cancel {job.id}")


def _has_no_data(desk: Desk, wish: Settings) -> bool:
    """Whether a search or a new training names no images, and this machine would not find any either."""
    if isinstance(wish, TrainWish):
        data = wish.run or train_config(wish).data
    elif isinstance(wish, TuneWish):
        data = wish.data
    else:
        return False
    try:
        find_source(data, desk.environ)
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


def _print_tasks(desk: Desk) -> None:
    desk.say("usage: python -m jobs submit TASK [flags]\n")
    table = new_table("task", "")
    table.show_header = False
    for task, about in TASKS.items():
        table.add_row(f"  {task}", about)
    desk.show(table)
    desk.say("\n`python -m jobs submit TASK --help` lists the flags of one; --dry-run shows what would be sent.")


def _celery_call(task: str, arguments: dict[str, Any]) -> str:
    kwargs = f" --kwargs {shlex.quote(json.dumps(arguments, ensure_ascii=False))}" if arguments else ""
    return f"celery -A jobs call {task}{kwargs}"

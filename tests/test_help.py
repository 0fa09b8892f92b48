"""What `--help` says of defaults, on every command line: that which holds."""

import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest

import fer_core.cli.live
import fer_core.cli.retrain
import fer_core.cli.train
import fer_core.cli.trial
import fer_core.web.settings
import jobs.__main__
from fer_core.job.arguments import QUEUE_OF_TASK, TASKS
from fer_core.paths import USUAL_FOLDERS, Paths
from fer_core.recipes import DEFAULT_RECIPE

CommandLine = Callable[[Sequence[str]], object]

PROGRAMS: dict[str, CommandLine] = {
    "train": fer_core.cli.train.parse,
    "detector": fer_core.cli.live.parse,
    "web": fer_core.web.settings.parse,
    "retrain": fer_core.cli.retrain.parse,
    "trial": fer_core.cli.trial.main,
}
COMMANDS = [name for group in jobs.__main__.COMMANDS.values() for name in group if name != "submit"]
EVERY = [*PROGRAMS, *(f"jobs {name}" for name in COMMANDS), *(f"jobs submit {task}" for task in TASKS)]


def flags_of(name: str, capsys: pytest.CaptureFixture) -> list[tuple[str, str, str]]:
    """Returns the flags that --help lists: each with its text, and the default that is printed from the setting."""
    _, *words = name.split()
    run = partial(PROGRAMS[name], ["--help"]) if name in PROGRAMS else partial(jobs.__main__.main, [*words, "--help"])
    with pytest.raises(SystemExit) as ending:
        run()
    assert ending.value.code in (0, None)
    entries = re.split(r"\n[│ ] (?=-)", capsys.readouterr().out)[1:]  # tyro frames its table where it can
    texts = [" ".join(entry.replace("│", " ").split()) for entry in entries]
    found = (re.match(r"(--[a-z0-9.-]+) (.*)\(default: (.*?)\)", text) for text in texts)
    return [one.groups() for one in found if one]


def in_force(name: str, flag: str) -> str | None:
    """Returns the default of a flag that has none of its own: what is taken in its place. None where that depends."""
    paths = Paths.from_environment({})
    defaults = {
        "--models-dir": f"$FER_MODELS_DIR, {paths.models}",
        "--history-dir": f"$FER_HISTORY_DIR, {paths.history}",
        "--queue": QUEUE_OF_TASK.get(name.split()[-1], QUEUE_OF_TASK["train"]),
        "--source": f"camera {fer_core.cli.live.DEFAULT_SOURCE}",
    }
    if name in ("train", "jobs submit train"):
        folders = ", ".join(f"./{folder}" for folder in USUAL_FOLDERS)
        defaults |= {"--data": f"$FER_DATA, {folders}", "--recipe": DEFAULT_RECIPE}
    return defaults.get(flag)


def names_a_value(stated: str) -> bool:
    """Whether what a help text says is a word, a number or a variable, and not how a default is found."""
    return bool(re.fullmatch(r"[a-z0-9./]+|.*\d.*|\$[^ ]+(, [^ ]+)*", stated))


@pytest.mark.parametrize("name", EVERY)
def test_a_default_is_stated_by_hand_only_where_it_holds(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    flags = flags_of(name, capsys)
    assert flags
    for flag, text, own in flags:
        for stated in re.findall(r"Default: (.+?)\.(?= |$)", text):
            assert own == "None", f"{flag} states {stated!r}, beside {own!r}, which is printed anyway"
            if names_a_value(stated) or in_force(name, flag):
                assert stated == in_force(name, flag), flag

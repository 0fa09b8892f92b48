"""`python -m jobs COMMAND …`: everything that a person asks of the training server. Without a command: the list."""

import importlib
import os
import sys
from collections.abc import Sequence

from fer_core.cli import ended
from fer_core.errors import ConfigError, did_you_mean

COMMANDS = {
    "Run": {
        "up": ("jobs.up:up", "broker, workers and scheduler on this machine; Ctrl-C stops all of it"),
        "doctor": ("jobs.doctor:doctor", "is everything in order, and what to do where it is not"),
    },
    "Send": {
        "submit": ("jobs.sending:submit", "send a job: tune, train, retrain, evaluate, read, gc"),
        "rerun": ("jobs.sending:rerun", "train a run again with other settings"),
    },
    "Watch": {
        "list": ("jobs.watching:list_jobs", "all jobs: waiting, running, ended"),
        "status": ("jobs.watching:status", "how far a job, a run or a search is; --follow"),
        "logs": ("jobs.watching:logs", "what a job has printed; -f goes on"),
    },
    "Decide": {
        "cancel": ("jobs.sending:cancel", "stop a job or a search"),
        "resume": ("jobs.sending:resume", "go on with what failed or was cancelled"),
        "promote": ("jobs.runs:promote", "put a run into use"),
        "rollback": ("jobs.runs:rollback", "put the model before it into use again"),
    },
    "Compare": {
        "best": ("jobs.runs:best", "what a search has found"),
        "compare": ("jobs.runs:compare", "two runs side by side"),
    },
    "Clean up": {
        "gc": ("jobs.runs:gc", "remove what nobody needs; --dry-run only lists it"),
    },
}
"""Where each command is, and what it is for. Imported only when it is called, so that each one starts at once."""


def main(argv: Sequence[str]) -> None:
    """Runs a command, or lists them all. Raises FerError for what the user can mend: first an address of no broker."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help", "help"):
        _print_commands()
        return
    every = {name: command for group in COMMANDS.values() for name, command in group.items()}
    if name not in every:
        raise ConfigError(f"There is no command {name!r}.", hint=did_you_mean(name, every))
    from fer_core.job.broker import broker_url
    from jobs.console import call, paths_of

    if name != "doctor" and not {"-h", "--help"} & set(argv):  # which says it among other things
        broker_url(os.environ, paths_of(argv[1:]))
    module, _, function = every[name][0].partition(":")
    call(getattr(importlib.import_module(module), function), argv[1:], name=name)


def _print_commands() -> None:
    print("usage: python -m jobs COMMAND …")
    for title, group in COMMANDS.items():
        print(f"\n{title}")
        for name, (_, about) in group.items():
            print(f"  {name:<10}{about}")
    print("\n`python -m jobs COMMAND --help` says what one takes.")


def run() -> int:
    """Returns the exit code: what `fer-jobs` is where the package is installed."""
    return ended(lambda: main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(run())

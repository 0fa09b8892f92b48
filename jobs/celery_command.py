"""What `celery -A jobs COMMAND` is told before it begins: an address or a broker that is wrong, in two lines.

Celery itself prints a traceback for the first, and waits for minutes with the second.
"""

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from fer_core.errors import FerError
from fer_core.job.broker_address import BrokerAwayError, check_address
from fer_core.job.broker_health import check_broker

SHORT = frozenset({"amqp", "call", "control", "inspect", "list", "migrate", "purge", "result", "status"})
"""Commands that ask the broker once, and end."""
SERVICES = frozenset({"beat", "events", "flower", "worker"})
"""Those that go on until the broker is there."""

_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")
"""Celery takes these instead of a setting; `celery --broker` is the first."""

_Result = TypeVar("_Result")


def said_by_celery(make: Callable[[], _Result]) -> _Result:
    """Returns what `make` does; where a command of Celery is running, its FerError ends that with two lines."""
    try:
        for name in _OVERRIDES:
            if os.environ.get(name, "").startswith("redis"):
                check_address(os.environ[name])
        return make()
    except FerError as error:
        if _command() is None:
            raise
        _say(error)
        raise SystemExit(error.exit_code) from None


def look_at_broker(url: Callable[[], str]) -> None:
    """Ends a short command of Celery where the broker takes no jobs; tells services that, which wait for it."""
    command = _command()
    if command not in SHORT | SERVICES or {"--help", "-h"} & set(sys.argv):
        return
    try:
        check_broker(url())
    except BrokerAwayError as error:
        _say(error)
        if command in SHORT:
            raise SystemExit(error.exit_code) from None


def _command() -> str | None:
    """Returns the command of `celery` that is beginning in this process; None where another program runs."""
    context = click.get_current_context(silent=True)
    is_celery = context is not None and getattr(context.command.callback, "__module__", "") == "celery.bin.celery"
    return context.invoked_subcommand if is_celery else None


def _say(error: FerError) -> None:
    print(f"Error: {error}\n{error.hint}", file=sys.stderr, flush=True)

"""What every command works with: the console, the folders, the environment, the clock. And how it prints."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fer_core.cli.output import Output
from fer_core.job.broker import Broker
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now
from fer_core.store.files import plain
from fer_core.training.report import duration

COLOURS = {
    "QUEUED": "cyan",
    "RUNNING": "blue",
    "INTERRUPTED": "yellow",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "magenta",
    "TIMED_OUT": "yellow",
}


@dataclass(frozen=True)
class Context:
    """What a command is given."""

    paths: Paths
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    console: Console = field(default_factory=lambda: Output(markup=False, highlight=False, emoji=False))
    clock: Clock = utc_now

    @cached_property
    def broker(self) -> Broker:
        """Where messages go. Celery is imported when it is first used."""
        return Broker(self.paths, self.environ)

    def say(self, text: str = "") -> None:
        """Prints a sentence as it is; the terminal breaks the line, so that paths stay whole."""
        self.console.print(text, soft_wrap=True)

    def show(self, *parts: RenderableType) -> None:
        """Prints tables and lines; where the output is no terminal, as wide as they are, so that no cell is broken.

        A line on a terminal is broken by that, so that what is copied from it stays whole.
        """
        for part in parts:
            if self.console.is_terminal:
                self.console.print(part, soft_wrap=isinstance(part, Text))
            else:
                self.say(self._plain(part))

    def _plain(self, part: RenderableType) -> str:
        options = self.console.options.update(max_width=_WIDEST)
        needed = Measurement.get(self.console, options, part).maximum
        self.console.width = max(self.console.width, needed)
        with self.console.capture() as captured:
            self.console.print(part)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def say_json(self, value: Any) -> None:
        """Prints a value for other programs."""
        sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()


_WIDEST = 10_000
_IDS = ("job", "run")
"""Columns of what people copy: never broken over two lines."""
_DAY = 86_400


def new_table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """Returns an empty table without lines; the columns named in `right` are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        is_id = heading in _IDS
        justify = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, overflow="ignore" if is_id else "fold", no_wrap=is_id)
    return table


def status_text(status: str) -> Text:
    """Returns a status in its colour."""
    return Text(status.lower(), style=COLOURS.get(status, ""))


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings on one line: learning_rate=0.0012, dropout=0.4."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in settings.items())


def value_text(value: Any) -> str:
    """Returns a setting's value as short as it can be understood."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ",".join(map(value_text, value)) or "()"
    return str(value)


def age(moment_utc: str | None, now: datetime) -> str:
    """Returns how long ago a moment of a record was, for people; '–' where there is none."""
    if moment_utc is None:
        return "–"
    seconds = max(0.0, (now - datetime.fromisoformat(moment_utc)).total_seconds())
    return f"{seconds / _DAY:.0f} days" if seconds > 3 * _DAY else duration(seconds)

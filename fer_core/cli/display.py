"""Shows a training in the terminal: a moving bar for people, plain lines where the output goes to a file."""

import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fer_core.training.report import duration, epoch_line

LINE_SECONDS = 15.0
"""How often a log file gets a line within an epoch."""


class Display:
    """Is called with what a training reports. Use as a context manager, so that the bar is cleared at the end."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic):
        self._console, self._clock = console, clock
        columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = None
        self._last_line = clock()
        self._pace: list[float] = []

    def __enter__(self) -> "Display":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, kind: str, fields: dict[str, Any]) -> None:
        """Shows one event, progress or epoch."""
        if kind == "event":
            self._print(fields["text"])
        elif kind == "epoch":
            self._pace.append(fields["seconds"])
            self._last_line = self._clock()
            self._print(epoch_line(fields))
        elif self._bar is not None:
            self._move(fields)
        elif self._clock() - self._last_line >= LINE_SECONDS:
            self._last_line = self._clock()
            self._print(self._position(fields))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _position(self, fields: dict[str, Any]) -> str:
        return (
            f"epoch {fields['epoch']:>3}  step {fields['step']:,} of {fields['steps']:,}  loss {fields['loss']:.4f}  "
            f"accuracy {fields['accuracy']:.1%}  {fields['images_per_second']:,.0f} images/s{self._left(fields)}"
        )

    def _left(self, fields: dict[str, Any]) -> str:
        """Time left, from the last epochs' pace; nothing in the first epoch, which has none."""
        if not self._pace:
            return ""
        epochs = fields["epochs"] - fields["epoch"] + 1 - fields["step"] / fields["steps"]
        return f"  at most {duration(fmean(self._pace[-3:]) * epochs)} left"

    def _move(self, fields: dict[str, Any]) -> None:
        text = (
            f"epoch {fields['epoch']}/{fields['epochs']}  loss {fields['loss']:.3f}  "
            f"accuracy {fields['accuracy']:.1%}  {fields['images_per_second']:,.0f} images/s{self._left(fields)}"
        )
        if self._task is None:
            self._task = self._bar.add_task("")
        self._bar.update(self._task, completed=fields["step"], total=fields["steps"], description=text)

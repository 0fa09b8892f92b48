"""What `python -m jobs up` shows: a live table in a terminal, one plain line per event in a file or a pipe."""

import time
from collections.abc import Sequence

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jobs.children import Child
from jobs.commands.desk import Desk, new_table
from jobs.commands.progress import Look
from jobs.job import Job

REFRESH_SECONDS = 2.0
_MOST_JOBS = 12
_RECENTLY_ENDED = 50
"""More cannot end between two looks."""
_COLOURS = {"running": "green", "starts again": "yellow"}


class UpDisplay:
    """Use as a context manager; `refresh` may be called as often as one likes, and is cheap in between."""

    def __init__(self, desk: Desk, children: Sequence[Child]):
        self._desk, self._children = desk, children
        self._live = Live(console=desk.console, auto_refresh=False, transient=True) if _is_screen(desk) else None
        self._statuses: dict[str, str] | None = None
        self._next = 0.0

    def __enter__(self) -> "UpDisplay":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, url: str) -> None:
        """Says where the broker is, and what to type next."""
        from jobs.broker_address import hidden_password

        self.say(f"Broker: {hidden_password(url)}")
        self.say(
            "In another terminal: `python -m jobs submit tune`, `python -m jobs list`. Ctrl-C here stops everything."
        )

    def say(self, sentence: str) -> None:
        """Prints a line, above the table where there is one."""
        self._desk.say(sentence)

    def refresh(self) -> None:
        """Looks at the jobs every two seconds, and shows what has changed."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH_SECONDS
        jobs = self._desk.jobs.open_jobs()
        if self._live is not None:
            self._live.update(self._picture(jobs), refresh=True)
        else:
            self._tell_changes(jobs)

    def _tell_changes(self, jobs: Sequence[Job]) -> None:
        """One line for each job that has another status than the last time; none for those found at the start."""
        ended = self._desk.jobs.ended_jobs(limit=_RECENTLY_ENDED)
        before, self._statuses = self._statuses, {job.id: job.status for job in (*ended, *jobs)}
        if before is None:
            self.say(f"Jobs that have not ended: {len(jobs)}.")
            return
        for job in (*ended, *jobs):
            if before.get(job.id) != job.status:
                message = f", {job.message.splitlines()[0]}" if job.message else ""
                self.say(f"{job.id}: {job.status}{message}")

    def _picture(self, jobs: Sequence[Job]) -> Group:
        running = [job for job in jobs if job.status == "RUNNING"]
        waiting = sum(job.status == "QUEUED" for job in jobs)
        counts = Text(f"{len(running)} running, {waiting} waiting", style="bold")
        return Group(self._processes(), Text(), counts, *([self._running(running)] if running else []))

    def _processes(self) -> Table:
        table = new_table("", "", "process", "restarts", right=("process", "restarts"))
        for child in self._children:
            state = "running" if child.is_running else "starts again"
            number = "–" if child.pid is None else str(child.pid)
            table.add_row(child.plan.name, Text(state, style=_COLOURS[state]), number, str(child.restarts))
        return table

    def _running(self, jobs: Sequence[Job]) -> Table:
        look = Look(self._desk.paths)
        table = new_table("job", "worker", "so far")
        for job in jobs[:_MOST_JOBS]:
            table.add_row(job.id, job.owner.worker if job.owner else "–", look.doing(job))
        return table


def _is_screen(desk: Desk) -> bool:
    return desk.console.is_terminal

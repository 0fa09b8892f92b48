"""What the doctor looks at on this machine: disk, jobs, model, data, schedule. Needs no broker, and changes nothing."""

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from fer_core.config import TrainConfig
from fer_core.errors import DatasetError
from fer_core.store.files import file_sha256, temporary_beside
from fer_core.store.promotion import current, model_copy, model_in_use
from fer_core.training.report import duration
from jobs.job import Job, owner_is_alive, seconds_since
from jobs.owner import seconds_started
from jobs.server import read_broker
from jobs.timetable import load_timetable

if TYPE_CHECKING:
    from jobs.commands.desk import Desk

Level = Literal["ok", "warn", "bad"]

LITTLE_ROOM, NO_ROOM = 10e9, 1e9
"""Bytes. A run of the larger networks takes some 100 MB, most of it its checkpoint."""
CLOCK_SECONDS = 5.0
"""A difference that may be; from 30 s on, a living worker on another machine is soon taken for dead."""
WRONG_CLOCK_SECONDS = 30.0

_SILENT_SECONDS = 120.0
_UNSENT_SECONDS = 60.0
_MOST_JOBS = 5


class Finding(NamedTuple):
    """One line of the doctor's."""

    level: Level
    what: str
    text: str
    todo: str = ""


def clock_finding(whose: str, seconds: float) -> Finding:
    """Returns what a clock that is ahead of ours by so many seconds means."""
    text = f"{whose}: {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine"
    if abs(seconds) <= CLOCK_SECONDS:
        return Finding("ok", "clock", f"{whose}: within {abs(seconds):.1f} s of this machine")
    level = "bad" if abs(seconds) >= WRONG_CLOCK_SECONDS else "warn"
    return Finding(level, "clock", text, "Set the clocks by NTP (timedatectl set-ntp true): signs of life go by them.")


def _disk(desk: "Desk") -> Iterator[Finding]:
    paths, seen = desk.paths, set()
    for folder in (paths.models, paths.history, paths.state, paths.cache):
        there = _existing(folder)
        if not os.access(there, os.W_OK):
            yield Finding("bad", "disk", f"{folder} cannot be written to.", "Give yourself the right, or take another.")
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield _room(folder, shutil.disk_usage(there).free)


def _room(folder: Path, free: int) -> Finding:
    level = "bad" if free < NO_ROOM else "warn" if free < LITTLE_ROOM else "ok"
    todo = "" if level == "ok" else "`python -m jobs gc --dry-run` lists what can go."
    return Finding(level, "disk", f"{free / 1e9:,.1f} GB free for {folder}", todo)


def _shared_clock(desk: "Desk") -> Iterator[Finding]:
    """Where models/ is on another machine's disk, its clock dates the files."""
    folder = desk.paths.models
    if folder.is_dir() and os.access(folder, os.W_OK):
        probe = temporary_beside(folder / "clock")
        before = time.time()
        try:
            probe.touch()
            yield clock_finding(f"the disk of {folder}", probe.stat().st_mtime - before)
        finally:
            probe.unlink(missing_ok=True)


def _jobs(desk: "Desk") -> Iterator[Finding]:
    jobs = desk.jobs.open_jobs()
    stuck = [finding for job in jobs if (finding := _stuck(desk, job))]
    yield from stuck[:_MOST_JOBS]
    if len(stuck) > _MOST_JOBS:
        yield Finding("warn", "jobs", f"and {len(stuck) - _MOST_JOBS} more like these")
    running = sum(job.status == "RUNNING" for job in jobs)
    if not stuck:
        yield Finding("ok", "jobs", f"{running} running, {len(jobs) - running} waiting, none stuck")


def _stuck(desk: "Desk", job: Job) -> Finding | None:
    now = desk.clock()
    if job.status == "RUNNING" and not owner_is_alive(job, now=now):
        return Finding("warn", "jobs", f"{job.id}: its process is gone.", "Any worker sends it again: is one running?")
    silent = seconds_since(job.heartbeat_utc, now)
    if job.status == "RUNNING" and silent > _SILENT_SECONDS:
        since = "" if math.isinf(silent) else f" for {duration(silent)}"
        return Finding("warn", "jobs", f"{job.id}: no sign of life{since}.", f"Look into {desk.jobs.log(job.id)}")
    if job.status == "QUEUED" and job.sent_utc is None and seconds_since(job.created_utc, now) > _UNSENT_SECONDS:
        return Finding("warn", "jobs", f"{job.id}: it was never sent.", "Any worker sends it: is one running?")
    if job.crashes:
        text = f"{job.id}: it has crashed {job.crashes} times in a row."
        return Finding("warn", "jobs", text, f"`python -m jobs logs {job.id}` shows why.")
    return None


def _up(desk: "Desk") -> Iterator[Finding]:
    broker = read_broker(desk.paths.state)
    if broker is None:
        return
    if broker.host != os.uname().nodename:
        text = f"{desk.paths.state / 'broker.json'} is of {broker.host}, whose socket cannot be reached from here."
        todo = "Set $FER_BROKER_URL to a Redis that all machines reach, or another $FER_STATE_DIR here."
        if not desk.environ.get("FER_BROKER_URL"):
            yield Finding("bad", "up", text, todo)
    elif seconds_started(broker.pid) is None:
        yield Finding(
            "warn", "up", f"`up` was process {broker.pid}; it was killed.", "`python -m jobs up` starts again."
        )
    else:
        yield Finding("ok", "up", f"runs as process {broker.pid}")


def _model(desk: "Desk") -> Iterator[Finding]:
    folder = model_in_use(desk.paths)
    if folder is None:
        yield Finding("warn", "model", "There is none in use.", "Train one, or `python -m jobs promote RUN`.")
        return
    pointer, copy = current(desk.paths), model_copy(desk.paths)
    if pointer is None:
        yield Finding("ok", "model", f"the shipped one, {folder}")
    elif file_sha256(folder / "model.h5") != pointer.sha256:
        text = f"{folder / 'model.h5'} is not what was promoted."
        yield Finding("bad", "model", text, "Promote another run, or bring the file back.")
    elif not copy.is_file() or file_sha256(copy) != pointer.sha256:
        yield Finding("warn", "model", f"{copy} is not run {pointer.run}.", f"`python -m jobs promote {pointer.run}`")
    else:
        yield Finding("ok", "model", f"run {pointer.run}, promoted {pointer.promoted_utc}")


def _data(desk: "Desk") -> Iterator[Finding]:
    from fer_core.data.default_source import find_source
    from fer_core.data.sources import open_source

    given = desk.environ.get("FER_DATA")
    try:
        source = find_source(None, desk.environ)
        open_source(source, TrainConfig(), desk.paths)
    except DatasetError as error:
        if given:
            yield Finding("bad", "data", str(error), error.hint)
        else:
            yield Finding("warn", "data", "There is no default data set: jobs must name theirs.", "Set $FER_DATA.")
    else:
        yield Finding("ok", "data", source)


def _schedule(desk: "Desk") -> Iterator[Finding]:
    timetable = load_timetable(desk.environ)
    names = ", ".join(entry.name for entry in timetable.entries if entry.enabled) or "nothing"
    yield Finding("ok", "schedule", f"{timetable.path}: {names} ({timetable.timezone})")


def _existing(folder: Path) -> Path:
    """Returns the folder, or the nearest one above it that is there."""
    path = folder.resolve()
    return next(parent for parent in (path, *path.parents) if parent.exists())


CHECKS: dict[str, Callable[["Desk"], Iterator[Finding]]] = {
    "up": _up,
    "clock": _shared_clock,
    "disk": _disk,
    "jobs": _jobs,
    "model": _model,
    "data": _data,
    "schedule": _schedule,
}
"""By what is looked at; in this order."""

"""`python -m jobs doctor`: looks at everything that jobs need, and says what to do where something is not in order."""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from rich.text import Text

from fer_core.config import TrainConfig
from fer_core.errors import DatasetError, FerError
from fer_core.job.broker import models_id, read_record, waiting_in
from fer_core.job.broker_address import hidden_password
from fer_core.job.job import Job
from fer_core.job.progress import open_jobs
from fer_core.locks import is_taken
from fer_core.store.files import file_sha256
from fer_core.store.promotion import current, model_copy, model_in_use
from fer_core.tuning.state import load_state
from jobs.console import Context, new_table

LITTLE_ROOM, NO_ROOM = 10e9, 1e9
"""Bytes. A run of the larger networks takes some 100 MB, most of it its checkpoint."""
CLOCK_SECONDS, WRONG_CLOCK_SECONDS = 5.0, 30.0
"""A difference that may be, and one that is bad."""
_UNTAKEN_SECONDS = 60.0
_MOST_JOBS = 5
_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}
_LOST = "Messages are lost when the server ends; workers send them again, after some seconds."
_SERVER_SETTINGS = {
    "maxmemory-policy": ("noeviction", "bad", "Messages may be thrown away when memory is short."),
    "appendonly": ("yes", "warn", _LOST),
}
"""What they should be, and how bad it is and what it means if they are not."""


class Finding(NamedTuple):
    """One line of the doctor's."""

    level: Literal["ok", "warn", "bad"]
    what: str
    text: str
    todo: str = ""


def doctor(context: Context, *, json: bool = False) -> None:
    """Look at broker, workers, clocks, disk, jobs, model, data and schedule, and say what to do.

    Ends with 1 if something is bad.

    Args:
        json: As JSON, for other programs.
    """
    with context.console.status("Looking around …"):
        findings = find_all(context)
    counts = Counter(finding.level for finding in findings)
    if json:
        context.say_json([finding._asdict() for finding in findings])
    else:
        rows = (
            (Text(level, style=_COLOURS[level]), what, f"{text}\n→ {todo}" if todo else text)
            for level, what, text, todo in findings
        )
        context.show(new_table("", "", "", rows=rows))
        context.say(f"{counts['ok']} in order, {counts['warn']} to look at, {counts['bad']} bad.")
    if counts["bad"]:
        sys.exit(1)


def find_all(context: Context) -> list[Finding]:
    """Returns what there is to say, in the order in which a job needs it. Changes nothing but the models' id."""
    findings = []
    for what, check in CHECKS.items():
        try:
            findings += check(context)
        except FerError as error:
            findings.append(Finding("bad", what, str(error), error.hint))
    return findings


def clock_finding(whose: str, seconds: float) -> Finding:
    """Returns what a clock that is ahead of ours by so many seconds means."""
    if abs(seconds) <= CLOCK_SECONDS:
        return Finding("ok", "clock", f"{whose}: within {abs(seconds):.1f} s of this machine")
    level = "bad" if abs(seconds) >= WRONG_CLOCK_SECONDS else "warn"
    text = f"{whose}: {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine"
    return Finding(level, "clock", text, "Set the clocks by NTP (timedatectl set-ntp true): times are compared.")


def _broker(context: Context) -> Iterator[Finding]:
    with context.broker.connected() as connection:
        client = connection.default_channel.client
        yield from _server(context, client)
        workers, asked = context.broker.workers(), time.time()
        for queue in context.broker.app.amqp.queues:
            names = sorted(name for name, about in workers.items() if queue in about["queues"])
            waiting = waiting_in(connection, queue)
            text = f"queue {queue}: {waiting} waiting, {len(names)} listening"
            if names:
                yield Finding("ok", "workers", f"{text} ({', '.join(names)})")
            else:
                todo = f"`python -m jobs up`, or `celery -A jobs worker -Q {queue}`, starts one."
                yield Finding("bad" if waiting else "warn", "workers", text, todo)
        seconds, microseconds = client.time()
        yield clock_finding("the broker", seconds + microseconds / 1e6 - time.time())
    for name, about in sorted(workers.items()):
        ahead = about["clock"] - asked  # it has answered within the second before
        yield clock_finding(name, min(0.0, ahead + 1.0) if ahead < 0 else ahead)
        if about["models_id"] != models_id(context.paths):
            own = context.paths.models.resolve()
            text = f"{name} serves {about['models_dir']}, which is another folder than {own}."
            todo = "Mount one models folder on all machines, or give each folder a Redis of its own ($FER_BROKER_URL)."
            yield Finding("bad", "models", text, todo)


def _server(context: Context, client: Any) -> Iterator[Finding]:
    from redis.exceptions import ResponseError

    info = client.info()
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "?")
    text = f"{hidden_password(context.broker.url)}: {name} {version}, {info.get('used_memory_human', '?')}"
    if info.get("aof_enabled") and info.get("aof_last_write_status") == "err":
        yield Finding("bad", "broker", f"{text}. It cannot write its file.", "Is its disk full?")
    else:
        yield Finding("ok", "broker", text)
    for name, (wanted, level, otherwise) in _SERVER_SETTINGS.items():
        try:
            value = client.config_get(name).get(name)
        except ResponseError:
            yield Finding("warn", "broker", f"{name} cannot be asked for here.", f"It should be {wanted}.")
            continue
        text, todo = f"{name} is {value}. {otherwise}", f"Set {name} {wanted} in the server."
        is_wanted = value == wanted
        yield Finding("ok", "broker", f"{name} {value}") if is_wanted else Finding(level, "broker", text, todo)


def _up(context: Context) -> Iterator[Finding]:
    record = read_record(context.paths.state)
    if record is None:
        return
    if record.host == os.uname().nodename:
        if is_taken(context.paths.state / ".up.lock"):  # a process number may be another one's by now
            yield Finding("ok", "up", f"runs as process {record.pid}")
        else:
            text = f"`up` was process {record.pid}; it was killed."
            yield Finding("warn", "up", text, "`python -m jobs up` starts again.")
    elif not context.environ.get("FER_BROKER_URL"):
        text = f"{context.paths.state / 'broker.json'} is of {record.host}, whose socket is out of reach here."
        todo = "Set $FER_BROKER_URL to a Redis that all machines reach, or another $FER_STATE_DIR here."
        yield Finding("bad", "up", text, todo)


def _shared_clock(context: Context) -> Iterator[Finding]:
    """Where models/ is on another machine's disk, its clock dates the files."""
    folder = context.paths.models
    if folder.is_dir() and os.access(folder, os.W_OK):
        before = time.time()
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock") as probe:
            yield clock_finding(f"the disk of {folder}", os.fstat(probe.fileno()).st_mtime - before)


def _disk(context: Context) -> Iterator[Finding]:
    paths, seen = context.paths, set()
    for folder in (paths.models, paths.history, paths.state, paths.cache):
        path = folder.resolve()
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        if not os.access(there, os.W_OK):
            yield Finding("bad", "disk", f"{folder} cannot be written to.", "Give yourself the right, or take another.")
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            free = shutil.disk_usage(there).free
            level = "bad" if free < NO_ROOM else "warn" if free < LITTLE_ROOM else "ok"
            todo = "" if level == "ok" else "`python -m jobs gc --dry-run` lists what can go."
            yield Finding(level, "disk", f"{free / 1e9:,.1f} GB free for {folder}", todo)


def _jobs(context: Context) -> Iterator[Finding]:
    jobs = open_jobs(context.paths)
    stuck = [finding for job in jobs for finding in _stuck(job)]
    yield from stuck[:_MOST_JOBS]
    if len(stuck) > _MOST_JOBS:
        yield Finding("warn", "jobs", f"and {len(stuck) - _MOST_JOBS} more like these")
    running = sum(job.status == "RUNNING" for job in jobs)
    if not stuck:
        yield Finding("ok", "jobs", f"{running} running, {len(jobs) - running} waiting, none stuck")


def _stuck(job: Job) -> Iterator[Finding]:
    notes = job.notes
    refused = load_state(job.search).refused_by if job.search else notes.refused_by
    if refused:
        worker, why = list(refused.items())[-1]
        text, todo = f"{worker} could not begin it: {why}", "Other workers may; mend that machine, restart its worker."
    elif notes.crashes:
        text, todo = f"it has crashed {notes.crashes} times in a row.", f"`python -m jobs logs {job.id}` shows why."
    elif _is_left(job):
        text, todo = "nobody takes it.", "Any worker sends it: is one running?"
    else:
        return
    yield Finding("warn", "jobs", f"{job.id}: {text.splitlines()[0]}", todo)


def _is_left(job: Job) -> bool:
    """Whether nobody is at it or any trial of it, no message is on its way, and nothing of it has changed for long."""
    files = (job.marker, job.search.state_json) if job.search else (job.marker,)
    if job.has_message or not all(path.exists() for path in files):
        return False
    is_old = time.time() - max(path.stat().st_mtime for path in files) > _UNTAKEN_SECONDS
    return is_old and not any(map(is_taken, (job.lock, *job.folder.glob(".slot*.lock"))))


def _model(context: Context) -> Iterator[Finding]:
    folder = model_in_use(context.paths)
    if folder is None:
        yield Finding("warn", "model", "There is none in use.", "Train one, or `python -m jobs promote RUN`.")
        return
    pointer, copy = current(context.paths), model_copy(context.paths)
    if pointer is None:
        yield Finding("ok", "model", f"the shipped one, {folder}")
    elif file_sha256(folder / "model.h5") != pointer.sha256:
        text = f"{folder / 'model.h5'} is not what was promoted."
        yield Finding("bad", "model", text, "Promote another run, or bring the file back.")
    elif not copy.is_file() or file_sha256(copy) != pointer.sha256:
        yield Finding("warn", "model", f"{copy} is not run {pointer.run}.", f"`python -m jobs promote {pointer.run}`")
    else:
        yield Finding("ok", "model", f"run {pointer.run}, promoted {pointer.promoted_utc}")


def _data(context: Context) -> Iterator[Finding]:
    from fer_core.data.sources import open_source
    from fer_core.paths import find_source

    try:
        source = find_source(None, context.environ)
        open_source(source, TrainConfig(), context.paths)
        yield Finding("ok", "data", source)
    except DatasetError as error:
        if context.environ.get("FER_DATA"):
            raise
        yield Finding("warn", "data", f"Jobs must name their data set: {error}", "Set $FER_DATA.")


def _schedule(context: Context) -> Iterator[Finding]:
    from jobs.schedule import load_timetable, schedule_path  # which imports Celery

    timetable = load_timetable(context.environ)
    names = ", ".join(entry.name for entry in timetable.entry if entry.enabled) or "nothing"
    yield Finding("ok", "schedule", f"{schedule_path(context.environ)}: {names} ({timetable.timezone})")


CHECKS: dict[str, Callable[[Context], Iterator[Finding]]] = {
    "broker": _broker,
    "up": _up,
    "clock": _shared_clock,
    "disk": _disk,
    "jobs": _jobs,
    "model": _model,
    "data": _data,
    "schedule": _schedule,
}
"""By what is looked at; in this order."""

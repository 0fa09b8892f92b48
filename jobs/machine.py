"""What this machine offers workers: its GPUs, its cores, and the worker processes that follow from them."""

import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ConfigError
from fer_core.paths import Paths
from jobs.children import Plan

PROJECT = Path(__file__).parents[1]
CPU_QUEUE = "cpu"

_GPU_LINE = re.compile(r"^GPU (\d+):")
_MIG_LINE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_NVIDIA_SMI_SECONDS = 30


class Worker(NamedTuple):
    """What one worker process has for itself."""

    name: str
    gpu: str | None = None
    """As CUDA_VISIBLE_DEVICES takes it; None: it sees none."""
    shares_gpu: bool = False
    cores: frozenset[int] | None = None
    """None: all that there are."""
    queues: tuple[str, ...] = ()
    """Flags of `celery worker`; empty: all queues."""


def gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the GPUs (or parts of them, MIG) that may be used, each as CUDA_VISIBLE_DEVICES takes it."""
    given = environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return tuple(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    program = shutil.which("nvidia-smi", path=environ.get("PATH", os.defpath))
    if program is None:
        return ()
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=_NVIDIA_SMI_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _listed(answer.stdout) if answer.returncode == 0 else ()


def _listed(text: str) -> tuple[str, ...]:
    """Returns the GPUs of `nvidia-smi -L`; one that is divided is named by its parts, since CUDA sees only those."""
    parts: dict[str, list[str]] = {}
    for line in text.splitlines():
        if gpu := _GPU_LINE.match(line):
            parts[gpu[1]] = []
        elif (mig := _MIG_LINE.match(line)) and parts:
            parts[list(parts)[-1]].append(mig[1])
    return tuple(name for gpu, migs in parts.items() for name in migs or [gpu])


def planned_workers(found: Sequence[str], cores: Sequence[int], *, wanted: int | None) -> list[Worker]:
    """Returns one worker per GPU and one for the cpu queue; without GPUs one, or `wanted` that share the cores.

    Raises ConfigError for less than one.
    """
    if wanted is not None and wanted < 1:
        raise ConfigError(f"--workers is at least 1, not {wanted}.", hint="Leave it out for one per GPU, or one.")
    if not found:
        shares = _shares(cores, wanted or 1)
        return [Worker(f"cpu{number}", cores=share) for number, share in enumerate(shares)]
    count = wanted or len(found)
    turns = itertools.islice(itertools.cycle(found), count)
    is_shared = count > len(found)
    trainers = [Worker(f"gpu{n}", gpu, is_shared, queues=("-X", CPU_QUEUE)) for n, gpu in enumerate(turns)]
    # What needs no GPU must not wait behind trainings of days.
    return [*trainers, Worker("cpu0", queues=("-Q", CPU_QUEUE))]


def _shares(cores: Sequence[int], count: int) -> list[frozenset[int] | None]:
    """Returns which cores each worker gets: a training takes as many threads as it sees cores."""
    if count == 1 or count > len(cores):
        return [None] * count
    ends = [len(cores) * number // count for number in range(count + 1)]
    return [frozenset(cores[begin:end]) for begin, end in itertools.pairwise(ends)]


def worker_plan(worker: Worker, paths: Paths, environment: Mapping[str, str], *, mark: str = "") -> Plan:
    """Returns the process of a worker; `mark` tells it from another one's of this machine, at the same broker."""
    node = f"{worker.name}{mark}@%h"
    command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-n", node, "-l", "INFO"]
    devices = {"CUDA_VISIBLE_DEVICES": "-1" if worker.gpu is None else worker.gpu}
    growth = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if worker.shares_gpu else {}
    return Plan(
        worker.name,
        [*command, *worker.queues],
        log=log_of(worker.name, paths),
        environment={**environment, **devices, **growth},
        cores=worker.cores,
    )


def beat_plan(paths: Paths, environment: Mapping[str, str]) -> Plan:
    """Returns the process of the scheduler."""
    command = [sys.executable, "-m", "celery", "-A", "jobs", "beat", "-l", "INFO"]
    return Plan("beat", command, log=log_of("beat", paths), environment=environment)


def log_of(name: str, paths: Paths) -> Path:
    """Returns where the output of a process goes; with the host's name, since a state folder may be shared."""
    return paths.state.resolve() / "logs" / f"{name}@{socket.gethostname()}.txt"


def environment_of(paths: Paths, environ: Mapping[str, str], url: str | None = None) -> dict[str, str]:
    """Returns the environment of a child: folders that do not depend on the working directory, and the broker."""
    folders = {
        "FER_MODELS_DIR": paths.models,
        "FER_HISTORY_DIR": paths.history,
        "FER_CACHE_DIR": paths.cache,
        "FER_STATE_DIR": paths.state,
        "FER_INBOX": paths.inbox,
    }
    path = os.pathsep.join(filter(None, (str(PROJECT), environ.get("PYTHONPATH"))))
    found = {name: str(folder.resolve()) for name, folder in folders.items()}
    broker = {"FER_BROKER_URL": url} if url else {}
    return {**environ, **found, **broker, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}

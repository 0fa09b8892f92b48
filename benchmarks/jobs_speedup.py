"""How much sooner a search is over with two workers than with one: eight short trials, one thread each.

    python benchmarks/jobs_speedup.py
    python benchmarks/jobs_speedup.py --rounds 3

Real workers, real messages, real trainings on drawn faces; every trial costs about the same. Measured from the sending
of `tune` to the end of the search. Needs two cores that nobody else uses; how much others did use them is printed.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from job_server import BROKER, JobServer, wait_until
from sides import processor

from fer_core.tuning.state import list_searches, load_state

BAR = 1.7
TRIALS = 8
SEARCH = {
    "recipe": "quick",
    "data": "sample",
    "max_trials": TRIALS,
    "parallelism": 2,
    "confirm_top": 0,
    "stop_early": False,
    "space": ["learning_rate"],  # so that no trial has more to compute than another
    "settings": {"sample_per_class": 300, "epochs": 6, "threads": 1},
}
_LIMIT_SECONDS = 1800


def seconds_with(workers: int, cache: Path) -> float:
    """Returns the seconds of one search with so many workers. Raises RuntimeError if a trial was not completed."""
    with tempfile.TemporaryDirectory(prefix="fer-speedup-") as folder:
        server = JobServer(Path(folder), FER_CACHE_DIR=str(cache))
        names = [f"worker{number}" for number in range(workers)]
        server.start(BROKER, *names)
        try:
            ready = [lambda name=name: "ready." in server.log(name).read_text() for name in names]
            wait_until(lambda: all(is_ready() for is_ready in ready), seconds=60, what="the workers")
            began = time.monotonic()
            server.call("tune", **SEARCH)
            wait_until(lambda: _is_over(server), seconds=_LIMIT_SECONDS, what="the end of the search")
            seconds = time.monotonic() - began
            _check(server)
        finally:
            server.stop()
    return seconds


def _is_over(server: JobServer) -> bool:
    return any(load_state(search).status != "RUNNING" for search in list_searches(server.paths))


def _check(server: JobServer) -> None:
    (search,) = list_searches(server.paths)
    state = load_state(search)
    if [entry.status for entry in state.entries] != ["COMPLETED"] * TRIALS:
        raise RuntimeError(f"{state.status}: {state.message} {[entry.message for entry in state.entries]}")


class Others:
    """How much of the machine's processors all processes but ours and our children's have used since it was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def share(self) -> float:
        """Returns the part of the processors' time, 0 to 1. Children count when they have ended."""
        total, busy, own = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return max(0.0, (busy - own) / total)

    def _now(self) -> tuple[float, float, float]:
        every, own = psutil.cpu_times(), os.times()
        total = sum(every) - getattr(every, "guest", 0.0) - getattr(every, "guest_nice", 0.0)
        idle = every.idle + getattr(every, "iowait", 0.0)
        return total, total - idle, own.user + own.system + own.children_user + own.children_system


def main() -> None:
    """Measures one worker and two in turn; exit code 1 below the bar."""
    options = parse_options()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="fer-speedup-cache-") as cache:
        for _ in range(options.rounds):
            for workers in seconds:
                others = Others()
                seconds[workers].append(seconds_with(workers, Path(cache)))
                told = f"{workers} worker{'s' if workers > 1 else ''}: {seconds[workers][-1]:.1f} s"
                print(f"{told}; others used {others.share():.0%} of the processors", flush=True)
    one, two = (statistics.median(values) for values in seconds.values())
    print(f"{TRIALS} trials: {one:.1f} s with one worker, {two:.1f} s with two: {one / two:.2f} × (bar: {BAR} ×)")
    print(f"{processor()}, {os.cpu_count()} threads, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}")
    sys.exit(one / two < BAR)


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()

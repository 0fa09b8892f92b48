"""`make bench-jobs`: one search, 32 workers, thousands of trials, over a real Redis, a worker killed each second.

    python benchmarks/jobs_scale.py                          # random and hyperband to 2,000 trials, bayesian to 300
    python benchmarks/jobs_scale.py random --trials 200
    python benchmarks/jobs_scale.py speedup                  # eight real trials with one worker, and with two

The workers are light ones: light_worker.py says what is real about them. Measured are the seconds that `ask` and `tell`
keep the lock of the search at its end, reading and writing its state included: alone, and while all are at work. Then
it is looked whether a trial was lost, counted or trained twice. Writes jobs_scale.json beside this file. `speedup` has
real workers and trainings on drawn faces, and needs two cores that nobody else uses.
"""

import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from harness import HERE, ROOT, conditions
from job_server import JobServer, search_problems, wait_until

from fer_core.job.arguments import QUEUES
from fer_core.job.broker import Broker, client, socket_url
from fer_core.job.lifecycle import create_job
from fer_core.tuning.state import Search, list_searches, load_state

TRIALS = {"random": 2000, "hyperband": 2000, "bayesian": 300}
BARS = {"random": 0.3, "hyperband": 0.3, "bayesian": 3.0}
"""Seconds, for each of ask and tell, alone."""
SETTINGS = {"recipe": "compact", "data": "sample", "confirm_top": 0, "stop_early": False}
PARTS = ("ask", "tell")
LONGEST_TRIALS = 2187
"""Epochs: so that one pass of Hyperband has more than 2,000 trials."""
_LAST = 0.95
"""The end of a search is its last twentieth; the first trials of its last tenth still meet those that are short."""

SLEEPS = (1.0, 20.0)
"""Seconds that a stub sleeps instead of training, and those in the last tenth of the search."""
KILL_SECONDS, LIMIT_SECONDS = 1.0, 3600

SPEEDUP_BAR, SPEEDUP_TRIALS = 1.7, 8
SPEEDUP_SEARCH = {
    "recipe": "quick",
    "data": "sample",
    "max_trials": SPEEDUP_TRIALS,
    "parallelism": 2,
    "confirm_top": 0,
    "stop_early": False,
    "space": ["learning_rate"],  # so that no trial has more to compute than another
    "settings": {"sample_per_class": 300, "epochs": 6, "threads": 1},
}


class Crowd:
    """So many light workers, forked from one process that has loaded what they need; kills only those."""

    def __init__(self, folder: Path, workers: int):
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["light_worker"])
        self.started = 0
        self.problems: list[str] = []
        self._workers = [self._start() for _ in range(workers)]

    def _start(self) -> multiprocessing.Process:
        import light_worker  # which wants the environment of the job server

        self.started += 1
        name = f"light{self.started}"
        arguments = (name, self._folder / name, SLEEPS)
        worker = self._context.Process(target=light_worker.run, args=arguments, name=name)
        worker.start()
        return worker

    def kill_one(self, chance: random.Random) -> None:
        """Kills a worker, wherever it is, and starts another one; also for one that has ended by itself."""
        victim = chance.choice(self._workers)
        for place, worker in enumerate(self._workers):
            if not worker.is_alive():
                self.problems.append(f"{worker.name} ended by itself: {worker.exitcode}")
            if worker is victim or not worker.is_alive():
                self._end(worker)
                self._workers[place] = self._start()

    def end(self) -> None:
        """Kills all that are left."""
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: multiprocessing.Process) -> None:
        worker.kill()
        worker.join()

    def noted(self, suffix: str) -> list[str]:
        """Returns all lines of one kind that the workers have noted; the last one of a killed worker may be torn."""
        return [line for path in self._folder.glob(f"light*{suffix}") for line in path.read_text().splitlines()]


def measured_by_itself(**search: object) -> dict:
    """Returns the figures of one search, measured in a process of its own; deletes what it leaves if it went well."""
    folder = Path(tempfile.mkdtemp(prefix="fer-scale-"))
    # With NumPy as its backend, Keras Tuner needs no TensorFlow. What forks the workers finds them by this path only.
    server = JobServer(folder, KERAS_BACKEND="numpy", PYTHONPATH=os.pathsep.join([str(ROOT), str(HERE)]))
    measure_it = "import json, sys, jobs_scale; jobs_scale.measure(sys.argv[1], **json.loads(sys.argv[2]))"
    command = [sys.executable, "-c", measure_it, str(folder), json.dumps(search)]
    with server.broker():
        subprocess.run(command, env=server.environment, check=True)
    figures = json.loads((folder / "figures.json").read_text()) | conditions()
    if figures["problems"]:
        print(f"See {folder}")
    else:
        shutil.rmtree(folder)
    return figures


def measure(folder: str, *, oracle: str, trials: int, workers: int) -> None:
    """Writes the figures of one search with a crowd of workers into its folder, whose job server this process has."""
    import light_worker

    place = Path(folder)
    server = JobServer(place, FER_BROKER_URL=os.environ["FER_BROKER_URL"])
    crowd, began = Crowd(place, workers), time.monotonic()
    try:
        longest = {"max_epochs": LONGEST_TRIALS} if oracle == "hyperband" else {}
        wanted = SETTINGS | longest | {"oracle": oracle, "max_trials": trials, "parallelism": workers}
        job = create_job(server.paths, "tune", wanted, environ=server.environment)
        Broker(server.paths, server.environment).send(job)
        search = job.search
        killed, megabytes = _until_over(search, server, crowd)
        seconds = time.monotonic() - began
        wait_until(lambda: not server.open_jobs(), seconds=180, what="the last jobs to end")
        wait_until(lambda: server.ended(search.id) is not None, seconds=60, what="the end to be told")
    finally:
        crowd.end()
    times = [json.loads(line) for line in crowd.noted(".times") if line.startswith("{") and line.endswith("}")]
    told = len(load_state(search).trials)
    late = [line for line in times if line["trial"] >= min(told * _LAST, told - 1)]
    at_work = {part: [line[part] for line in late if part in line] for part in PARTS}
    figures = {
        "oracle": oracle,
        "workers": workers,
        "told": told,
        "seconds": round(seconds, 1),
        "killed": killed,
        "broker_megabytes": megabytes,
        "problems": [*crowd.problems, *crowd.noted(".problems"), *_lost_or_doubled(search, server, times)],
        "at_work": {part: _of_the_lock(held) for part, held in at_work.items() if held},
        "alone": {part: _of_the_lock(held) for part, held in light_worker.alone(search, place / "alone").items()},
    }
    (place / "figures.json").write_text(json.dumps(figures))


def _until_over(search: Search, server: JobServer, crowd: Crowd) -> tuple[int, float]:
    """Waits for the search's end; returns how many workers it has killed, and the most memory of the broker in MB."""
    chance, killed, megabytes = random.Random(0), 0, 0.0
    deadline = time.monotonic() + LIMIT_SECONDS
    while (state := load_state(search)).status == "RUNNING":
        told = sum(entry.status != "RUNNING" for entry in state.trials)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{told} of {search.spec.max_trials} trials told in {LIMIT_SECONDS} s.")
        with client(socket_url(server.broker_socket)) as broker:
            megabytes = max(megabytes, broker.info("memory")["used_memory"] / 2**20)
        print(f"{told} trials told, {killed} workers killed", end="\r", flush=True)
        time.sleep(KILL_SECONDS)
        crowd.kill_one(chance)
        killed += 1
    return killed, round(megabytes, 2)


def _of_the_lock(seconds: list[float]) -> dict[str, float]:
    median, p95, most = np.quantile(seconds, (0.5, 0.95, 1)).tolist()
    return {"calls": len(seconds), "lock_median": median, "lock_p95": p95, "lock_most": most}


def _lost_or_doubled(search: Search, server: JobServer, times: list[dict]) -> list[str]:
    """Returns a sentence for each thing that is not as it must be."""
    trials = load_state(search).trials
    with client(socket_url(server.broker_socket)) as broker:
        waiting = sum(broker.llen(name) for name in QUEUES)
    checks = {
        f"{len(trials)} trials": len(trials) == search.spec.max_trials,
        "its end was not told": server.ended(search.id) is not None,
        f"{waiting} messages wait": waiting == 0,
        "the times of most trials are not known": len({line["trial"] for line in times}) > len(trials) / 2,
    }
    return [*search_problems(search), *(sentence for sentence, is_so in checks.items() if not is_so)]


def speedup() -> float:
    """Returns how many times sooner a search is over with two workers than with one, and prints the seconds of each."""
    with tempfile.TemporaryDirectory(prefix="fer-speedup-cache-") as cache:
        one, two = (_seconds_with(workers, cache) for workers in (1, 2))
    gain = f"{one / two:.2f} × (bar: {SPEEDUP_BAR} ×)"
    print(f"{SPEEDUP_TRIALS} trials: {one:.1f} s with one worker, {two:.1f} s with two: {gain}. {conditions()}")
    return one / two


def _seconds_with(workers: int, cache: str) -> float:
    with tempfile.TemporaryDirectory(prefix="fer-speedup-") as folder:
        server = JobServer(Path(folder), FER_CACHE_DIR=cache)
        server.start(workers)
        try:
            began = time.monotonic()
            server.call("tune", **SPEEDUP_SEARCH)
            (search,) = list_searches(server.paths)
            wait_until(lambda: load_state(search).status != "RUNNING", seconds=1800, what="the end of the search")
            seconds = time.monotonic() - began
            if problems := search_problems(search):
                raise RuntimeError("; ".join(problems))
        finally:
            server.stop()
    return seconds


def summary(result: dict) -> str:
    """Returns the figures of one search as they are printed: milliseconds under the lock, and what was lost."""
    lock = ", ".join(f"{part} {_milliseconds(result, part)}" for part in PARTS)
    head = f"{result['oracle']}: {result['told']:,} trials, {result['killed']:,} workers killed"
    lost = "; ".join(result["problems"]) or "none"
    tail = f"broker {result['broker_megabytes']} MB at most; lost or doubled: {lost}"
    return f"{head}, {result['seconds'] / 60:.1f} minutes; {lock}; {tail}"


def _milliseconds(result: dict, part: str) -> str:
    alone, at_work = result["alone"][part], result["at_work"][part]
    shown = (1000 * seconds for seconds in (alone["lock_median"], at_work["lock_median"], at_work["lock_p95"]))
    return "{:,.0f} ms alone, {:,.0f} ({:,.0f}) at work".format(*shown)


def main(
    what: tyro.conf.Positional[tuple[Literal["random", "hyperband", "bayesian", "speedup"], ...]] = tuple(TRIALS),
    trials: int | None = None,
    workers: int = 32,
    output: Path = HERE / "jobs_scale.json",
) -> None:
    """Measures what was chosen; exit code 1 where something was lost, doubled or too slow.

    Args:
        trials: 2,000 where it is not given, bayesian 300.
    """
    results, is_bad = [], False
    for one in what:
        if one == "speedup":
            is_bad |= speedup() < SPEEDUP_BAR
            continue
        result = measured_by_itself(oracle=one, trials=trials or TRIALS[one], workers=workers)
        print(summary(result), flush=True)
        longest = max(times["lock_median"] for times in result["alone"].values())
        is_bad |= bool(result["problems"]) or longest > BARS[one]
        results.append(result)
        output.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(is_bad)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

"""One search of the scale benchmark; `jobs_scale.py` starts it in a process that has the job server's environment.

python benchmarks/scale_search.py FOLDER OPTIONS_AS_JSON        # writes FOLDER/figures.json
"""

import json
import random
import shutil
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from crowd import Crowd
from job_server import JobServer, wait_until
from light_worker import Stopwatch, outcome_of

from fer_core.job.arguments import QUEUES
from fer_core.job.broker import Broker
from fer_core.job.lifecycle import create_job
from fer_core.store.runs import list_runs
<<<<<<< HEAD
from fer_core.tuning.state import Search, changing, load_state
from fer_core.tuning.trials import Fingerprints, ask, code_fingerprint, tell
from jobs.server import client
=======
from fer_core.tuning.asking import ask
from fer_core.tuning.fingerprints import Fingerprints, code_fingerprint
from fer_core.tuning.folder import Search
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.telling import tell
from jobs.machine import client
>>>>>>> cut-jobs

SETTINGS = {"recipe": "compact", "data": "sample", "confirm_top": 0, "stop_early": False}
LONGEST_TRIALS = 2187
"""Epochs: so that one pass of Hyperband has more than 2,000 trials."""
PARTS = ("ask", "tell", "next")
_ALONE = 5
_LAST = 0.95
"""The end of a search is its last twentieth; the first trials of its last tenth still meet those that are short."""


class Options(NamedTuple):
    """What is measured."""

    oracle: str
    trials: int
    workers: int
    trial_seconds: float
    last_seconds: float
    kill_every: float
    seed: int
    limit_minutes: float


def measure(folder: Path, options: Options) -> dict:
    """Returns the figures of one search with a crowd of workers."""
    server = JobServer(folder)
    crowd = Crowd(folder, size=options.workers, seconds=(options.trial_seconds, options.last_seconds))
    began = time.monotonic()
    try:
        search = _begun(server, options)
        broker = _until_over(search, server, crowd, options)
        seconds = time.monotonic() - began
        wait_until(lambda: not server.open_jobs(), seconds=180, what="the last jobs to end")
        wait_until(lambda: server.ended(search.id) is not None, seconds=60, what="the end to be told")
    finally:
        crowd.end()
    problems = [*crowd.problems, *crowd.noted(".problems"), *_lost_or_doubled(search, server, crowd.times())]
    trials = len(load_state(search).trials)
    return options._asdict() | {
        "told": trials,
        "seconds": round(seconds, 1),
        "killed": crowd.killed,
        "broker": [*broker, _broker(server, trials)],
        "at_work": _at_the_end(crowd.times(), trials),
        "problems": problems,
        "alone": _alone(search, folder),
    }


def _begun(server: JobServer, options: Options) -> Search:
    wanted = {"oracle": options.oracle, "max_trials": options.trials, "parallelism": options.workers}
    longest = {"max_epochs": LONGEST_TRIALS} if options.oracle == "hyperband" else {}
    job = create_job(server.paths, "tune", SETTINGS | wanted | longest, environ=server.environment)
    Broker(server.paths, server.environment).send(job)
    return job.search


def _until_over(search: Search, server: JobServer, crowd: Crowd, options: Options) -> list[dict]:
    """Waits for the search's end, killing workers meanwhile; returns the broker's memory at each quarter of it."""
    chance = random.Random(options.seed)
    points = [_broker(server, 0)]
    deadline = time.monotonic() + options.limit_minutes * 60
    while (state := load_state(search)).status == "RUNNING":
        told = sum(entry.status != "RUNNING" for entry in state.trials)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{told} of {options.trials} trials told in {options.limit_minutes:g} minutes.")
        if told >= options.trials * len(points) / 4:
            points.append(_broker(server, told))
            print(f"{options.oracle}: {told} trials told, {crowd.killed} workers killed", flush=True)
        time.sleep(options.kill_every)
        crowd.look()
        crowd.kill_one(chance)
    return points


def _broker(server: JobServer, told: int) -> dict:
    with client(server.broker_socket) as broker:
        return {
            "told": told,
            "megabytes": round(broker.info("memory")["used_memory"] / 2**20, 2),
            "keys": broker.dbsize(),
            "unacknowledged": broker.hlen("unacked"),
            "waiting": sum(broker.llen(name) for name in QUEUES),
        }


def _at_the_end(times: list[dict], trials: int) -> dict:
    """Returns seconds under the lock over the last trials, and of whole calls, which wait for the lock as well."""
    last = [line for line in times if line.get("trial", -1) >= trials * _LAST]
    calls = {part: [line[part] for line in last if part in line] for part in PARTS}
    return {part: _figures(found) for part, found in calls.items() if found}


def _figures(calls: list[tuple[float, float]]) -> dict[str, float]:
    held = sorted(seconds for _, seconds in calls)
    return {
        "calls": len(held),
        "lock_median": statistics.median(held),
        "lock_p95": held[max(0, int(len(held) * 0.95) - 1)],
        "lock_most": held[-1],
        "call_median": statistics.median(seconds for seconds, _ in calls),
    }


def _alone(search: Search, folder: Path) -> dict:
    """Returns the same for the last trial, asked for and told again and again with nobody else there."""
    watch = Stopwatch()
    watch.install()
    held: dict[str, list[float]] = {"ask": [], "tell": []}
    for number in range(_ALONE):
        copy = _before_last(search, folder / "alone" / str(number))
        watch.taken()
        asked = ask(copy, f"{copy.id}.s0.999999", metadata=Fingerprints("stub", code_fingerprint()))
        held["ask"].append(watch.taken())
        tell(copy, asked.entry.number, outcome_of(asked))
        held["tell"].append(watch.taken())
    return {part: {"lock_median": statistics.median(values), "lock_most": max(values)} for part, values in held.items()}


def _before_last(search: Search, folder: Path) -> Search:
    """Returns a copy of the search as it was before its last trial was asked for."""
    shutil.copytree(search.folder, folder / search.id)
    copy = Search(folder / search.id, search.paths)
    with changing(copy) as state:
        del state.entries[-1]
        state.status, state.winner, state.exhausted = "RUNNING", None, False
        state.waits_after = None
    return copy


def _lost_or_doubled(search: Search, server: JobServer, times: list[dict]) -> list[str]:
    """Returns a sentence for each thing that is not as it must be."""
    state = load_state(search)
    runs = [run.id for run in list_runs(server.paths) if run.manifest.parent == search.id]
    trials_by_job = Counter(entry.job for entry in state.entries)
    expected = {
        "the search succeeded": state.status == "SUCCEEDED",
        "as many trials as were asked for": len(state.trials) == search.spec.max_trials,
        "every trial is completed": all(entry.status == "COMPLETED" for entry in state.entries),
        "a run for each trial and none besides": sorted(runs) == sorted(entry.run for entry in state.entries),
        "no job has two trials": max(trials_by_job.values()) == 1,
        "its end was told": server.ended(search.id) is not None,
        "no message waits": _broker(server, 0)["waiting"] == 0,
        "the times of most trials are known": len({line.get("trial") for line in times}) > len(state.trials) / 2,
    }
    return [f"not so: {sentence}" for sentence, is_so in expected.items() if not is_so]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "figures.json").write_text(json.dumps(measure(place, Options(**json.loads(sys.argv[2])))))

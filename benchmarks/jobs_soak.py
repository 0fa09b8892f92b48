"""`make soak-jobs`: kills trainers, pool children, workers, scheduler and broker at random moments.

    python benchmarks/jobs_soak.py                       # 30 kills
    python benchmarks/jobs_soak.py --kills 5 --seed 7

Two real workers carry out searches and trainings on drawn faces, first undisturbed, then again and again under kills
with SIGKILL; what was killed is started again after up to three seconds, as a service manager does. Once the broker
also loses all that it has stored. Every job must end well, with the same bits as the undisturbed one: the weights,
checkpoint and history of each training and of each trial of a random search, by number. No trial may be lost or counted
twice, no run trained by two at once, no file left torn, no process left behind. Exit code 0 if all of it holds.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from job_server import BEAT, BROKER, JobServer
from soak_round import ROUND, Came, came_of, differences

from fer_core.job.lock import read_notes
from fer_core.tuning.state import list_searches, load_state

WORKERS = ("worker1", "worker2")
TARGETS = ("trainer", "pool child", "worker", BEAT, BROKER)
MOST_CRASHES = 2
"""After a third one in a row, without an epoch in between, a job fails, as it should."""
KILLS_A_ROUND = 12
_ROUND_SECONDS = 900


class Soak:
    """One job server, which is disturbed, or not."""

    def __init__(self, folder: Path, *, seed: int):
        self.server = JobServer(folder)
        self.server.start(BROKER, *WORKERS, BEAT)
        self.kills: list[str] = []
        self._chance = random.Random(seed)

    def round(self, *, kills: int, mean_seconds: float, loses_messages: bool = False) -> Came:
        """Sends a round of jobs, kills so many times at most until all have ended, and returns what they came to.

        Args:
            loses_messages: once, when all jobs are known, the broker also loses all that it has stored.
        """
        before = len(self.kills)
        sent = {name: self.server.call(task, **arguments) for name, (task, arguments) in ROUND.items()}
        deadline = time.monotonic() + _ROUND_SECONDS
        while not self._is_over(sent):
            if time.monotonic() > deadline:
                return Came(problems=[f"not over after {_ROUND_SECONDS} s: {self._still_open()}"])
            self._wait(self._chance.expovariate(1 / mean_seconds), sent)
            if loses_messages:
                self._lose_all_messages()
                loses_messages = False
            elif len(self.kills) - before < kills and not self._is_over(sent):
                self._kill_something()
        return came_of(self.server, sent)

    def _wait(self, seconds: float, sent: dict[str, str]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_over(sent):
            time.sleep(0.2)

    def _is_over(self, sent: dict[str, str]) -> bool:
        if self.server.open_jobs():
            return False
        ended = [self.server.ended(job_id) for job_id in sent.values()]
        searches = list_searches(self.server.paths)
        return all(ended) and all(load_state(search).status != "RUNNING" for search in searches)

    def _still_open(self) -> str:
        return ", ".join(f"{job.id} {job.status} attempt {job.notes.attempt}" for job in self.server.open_jobs())

    def _kill_something(self) -> None:
        # What was killed least, if there is one now: a trainer there is not always.
        targets = sorted(TARGETS, key=lambda target: (self.kills.count(target), self._chance.random()))
        target, victims = next((target, found) for target in targets if (found := self._victims(target)))
        name, kill = self._chance.choice(victims)
        with contextlib.suppress(psutil.NoSuchProcess):
            kill()
        self.kills.append(target)
        print(f"{len(self.kills):>4}  {name}", flush=True)
        if name in (*WORKERS, BEAT, BROKER):
            self._wait_short()
            self.server.start(name)

    def _victims(self, target: str) -> list[tuple[str, Callable[[], None]]]:
        if target == "trainer":
            return [
                (f"trainer {process.pid}", process.kill) for process in self.server.trainers() if self._may(process)
            ]
        if target == "pool child":
            return [(f"pool child {process.pid}", process.kill) for process in self.server.pool_children()]
        if target == "worker":
            return [(name, lambda name=name: self.server.kill(name)) for name in self.server.workers()]
        return [(target, lambda: self.server.kill(target))]

    def _may(self, trainer: psutil.Process) -> bool:
        """A process whose job has crashed twice in a row is spared: a third time would rightly fail it."""
        try:
            words = " ".join(trainer.cmdline())
        except psutil.Error:
            return False
        jobs = [job for job in self.server.open_jobs() if job.id in words]
        locks = [path for job in jobs for path in (job.lock, *job.folder.glob(".slot*.lock"))]
        return all(read_notes(path).crashes < MOST_CRASHES for path in locks)

    def _lose_all_messages(self) -> None:
        """Kills the broker and deletes what it has stored."""
        self.server.kill(BROKER)
        self.server.forget_messages()
        self._wait_short()
        self.server.start(BROKER)
        print("      the broker, with all that it had stored", flush=True)

    def _wait_short(self) -> None:
        time.sleep(self._chance.uniform(0, 3))

    def end(self) -> list[str]:
        """Stops everything and returns what did not stop as it should."""
        codes = self.server.stop()
        time.sleep(1)
        left = [f"left behind: {process.pid} {process.name()}" for process in self.server.left_over()]
        return [*left, *(f"{name} ended with {code}" for name, code in codes.items() if code != 0)]


def soak(folder: Path, *, kills: int, seed: int, mean_seconds: float) -> int:
    """Kills so often, prints a line for each kill and round, and returns how many rounds were not as they must be."""
    reference = Soak(folder / "undisturbed", seed=seed)
    began = time.monotonic()
    expected = reference.round(kills=0, mean_seconds=mean_seconds)
    problems = [*expected.problems, *reference.end()]
    print(
        f"Seed {seed}. Undisturbed: {len(expected.runs)} trainings compared, {time.monotonic() - began:.0f} s a round."
    )
    if problems:
        print(*problems, sep="\n")
        return 1
    return disturbed(folder, expected, kills=kills, seed=seed, mean_seconds=mean_seconds)


def disturbed(folder: Path, expected: Came, *, kills: int, seed: int, mean_seconds: float) -> int:
    """Goes on with rounds until there were so many kills; in the second round the broker loses everything as well."""
    soaked = Soak(folder / "disturbed", seed=seed)
    number = failed = 0
    while len(soaked.kills) < kills:
        number += 1
        began = time.monotonic()
        most = min(KILLS_A_ROUND, kills - len(soaked.kills))
        came = soaked.round(kills=most, mean_seconds=mean_seconds, loses_messages=number == 2)
        problems = list(differences(came, expected))
        failed += bool(problems)
        text = "; ".join(problems) or "all the same as undisturbed"
        print(f"Round {number}: {text} ({time.monotonic() - began:.0f} s)", flush=True)
        if problems:
            break
    left = soaked.end()
    print(*left, sep="\n", end="\n" if left else "")
    counts = ", ".join(f"{soaked.kills.count(target)} {target}" for target in TARGETS)
    print(f"{len(soaked.kills)} kills ({counts}) in {number} rounds.")
    print(f"{number - failed} passed, {failed + bool(left)} failed")
    return failed + bool(left)


def main() -> None:
    """Reads the command line. Keeps the folders where something failed, and says where they are."""
    options = parse_options()
    folder = Path(tempfile.mkdtemp(prefix="fer-jobs-soak-"))
    for name in ("undisturbed", "disturbed"):
        (folder / name).mkdir()
    failed = soak(folder, kills=options.kills, seed=options.seed, mean_seconds=options.mean_seconds)
    if failed:
        again = f"python benchmarks/jobs_soak.py --kills {options.kills} --seed {options.seed}"
        print(f"See {folder}, and again with: {again}")
    else:
        shutil.rmtree(folder)
    sys.exit(bool(failed))


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--mean-seconds", type=float, default=8.0, help="between two kills")
    return parser.parse_args()


if __name__ == "__main__":
    main()

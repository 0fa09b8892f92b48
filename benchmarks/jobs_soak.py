"""`make soak-jobs`: kills trainers, pool children, workers, scheduler and broker at random moments.

    python benchmarks/jobs_soak.py                       # 30 kills
    python benchmarks/jobs_soak.py --kills 5 --seed 7

`python -m jobs up` with two workers carries out searches, trainings and a study on drawn faces, first undisturbed, then
again and again under kills with SIGKILL; it starts again itself what was killed. Once the broker also loses all that it
has stored. Every job must end well, with the same bits as the undisturbed one: the weights, checkpoint and history of
each training and of each trial of a random search, by number, and the tables of the study. No trial may be lost or
counted twice, no run trained by two at once, no file left torn, no process left behind. Exit code 0 if all of it holds.
"""

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import psutil
import tyro
from harness import chance_seed, soaking
from job_server import BEAT, BROKER, JobServer, search_problems, wait_until
from kills import leftovers, outcome, torn_files

from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.errors import FerError
from fer_core.locks import read_notes
from fer_core.store.files import file_sha256
from fer_core.store.run import Run, read_metrics
from fer_core.store.runs import open_run
from fer_core.tuning.state import Search, list_searches, load_state
from jobs.machine import answers

_SETTINGS = {"sample_per_class": 40, "batch_size": 16, "epochs": 8, "threads": 1, "devices": "cpu"}
_SETTINGS |= {"rotation": 15, "shift": 0.1, "flip": True, "contrast": 0.2, "class_weights": "balanced"}
_SEARCH = {"recipe": "smoke", "data": "sample", "settings": _SETTINGS | {"epochs": 4}}
_SEARCH |= {"keep_top_k": 100}
ROUND = {
    "train": ("train", {"recipe": "smoke", "data": "sample"} | _SETTINGS),
    "random": ("tune", _SEARCH | {"max_trials": 4, "stop_early": False, "confirm_top": 1}),
    "hyperband": ("tune", _SEARCH | {"oracle": "hyperband", "max_epochs": 4, "max_trials": 6, "confirm_top": 0}),
}
"""By name: each task with its arguments."""
VIDEOS, VIDEO_SECONDS, VIDEO_RATE = 8, 12, 10
COMPARED = "random"
"""Which search has the same trials in whatever order they end."""


WORKERS = 2
TARGETS = ("trainer", "pool child", "worker", BEAT, BROKER)
MOST_CRASHES = 2
"""After a third one in a row, without an epoch in between, a job fails, as it should."""
KILLS_A_ROUND = 12
_ROUND_SECONDS = 900


@dataclass
class RoundResult:
    """What a round came to: what must be as in the undisturbed one, by name, and what is wrong in itself."""

    found: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Soak:
    """One job server, which is disturbed, or not."""

    def __init__(self, folder: Path, *, seed: int):
        folder.mkdir()
        self._jobs = ROUND | {
            "study": ("read", {"source": str(make_recordings(folder / "recordings")), "model": "tiny"})
        }
        self.server = JobServer(folder)
        self.server.start(WORKERS)
        self.kills: list[str] = []
        self._chance = random.Random(seed)

    def round(self, *, kills: int, mean_seconds: float, loses_messages: bool = False) -> RoundResult:
        """Sends a round of jobs, kills so many times at most until all have ended, and returns what they came to.

        Args:
            loses_messages: once, when all jobs are known, the broker also loses all that it has stored.
        """
        most = len(self.kills) + kills
        wait_until(lambda: answers(self.server.broker_socket), seconds=120, what="the broker to run again")
        sent = {name: self.server.call(task, **arguments) for name, (task, arguments) in self._jobs.items()}
        deadline, next_kill = time.monotonic() + _ROUND_SECONDS, self._next_kill(mean_seconds)
        while not self._is_over(sent):
            if time.monotonic() > deadline:
                still = (f"{job.id} {job.status} attempt {job.notes.attempt}" for job in self.server.open_jobs())
                return RoundResult(problems=[f"not over after {_ROUND_SECONDS} s: {', '.join(still)}"])
            if time.monotonic() > next_kill and (loses_messages or len(self.kills) < most):
                if loses_messages:
                    loses_messages = not self._lose_all_messages()
                else:
                    self._kill_something()
                next_kill = self._next_kill(mean_seconds)
            time.sleep(0.2)
        return result_of(self.server, sent)

    def _next_kill(self, mean_seconds: float) -> float:
        return time.monotonic() + self._chance.expovariate(1 / mean_seconds)

    def _is_over(self, sent: dict[str, str]) -> bool:
        if self.server.open_jobs():
            return False
        ended = [self.server.ended(job_id) for job_id in sent.values()]
        searches = list_searches(self.server.paths)
        return all(ended) and all(load_state(search).status != "RUNNING" for search in searches)

    def _kill_something(self) -> None:
        # What was killed least, if there is one now: a trainer there is not always.
        for target in sorted(TARGETS, key=lambda target: (self.kills.count(target), self._chance.random())):
            if victims := self._victims(target):
                victim = self._chance.choice(victims)
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
                self.kills.append(target)
                print(f"{len(self.kills):>4}  {target} {victim.pid}", flush=True)
                return

    def _victims(self, target: str) -> list[psutil.Process]:
        if target == "trainer":
            return [process for process in self.server.trainers() if self._may(process)]
        if target == "pool child":
            return self.server.pool_children()
        parts = self.server.parts()
        return [process for name, process in parts.items() if target == name or (target == "worker" and "cpu" in name)]

    def _may(self, trainer: psutil.Process) -> bool:
        """A process whose job has crashed twice in a row, or a file of whose has, is spared: it would rightly fail."""
        try:
            words = " ".join(trainer.cmdline())
        except psutil.Error:
            return False
        jobs = [job for job in self.server.open_jobs() if job.id in words]
        locks = [path for job in jobs for path in (job.lock, *job.folder.glob(".slot*.lock"))]
        parts = [path for job in jobs for path in job.folder.glob("parts/*.lock")]
        is_hit = any(notes.deaths for path in parts if (notes := read_notes(path)).pid == trainer.pid)
        return not is_hit and all(read_notes(path).crashes < MOST_CRASHES for path in locks)

    def _lose_all_messages(self) -> bool:
        """Kills the broker and deletes what it has stored; returns whether there was one to kill."""
        broker = self.server.parts().get(BROKER)
        if broker is None:
            return False
        broker.kill()
        broker.wait()
        shutil.rmtree(self.server.paths.state / "redis" / "appendonlydir", ignore_errors=True)
        print("      the broker, with all that it had stored", flush=True)
        return True

    def end(self) -> list[str]:
        """Stops everything and returns what did not stop as it should."""
        code = self.server.stop()
        left = [f"left behind: {process.pid} {process.name()}" for process in self.server.left_over()]
        return [*left, *([f"`jobs up` ended with {code}"] if code else [])]


def result_of(server: JobServer, sent: dict[str, str]) -> RoundResult:
    """Returns what the jobs of a round came to, all of which have ended.

    Args:
        sent: their ids, by name.
    """
    result = RoundResult(problems=[*torn_files(server.paths), *leftovers(server.paths)])
    for name, job_id in sent.items():
        job = server.ended(job_id)
        if job.end.status != "SUCCEEDED":
            result.problems.append(f"{name} is {job.end.status}: {job.end.message}")
        elif job.study is not None:
            tables = [*sorted((job.folder / "readings").iterdir()), job.folder / "people.csv"]
            result.found |= {f"{name} {path.name}": file_sha256(path) for path in tables}
        elif job.search is None:
            _note_run(job.run, name, result)
        else:
            _note_search(job.search, name, result)
    return result


def differences(result: RoundResult, expected: RoundResult) -> Iterator[str]:
    """Gives a sentence for each thing that is not as in the undisturbed round."""
    yield from result.problems
    for name, value in expected.found.items():
        if result.found.get(name) != value:
            yield f"{name} is missing, or is not as undisturbed"


def make_recordings(folder: Path) -> Path:
    """Makes small videos in which a drawn face moves, and returns their folder."""
    folder.mkdir()
    for number in range(VIDEOS):
        face = draw_face(SAMPLE_LABELS[number % len(SAMPLE_LABELS)], np.random.default_rng(number), side=160)
        with av.open(str(folder / f"{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=VIDEO_RATE)
            stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
            for place in range(VIDEO_SECONDS * VIDEO_RATE):
                picture = np.full((300, 400), 128, np.uint8)
                picture[60:220, 100 + place % 20 : 260 + place % 20] = face
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
            container.mux(stream.encode())
    return folder


def _note_search(search: Search, name: str, result: RoundResult) -> None:
    completed = [entry for entry in load_state(search).entries if entry.status == "COMPLETED"]
    result.found[f"{name}: trainings"] = len(completed)
    result.problems += [f"{name}: {sentence}" for sentence in search_problems(search)]
    compared = result if name == COMPARED else RoundResult(problems=result.problems)
    for entry in completed:
        _note_run(open_run(search.paths, entry.run), f"{name} {entry.number}", compared)


def _note_run(run: Run, name: str, result: RoundResult) -> None:
    attempts = [line["attempt"] for line in read_metrics(run.metrics_jsonl) if line["kind"] == "epoch"]
    if attempts != sorted(attempts):
        result.problems.append(f"run {run.id} was trained by two at once: attempts {attempts}")
    try:
        result.found |= {f"{name}: {part}": value for part, value in vars(outcome(run)).items()}
    except (OSError, KeyError, FerError) as error:
        result.problems.append(f"run {run.id}: {error!r}")


def main(kills: int = 30, seed: int | None = None, mean_seconds: float = 8.0) -> None:
    """Compares an undisturbed round with rounds under so many kills, and prints a line for each kill and round.

    In the second round the broker loses all that it has stored as well. Keeps the folders where something failed.

    Args:
        seed: by chance where it is not given.
        mean_seconds: between two kills.
    """
    seed = chance_seed() if seed is None else seed
    with soaking(f"jobs_soak.py --kills {kills} --seed {seed}") as (folder, problems):
        undisturbed, began = Soak(folder / "undisturbed", seed=seed), time.monotonic()
        expected = undisturbed.round(kills=0, mean_seconds=mean_seconds)
        problems += [*expected.problems, *undisturbed.end()]
        seconds = time.monotonic() - began
        print(f"Seed {seed}. Undisturbed: {len(expected.found)} things compared, {seconds:.0f} s a round.")
        disturbed, number = Soak(folder / "disturbed", seed=seed), 0
        while not problems and len(disturbed.kills) < kills:
            number, began = number + 1, time.monotonic()
            most = min(KILLS_A_ROUND, kills - len(disturbed.kills))
            result = disturbed.round(kills=most, mean_seconds=mean_seconds, loses_messages=number == 2)
            problems += differences(result, expected)
            text = "; ".join(problems) or "all the same as undisturbed"
            print(f"Round {number}: {text} ({time.monotonic() - began:.0f} s)", flush=True)
        problems += disturbed.end()
        counts = ", ".join(f"{disturbed.kills.count(target)} {target}" for target in TARGETS)
        print(f"{len(disturbed.kills)} kills ({counts}) in {number} rounds.")
    print(f"{number} passed, 0 failed")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

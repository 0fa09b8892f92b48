"""`make soak`: kills a training at random moments, resumes it, and compares what it comes to, bit by bit.

    python benchmarks/soak.py                    # 20 kills
    python benchmarks/soak.py --kills 3 --seed 7
    python benchmarks/soak.py --distilled        # a residual network with all ingredients, which learns from another

The training has everything that could make a resumed one differ: dropout, augmentation, Adam, class weights, early
stopping, and bfloat16 where the machine has it. Half of the kills come by the clock, half just before a random system
call of those that put files in place, so that saving, export and promotion get their share. After every kill all files
under final names must be whole; some resumed trainings are killed again. Exit code 0 if all came to the same.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import tyro
from harness import ROOT, chance_seed, soaking
from kills import KilledAtCall, Outcome, leftovers, only_run, outcome, torn_files

from fer_core.paths import Paths
from fer_core.store.promotion import current

SETTINGS = (
    *("--data=sample", "--sample-per-class=40", "--recipe=smoke", "--batch-size=16", "--epochs=8", "--devices=cpu"),
    *("--rotation=15", "--shift=0.1", "--flip", "--contrast=0.2", "--brightness=0.1"),
    *("--class-weights=balanced", "--early-stopping-patience=3"),
)
DISTILLED = (
    *("--data=sample", "--sample-per-class=20", "--network=resnet", "--batch-size=16", "--epochs=6", "--devices=cpu"),
    *("--network-options.filters", "4", "8", "--network-options.blocks", "1", "1"),
    *("--network-options.strides", "2", "2", "--network-options.head=0", "--network-options.stem=4"),
    *("--network-options.stochastic-depth=0.2", "--optimizer=sgd", "--weight-decay=0.001", "--schedule=one_cycle"),
    *("--warmup-epochs=1", "--learning-rate=0.05", "--keep=last", "--ema=0.9", "--mixup=0.4", "--rotation=10"),
    *("--crop=44", "--erasing=0.3", "--camera=0.3", "--annealing=0.5", "--eight-bit"),
    *("--progressive-sizes", "24", "32"),
    *("--teacher-views=4",),
)
_KILLED_AGAIN = 0.3
"""The share of the kills that are followed by another one while the run is resumed."""
_LONGEST_SECONDS = 300


class Moment(NamedTuple):
    """When a training is killed: before a call such as replace:17, or so long after it has printed a line."""

    call: str | None = None
    seconds: float | None = None
    line: str = "Training "
    """How the line begins; the first of a training in Keras by default."""

    def __str__(self) -> str:
        return f"before {self.call}" if self.call else f"after {self.seconds:.2f} s"


NEVER = Moment()


class Ended(NamedTuple):
    """How a process ended: its exit status (minus the signal that took it) and all that it printed."""

    status: int
    output: str

    def __str__(self) -> str:
        return f"exit code {self.status}: {' / '.join(self.output.strip().splitlines()[-3:])}"


class Reference(NamedTuple):
    """The training that nobody interrupts; `seconds` from its beginning in Keras to its end."""

    outcome: Outcome
    calls: list[str]
    seconds: float


class Verdict(NamedTuple):
    """What came of one kill; `problems` is empty if nothing was lost."""

    kills: int  # how many of the moments came before the training had ended by itself
    epoch: int  # the last one that was finished before the last kill
    problems: list[str]


class Soak:
    """Trains in folders of its own, each with the same settings."""

    def __init__(self, scratch: Path, settings: Sequence[str] = SETTINGS):
        self._scratch, self._settings = scratch, settings
        self._killer = KilledAtCall(scratch)
        others = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self._environment = others | {"FER_CACHE_DIR": str(scratch / "cache"), "TF_CPP_MIN_LOG_LEVEL": "2"}

    def paths(self, name: str) -> Paths:
        """Returns where the training of that name keeps its files."""
        folder = self._scratch / name
        return Paths.from_environment(self._environment, models=folder / "models", history=folder / "history")

    def train(self, name: str, *arguments: str, moment: Moment = NEVER, log_calls: bool = False) -> Ended:
        """Runs the script in its own process until it ends or the moment comes; SIGABRT ends one that hangs."""
        paths = self.paths(name)
        command = [sys.executable, ROOT / "train_emotion_model.py", *arguments]
        command += [f"--models-dir={paths.models}", f"--history-dir={paths.history}"]
        environment = self._killer.environment(self._environment, None if log_calls else moment.call or "never")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        with subprocess.Popen(command, env=environment, **pipes) as process:
            timers = [threading.Timer(_LONGEST_SECONDS, process.send_signal, [signal.SIGABRT])]
            timers[0].start()
            output = ""
            for line in process.stdout:
                output += line
                if moment.seconds is not None and len(timers) == 1 and line.startswith(moment.line):
                    timers.append(threading.Timer(moment.seconds, process.kill))
                    timers[1].start()
        for timer in timers:
            timer.cancel()
        return Ended(process.returncode, output)

    def distilled(self) -> "Soak":
        """Returns one whose training learns from a model that is trained now. Raises RuntimeError if that fails."""
        _must_succeed(self.train("teacher", *SETTINGS))
        teacher = only_run(self.paths("teacher")).model_h5
        return Soak(self._scratch, (*DISTILLED, f"--teacher={teacher}"))

    def reference(self) -> Reference:
        """Trains without interruption. Raises RuntimeError with what the script said if it fails."""
        _must_succeed(self.train("cache", *self._settings, "--audit-only"))  # decodes the images, for all that follow
        _must_succeed(self.train("reference", *self._settings, log_calls=True))
        run = only_run(self.paths("reference"))
        began, ended = (datetime.fromisoformat(text) for text in (run.state.started_utc, run.state.finished_utc))
        return Reference(outcome(run), self._killer.logged_calls(), (ended - began).total_seconds())

    def kill_and_resume(self, name: str, moments: Sequence[Moment], expected: Outcome) -> Verdict:
        """Trains, kills at each of the moments in turn, resumes to the end, and says what is not as it should be."""
        problems, kills, epoch = [], 0, 0
        for moment in moments:
            ended = self.train(name, *self._next_step(name), moment=moment)
            kills += ended.status == -signal.SIGKILL
            problems += [] if ended.status in (-signal.SIGKILL, 0) else [str(ended)]
            problems += torn_files(self.paths(name))
            run = only_run(self.paths(name))
            epoch = run.state.epoch if run else 0
        ended = self.train(name, *self._next_step(name))
        problems += [str(ended)] if ended.status else self._differences(name, expected)
        return Verdict(kills, epoch, problems)

    def _next_step(self, name: str) -> Sequence[str]:
        """What a person would type: --resume RUN_ID, or the whole command again where no run has been made yet."""
        run = only_run(self.paths(name))
        return ["--resume", run.id] if run else self._settings

    def _differences(self, name: str, expected: Outcome) -> list[str]:
        paths = self.paths(name)
        run = only_run(paths)
        found = outcome(run)
        differences = [part for part in vars(expected) if getattr(found, part) != getattr(expected, part)]
        # A model of drawn faces does not take the place of one of photographs: so it is as in the reference.
        is_in_use, was_in_use = (current(each) is not None for each in (paths, self.paths("reference")))
        return [
            *(f"another {part}" for part in differences),
            *torn_files(paths),
            *(f"left behind: {path}" for path in leftovers(paths)),
            *([] if run.state.status == "SUCCEEDED" else [f"status {run.state.status}"]),
            *([] if is_in_use == was_in_use else [f"in use: {is_in_use}, undisturbed: {was_in_use}"]),
        ]


def random_moments(chance: random.Random, reference: Reference) -> Iterator[tuple[Moment, ...]]:
    """Gives the moments of one kill after the other: by the clock and by a call in turn, now and then two."""
    while True:
        by_clock = Moment(seconds=round(chance.uniform(0, reference.seconds), 3))
        for first in (by_clock, Moment(call=chance.choice(reference.calls))):
            again = Moment(seconds=round(chance.uniform(0, reference.seconds / 2), 3))
            yield (first, again) if chance.random() < _KILLED_AGAIN else (first,)


def _must_succeed(ended: Ended) -> None:
    if ended.status:
        raise RuntimeError(str(ended))


def main(kills: int = 20, seed: int | None = None, distilled: bool = False) -> None:
    """Kills so many trainings and prints a line for each; keeps the folders of those that did not come to the same.

    Args:
        seed: by chance where it is not given.
        distilled: all ingredients, and learning from another model.
    """
    seed = chance_seed() if seed is None else seed
    number = failed = 0
    with soaking(f"soak.py --kills {kills} --seed {seed}{' --distilled' if distilled else ''}") as (scratch, problems):
        training = Soak(scratch).distilled() if distilled else Soak(scratch)
        reference = training.reference()
        print(f"Seed {seed}. Uninterrupted: {len(reference.outcome.history)} epochs in {reference.seconds:.1f} s.")
        print(f"{'kill':>4}  {'killed':<42}{'epoch':>5}  {'weights, checkpoint, history':<36}seconds", flush=True)
        moments = random_moments(random.Random(seed), reference)
        while number < kills:
            began, chosen = time.monotonic(), next(moments)
            name = f"kill_{number + 1}"
            verdict = training.kill_and_resume(name, chosen, reference.outcome)
            number += bool(verdict.kills or verdict.problems)
            failed += bool(verdict.problems)
            problems += verdict.problems
            text = "; ".join(verdict.problems)
            text = text or ("identical" if verdict.kills else "ended before the kill: not counted")
            when = ", again ".join(map(str, chosen))
            print(f"{number:>4}  {when:<42}{verdict.epoch:>5}  {text:<36}{time.monotonic() - began:7.1f}", flush=True)
            if not verdict.problems:
                shutil.rmtree(scratch / name)
        print(f"{kills - failed} passed, {failed} failed")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)

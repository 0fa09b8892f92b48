"""Many light workers as processes, of which one is killed and replaced now and then."""

import json
import multiprocessing
import random
from multiprocessing.process import BaseProcess
from pathlib import Path

import light_worker


class Crowd:
    """So many workers, forked from one process that has loaded what they need; kills only those."""

    def __init__(self, folder: Path, *, size: int, seconds: tuple[float, float]):
        self._folder = folder
        self._seconds = seconds
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["light_worker"])
        self.started = self.killed = 0
        self.problems: list[str] = []
        self._workers = [self._start() for _ in range(size)]

    def _start(self) -> BaseProcess:
        self.started += 1
        name = f"light{self.started}"
        worker = self._context.Process(
            target=light_worker.run,
            args=(name, self._folder / name),
            kwargs={"seconds": self._seconds},
            name=name,
        )
        worker.start()
        return worker

    def kill_one(self, chance: random.Random) -> None:
        """Kills a worker with SIGKILL, wherever it is, and starts another one."""
        place = chance.randrange(len(self._workers))
        self._workers[place].kill()
        self._workers[place].join()
        self._workers[place] = self._start()
        self.killed += 1

    def look(self) -> None:
        """Replaces those that have ended by themselves, which none should, and notes it."""
        for place, worker in enumerate(self._workers):
            if not worker.is_alive():
                self.problems.append(f"{worker.name} ended by itself: {worker.exitcode}")
                self._workers[place] = self._start()

    def end(self) -> None:
        """Kills all that are left."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join()

    def times(self) -> list[dict]:
        """Returns what the workers have noted, a line for each trial; the last line of a killed one may be torn."""
        return [json.loads(line) for line in self.noted(".times") if line.startswith("{") and line.endswith("}")]

    def noted(self, suffix: str) -> list[str]:
        """Returns all lines of one kind that the workers have noted."""
        return [line for path in self._folder.glob(f"light*{suffix}") for line in path.read_text().splitlines()]

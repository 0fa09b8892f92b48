"""The two sides of the benchmark: runs ours or the plain script in a process of its own and reads what it left."""

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil
from rich.console import Console

HERE = Path(__file__).parent
ROOT = HERE.parent

Epoch = dict[str, float]
"""epoch, images_per_second, val_accuracy; since_start in seconds from the start of the process."""


@dataclass(frozen=True)
class Bench:
    """Where the data lies and where the processes may write."""

    archive: Path
    unpacked: Path
    scratch: Path
    console: Console

    @property
    def cache(self) -> Path:
        """Of decoded images, shared by our runs."""
        return self.scratch / "cache"

    def fresh_cache(self) -> Path:
        """Returns an empty one, for a run that shall decode the archive itself."""
        return self.fresh_folder("cache")

    def fresh_folder(self, purpose: str) -> Path:
        """Returns a new folder."""
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.scratch))


def prepare(archive: Path, scratch: Path, console: Console) -> Bench:
    """Returns the bench, with the archive unpacked for the plain script. Ends the program if there is no archive."""
    if not archive.is_file():
        sys.exit(f"There is no {archive}.\nGive FER-2013 as a zip with train/ and test/: --data archive.zip")
    unpacked = scratch / "unpacked"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(unpacked)
    train = next(unpacked.rglob("train"))
    return Bench(archive.resolve(), train.parent, scratch, console)


def train_ours(
    bench: Bench,
    recipe: str,
    flags: list[str],
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    cache: Path | None = None,
) -> list[Epoch]:
    """Returns the epochs of a run of train_emotion_model.py."""
    folder = bench.fresh_folder("ours")
    command = ["train_emotion_model.py", "--data", bench.archive, "--recipe", recipe]
    command += [
        "--validation",
        "test",
        "--no-promote",
        "--models-dir",
        folder / "models",
        "--history-dir",
        folder / "history",
    ]
    if epochs:
        command += ["--epochs", epochs]
    if batch_size:
        command += ["--batch-size", batch_size]
    began = _run(bench, [*command, *flags], cache=cache or bench.cache)
    return read_our_epochs(folder, began=began)


def read_our_epochs(folder: Path, *, began: float) -> list[Epoch]:
    """Returns the rows of the one history CSV, each with the time at which metrics.jsonl has its epoch."""
    history = next((folder / "history").glob("*.csv")).read_text(encoding="utf-8").splitlines()
    metrics = next((folder / "models").glob("runs/*/metrics.jsonl")).read_text(encoding="utf-8").splitlines()
    entries = [entry for entry in map(json.loads, metrics) if entry["kind"] == "epoch"]
    written = {entry["epoch"]: datetime.fromisoformat(entry["time"]).timestamp() for entry in entries}
    rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(history)]
    return [row | {"since_start": written[row["epoch"]] - began} for row in rows]


def train_plain(bench: Bench, network: str, *, epochs: int, batch_size: int, stop_at: float = 2.0) -> list[Epoch]:
    """Returns the epochs of a run of plain_keras.py."""
    log = bench.fresh_folder("plain") / "log.jsonl"
    command = [HERE / "plain_keras.py", "--data", bench.unpacked, "--network", network, "--epochs", epochs]
    _run(bench, [*command, "--batch-size", batch_size, "--stop-at", stop_at, "--log", log], cache=bench.cache)
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def first_batch(bench: Bench, side: str) -> float:
    """Returns the seconds from the call that loads the data to the first batch, in a process of its own."""
    data = bench.archive if side == "ours" else bench.unpacked
    command = [sys.executable, HERE / "first_batch.py", side, data]
    ended = subprocess.run(
        command, env=_environment(bench.cache), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    seconds = float(ended.stdout.split()[-1])
    bench.console.print(f"{side}: {seconds:.3f} s")
    return seconds


def tiny_latency(bench: Bench) -> dict[str, float]:
    """Returns milliseconds for a face by form of the network `tiny`, measured in a process of its own."""
    command = [sys.executable, HERE / "tiny_latency.py"]
    ended = subprocess.run(
        command, env=_environment(bench.cache), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(ended.stdout.splitlines()[-1])


def processor() -> str:
    """Returns the name of the CPU, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _run(bench: Bench, arguments: list, *, cache: Path) -> float:
    """Runs a python script from the root of the project; returns when it began. Its output goes to the terminal."""
    command = [sys.executable, *map(str, arguments)]
    bench.console.print(" ".join(command[1:]), style="dim", soft_wrap=True)
    process = subprocess.Popen(command, env=_environment(cache), cwd=ROOT)
    began = psutil.Process(process.pid).create_time()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return began


def _environment(cache: Path) -> dict[str, str]:
    return os.environ | {"FER_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}

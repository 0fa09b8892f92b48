"""What the benchmarks share: data, scratch folders, and processes of ours and of a peer, each measured by itself."""

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
from functools import cached_property
from pathlib import Path

import psutil
from rich.console import Console

HERE = Path(__file__).parent
ROOT = HERE.parent
TEST_DATA = Path(os.environ.get("FER_TEST_DATA") or ROOT.parent / "shared" / "data")
YUNET = "face_detection_yunet_2026may.onnx"
SHIPPED = ROOT / "models" / "shipped" / "best" / "model.h5"

Epoch = dict[str, float]
"""epoch, images_per_second, val_accuracy; since_start in seconds from the start of the process."""
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Bench:
    """Where the data lies and where the processes may write."""

    archive: Path
    """FER-2013 as a zip; beside it lie faces/ and YuNet's file."""
    scratch: Path
    console: Console

    @property
    def data(self) -> Path:
        """The folder with faces/ and YuNet's file."""
        return self.archive.parent

    @property
    def cache(self) -> Path:
        """Of decoded images, shared by our runs."""
        return self.scratch / "cache"

    @cached_property
    def unpacked(self) -> Path:
        """The archive as the plain script takes it: a folder with train/ and test/."""
        with zipfile.ZipFile(self.archive) as packed:
            packed.extractall(self.scratch / "unpacked")
        return next((self.scratch / "unpacked").rglob("train")).parent

    def fresh_folder(self, purpose: str) -> Path:
        """Returns a new folder."""
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.scratch))


def row(name: str, ours: float, plain: float | None = None, *, bar: str, met: bool, less_is_better=False) -> dict:
    """Returns a row of the tables, with the ratio to the peer where there is one."""
    ratio = None if plain is None else plain / ours if less_is_better else ours / plain
    return {"name": name, "ours": ours, "plain": plain, "ratio": ratio, "bar": bar, "met": met}


def measured(console: Console, *arguments: object, prefix: tuple = (), cache: Path | None = None) -> dict:
    """Returns the JSON object that a Python program prints last, run in a process of its own."""
    command = [*prefix, sys.executable, *map(str, arguments)]
    environment = _environment(cache) if cache else None
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    last_line = ended.stdout.splitlines()[-1]
    console.print(f"{' '.join(Path(part).name for part in command[len(prefix) + 1 :])}: {last_line}", markup=False)
    return json.loads(last_line)


def train_ours(bench: Bench, recipe: str, *flags: str, epochs: int | None = None, cache: Path) -> list[Epoch]:
    """Returns the epochs of a run of train_emotion_model.py."""
    folder = bench.fresh_folder("ours")
    command = ["train_emotion_model.py", "--data", bench.archive, "--recipe", recipe, "--validation", "test"]
    command += ["--no-promote", "--models-dir", folder / "models", "--history-dir", folder / "history"]
    command += ["--epochs", epochs] if epochs else []
    return read_our_epochs(folder, began=_run(bench, [*command, *flags], cache=cache))


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


def machine() -> str:
    """Returns what a benchmark was measured on, as its table says it."""
    return f"{processor()}, {os.cpu_count()} threads, {platform.system()}, Python {platform.python_version()}"


def processor() -> str:
    """Returns the name of the CPU, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _run(bench: Bench, arguments: list, *, cache: Path) -> float:
    """Runs a Python script from the root of the project; returns when it began. Its output goes to the terminal."""
    command = [sys.executable, *map(str, arguments)]
    bench.console.print(" ".join(command[1:]), style="dim", soft_wrap=True)
    process = subprocess.Popen(command, env=_environment(cache), cwd=ROOT)
    began = psutil.Process(process.pid).create_time()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return began


def _environment(cache: Path) -> dict[str, str]:
    return os.environ | {"FER_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}

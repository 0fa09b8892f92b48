"""What the benchmarks share: data, scratch folders, rows of tables, and programs measured in processes of their own.

Imported first, it also makes the project's packages importable for scripts of this folder.
"""

import contextlib
import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import psutil
import requests

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
TEST_DATA = Path(os.environ.get("FER_TEST_DATA") or ROOT.parent / "shared" / "data")
YUNET = "face_detection_yunet_2026may.onnx"
SHIPPED = ROOT / "models" / "shipped" / "best" / "model.h5"

_SAVE = """
import json, pathlib, sys
from fer_core import networks
from fer_core.recipes import recipe_config
recipe, folder, labels = sys.argv[1], pathlib.Path(sys.argv[2]), "angry disgust fear happy neutral sad surprise".split()
networks.build(recipe_config(recipe), tuple(labels)).save(folder / f"{recipe}.h5")
(folder / "labels.json").write_text(json.dumps(labels))
"""

_START_SECONDS = 60
Epoch = dict[str, float]
"""epoch, images_per_second, val_accuracy; since_start in seconds from the start of the process."""
Row = dict[str, object]


@dataclass(frozen=True)
class Bench:
    """Where the data lies and where the processes may write."""

    archive: Path
    """FER-2013 as a zip; beside it lie faces/ and YuNet's file."""
    scratch: Path

    @property
    def clip(self) -> Path:
        """A video of one face."""
        return self.archive.parent / "faces" / "single_face_2.mp4"

    @property
    def yunet(self) -> Path:
        """YuNet's file."""
        return self.archive.parent / YUNET

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


def row(name: str, ours: float, peer: float | None = None, *, bar: str, met: bool, less_is_better=False) -> Row:
    """Returns a row of the tables, with the ratio to the peer where there is one."""
    ratio = None if peer is None else peer / ours if less_is_better else ours / peer
    return {"name": name, "ours": ours, "plain": peer, "ratio": ratio, "bar": bar, "met": met}


def measured(*arguments: object, prefix: tuple = (), cache: Path | None = None) -> dict:
    """Returns the JSON object that a Python program prints last, run in a process of its own."""
    command = [*prefix, sys.executable, *map(str, arguments)]
    environment = _environment(cache) if cache else None
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    last_line = ended.stdout.splitlines()[-1]
    print(f"{' '.join(Path(part).name for part in command[len(prefix) + 1 :])}: {last_line}", flush=True)
    return json.loads(last_line)


def train_ours(bench: Bench, recipe: str, *flags: str, epochs: int | None = None, cache: Path) -> list[Epoch]:
    """Returns the epochs of a run of train_emotion_model.py."""
    folder = bench.fresh_folder("ours")
    command = ["train_emotion_model.py", "--data", bench.archive, "--recipe", recipe, "--validation", "test"]
    command += ["--no-promote", "--models-dir", folder / "models", "--history-dir", folder / "history"]
    command += ["--epochs", epochs] if epochs else []
    began = _run([*command, *flags], cache=cache)
    metrics = next((folder / "models").glob("runs/*/metrics.jsonl")).read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, metrics) if row["kind"] == "epoch"]
    return [row | {"since_start": datetime.fromisoformat(row["time"]).timestamp() - began} for row in rows]


def train_plain(bench: Bench, network: str, *, epochs: int, batch_size: int, stop_at: float = 2.0) -> list[Epoch]:
    """Returns the epochs of a run of plain_keras.py."""
    folder = bench.fresh_folder("plain")
    log = folder / "log.jsonl"
    command = [HERE / "plain_keras.py", saved_network(network, folder), "--data", bench.unpacked, "--network", network]
    command += ["--epochs", epochs, "--batch-size", batch_size, "--stop-at", stop_at, "--log", log]
    _run(command, cache=bench.cache)
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def saved_network(recipe: str, folder: Path) -> Path:
    """Returns the file in which a recipe's network is saved, with fresh weights; its labels lie beside it."""
    subprocess.run([sys.executable, "-c", _SAVE, recipe, str(folder)], cwd=ROOT, check=True)
    return folder / f"{recipe}.h5"


class Server(NamedTuple):
    """A web server that answers."""

    url: str
    process: psutil.Process

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        return self.process.memory_info().rss / 2**20


@contextlib.contextmanager
def serving(*arguments: object, **variables: str) -> Iterator[Server]:
    """Yields a web server in Python, once it answers; the last of its arguments is its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + _START_SECONDS
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *map(str, arguments), str(port)], cwd=ROOT, env=environment, **quiet)
    try:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"{url}/healthz", timeout=5)  # the tutorial's application has no such path, but answers
                break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{url} does not answer.")
            time.sleep(0.01)
        yield Server(url, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def soaking(again: str) -> Iterator[tuple[Path, list[str]]]:
    """Yields a folder, and a list for what does not hold: where there is any, the folder is kept, and the exit code 1.

    Args:
        again: what repeats it.
    """
    folder, problems = Path(tempfile.mkdtemp(prefix="fer-soak-")), []
    yield folder, problems
    if problems:
        print(*problems, f"See {folder}, and again with: python benchmarks/{again}", sep="\n")
        sys.exit(1)
    shutil.rmtree(folder)


def chance_seed() -> int:
    """Returns the seed of a soak for which none was given."""
    return random.SystemRandom().randrange(10_000)


def table(rows: list[Row], peer: str) -> str:
    """Returns rows as a table in Markdown, beside what they are compared with; with bars where the rows have any."""
    has_bars = any(row.get("bar") for row in rows)
    lines = [["measured", "ours", peer, "ratio", "bar", "met"], ["---", *["---:"] * 4, "---"]]
    for row in rows:
        theirs = "" if row["plain"] is None else f"{row['plain']:,.4g}"
        ratio = "" if row["plain"] is None else "not reached" if row["ratio"] is None else f"{row['ratio']:.2f} ×"
        lines.append(
            [row["name"], f"{row['ours']:,.4g}", theirs, ratio, row.get("bar", ""), "yes" if row.get("met") else "no"]
        )
    return "".join(f"| {' | '.join(line if has_bars else line[:4])} |\n" for line in lines)


def conditions() -> dict[str, str]:
    """Returns when and on what a benchmark is measured."""
    from fer_core.evaluation.model_card import machine

    where = f"{machine()}, {os.cpu_count()} threads, {platform.system()}, Python {platform.python_version()}"
    return {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": where}


def _run(arguments: list, *, cache: Path) -> float:
    """Runs a Python script from the root of the project; returns when it began. Its output goes to the terminal."""
    command = [sys.executable, *map(str, arguments)]
    print(*command[1:], flush=True)
    process = subprocess.Popen(command, env=_environment(cache), cwd=ROOT)
    began = psutil.Process(process.pid).create_time()
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return began


def _environment(cache: Path) -> dict[str, str]:
    return os.environ | {"FER_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}

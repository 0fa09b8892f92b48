"""JAX where TensorFlow is not installed: trains on two devices, goes on after a kill, and is exported elsewhere."""

import os
import re
import sys

import pytest
from kills import outcome

from fer_core.cli.train import main
from fer_core.store.files import file_sha256
from fer_core.store.runs import list_runs
from tests.conftest import paths_in
from tests.script import run_script

SETTINGS = (
    *("--data=sample", "--sample-per-class=10", "--network=resnet", "--epochs=2", "--batch-size=8", "--devices=cpu:2"),
    *("--network-options.filters", "4", "--network-options.blocks", "1", "--network-options.strides", "2"),
    *("--network-options.head=0", "--network-options.stem=4", "--network-options.stochastic-depth=0.2"),
)
EVERYTHING = (
    *("--rotation=10", "--alternating-flip", "--erasing=0.3", "--camera=0.3", "--contrast=0.2", "--annealing=0.5"),
    *("--mixup=0.3", "--label-smoothing=0.1", "--ema=0.9", "--threads=1", "--precision=float32"),
    *("--optimizer=sgd", "--weight-decay=0.001", "--schedule=one_cycle", "--warmup-epochs=1"),
    *("--crop=44", "--progressive-sizes", "24"),
)
"""One side alone: XLA takes ten seconds to compile the step for another."""

WITHOUT_TENSORFLOW = """
import os, shutil, sys
from pathlib import Path

class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *paths):
        return None if name.partition(".")[0] == "tensorflow" else self.finder.find_spec(name, *paths)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from fer_core.training import callbacks
write_history = callbacks.write_history

def write_history_and_keep_a_copy(path, rows):
    write_history(path, rows)
    if len(rows) == 1 and "COPY_AFTER_ONE_EPOCH" in os.environ:
        shutil.copytree(Path.cwd(), os.environ["COPY_AFTER_ONE_EPOCH"])

def summary_of(counts, summary=callbacks.summary):
    print("images counted:", counts.sum())
    return summary(counts)

callbacks.write_history, callbacks.summary = write_history_and_keep_a_copy, summary_of
from fer_core.cli import ended
from fer_core.cli.train import main
sys.exit(ended(lambda: main(sys.argv[1:])))
"""


def train_on_jax(paths, *arguments, compiled, **environment):
    """Trains where there is no TensorFlow. XLA takes most of the time: what is in `compiled` is not compiled again."""
    environment |= {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    environment |= {"JAX_COMPILATION_CACHE_DIR": str(compiled), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return run_script(*arguments, paths=paths, environment=environment, script=("-c", WITHOUT_TENSORFLOW))


@pytest.fixture(scope="module")
def jax_run(tmp_path_factory, trained_run):
    """A run on two devices, its places, what it printed, and a copy of it as a kill after one epoch would leave it."""
    folder = tmp_path_factory.mktemp("jax")
    (folder / "training").mkdir()
    paths, copy = paths_in(folder / "training"), folder / "after_one_epoch"
    answer = train_on_jax(
        paths,
        *(*SETTINGS, *EVERYTHING, f"--teacher={trained_run.model_h5}"),
        compiled=folder / "compiled",
        COPY_AFTER_ONE_EPOCH=str(copy),
    )
    assert answer.code == 0, answer.err
    (run,) = list_runs(paths)
    return run, paths, answer, copy


def test_jax_trains_without_tensorflow_and_says_that_the_export_is_made_elsewhere(jax_run):
    run, _, answer, _ = jax_run
    assert (run.state.status, run.manifest.backend, run.manifest.litert) == ("SUCCEEDED", "jax", None)
    assert "jax on 2 x CPU:0" in answer.out
    # Of 70 images 14 are test and 7 validation; 49 train, in six whole batches of 8.
    assert re.findall(r"^images counted: (\d+)", answer.out, re.MULTILINE) == ["48", "7"] * 2
    assert "No LiteRT export: TensorFlow is not installed here." in answer.out
    assert not run.model_tflite.exists()


def test_a_run_that_is_killed_and_resumed_ends_with_the_bits_of_one_that_was_not(jax_run):
    run, _, _, copy = jax_run
    paths = paths_in(copy)
    answer = train_on_jax(paths, "--resume=latest", compiled=copy.parent / "compiled")
    assert answer.code == 0, answer.err
    assert "Goes on after epoch 1 of 2." in answer.out
    assert [outcome(again) for again in list_runs(paths)] == [outcome(run)]


def test_the_litert_export_is_made_by_resume_where_tensorflow_is(jax_run, capsys):
    run, paths, _, _ = jax_run
    main(["--resume", run.id, "--models-dir", str(paths.models), "--history-dir", str(paths.history)])
    assert f"Its LiteRT export is made: {run.model_tflite}" in capsys.readouterr().out
    assert run.manifest.litert.sha256 == file_sha256(run.model_tflite)
    assert run.manifest.litert.largest_difference < 1e-4

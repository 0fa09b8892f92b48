"""JAX where TensorFlow is not installed: trains on two devices, goes on after a kill, explains; exported elsewhere."""

import os
import re
import sys

import keras
import numpy as np
import pytest
from keras import layers
from kills import outcome

from fer_core.cli.train import main
from fer_core.evaluation.explain import default_layer, grad_cam, map_layers
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
code = ended(lambda: main(sys.argv[1:]))
if "EXPLAIN_IN" in os.environ:
    import keras, numpy as np
    from fer_core.evaluation.explain import default_layer, grad_cam, map_layers
    folder = Path(os.environ["EXPLAIN_IN"])
    model, picture = keras.models.load_model(folder / "model.keras", compile=False), np.load(folder / "picture.npy")
    layers = [default_layer(model), map_layers(model)[0].name]
    np.savez(folder / "heats.npz", *(grad_cam(model, layer, picture, 1) for layer in layers))
sys.exit(code)
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


def strided_network() -> keras.Model:
    """1×1 kernels of stride 2 from 8 to 16 maps, as mini-XCEPTION has them: oneDNN's Conv2DBackpropFilter fails."""
    pixels = keras.Input((64, 64, 1))
    x = layers.Conv2D(8, 3, activation="relu")(
        layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(pixels))
    )
    strided = layers.Conv2D(16, 1, strides=2, padding="same")(x)
    pooled = layers.MaxPooling2D(3, 2, padding="same")(layers.SeparableConv2D(16, 3, padding="same")(x))
    x = layers.Conv2D(3, 3, padding="same")(layers.Add()([strided, pooled]))
    return keras.Model(pixels, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def test_what_is_killed_and_resumed_ends_with_the_same_bits_and_what_tensorflow_would_fail_at_is_explained_alike(
    jax_run, tmp_path
):
    run, _, _, copy = jax_run
    paths, model = paths_in(copy), strided_network()
    picture = np.random.default_rng(0).uniform(0, 255, model.input_shape[1:]).astype(np.float32)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "picture.npy", picture)
    answer = train_on_jax(paths, "--resume=latest", compiled=copy.parent / "compiled", EXPLAIN_IN=str(tmp_path))
    heats = [grad_cam(model, name, picture, 1) for name in (default_layer(model), map_layers(model)[0].name)]
    np.testing.assert_allclose(heats, list(np.load(tmp_path / "heats.npz").values()), atol=1e-3)
    assert answer.code == 0, answer.err
    assert "Goes on after epoch 1 of 2." in answer.out
    assert [outcome(again) for again in list_runs(paths)] == [outcome(run)]


def test_the_litert_export_is_made_by_resume_where_tensorflow_is(jax_run, capsys):
    run, paths, _, _ = jax_run
    main(["--resume", run.id, "--models-dir", str(paths.models), "--history-dir", str(paths.history)])
    assert f"Its LiteRT export is made: {run.model_tflite}" in capsys.readouterr().out
    assert run.manifest.litert.sha256 == file_sha256(run.model_tflite)
    assert run.manifest.litert.largest_difference < 1e-4

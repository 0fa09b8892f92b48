"""Models, labels and exports as files; models that take too much are refused before their weights are made."""

import json
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.networks import check_saveable
from fer_core.resources import memory_bytes
from fer_core.store import artifacts, export
from fer_core.store.artifacts import load_model, read_h5_manifest, save_architecture, save_labels, save_model
from fer_core.store.export import can_export, ensure_litert, export_checked
from fer_core.store.files import file_sha256
from fer_core.store.foreign import read_labels
from fer_core.store.promotion import model_copy, promote
from fer_core.store.runs import create_run
from fer_core.store.runtimes import LiteRTModel

IMAGES = np.random.default_rng(1).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    """A small trained-looking network: scaling, convolution, normalisation with statistics of its own."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    steps = [
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((16, 16, 1)), *steps])
    model.layers[2].moving_variance.assign([0.5, 1.5, 2.0, 0.1])
    return model


@pytest.fixture
def run(paths):
    run = create_run(paths, TrainConfig(), recipe="smoke")
    run.update_manifest(labels=("angry", "happy", "sad"), side=16, channels=1)
    return run


@pytest.fixture
def saved(model, run):
    """The run with the model in it."""
    save_model(model, run.model_h5, manifest=run.manifest)
    return run


def test_plain_keras_opens_what_was_saved_and_a_kill_while_it_is_saved_again_keeps_it(model, saved, before_every_call):
    import keras

    opened, before, parts = keras.models.load_model(saved.model_h5), saved.model_h5.read_bytes(), []
    assert not opened.compiled
    assert {layer.dtype_policy.name for layer in opened.layers} == {"float32"}
    expected = np.asarray(model(IMAGES.astype(np.float32), training=False))
    np.testing.assert_allclose(opened(IMAGES.astype(np.float32), training=False), expected, atol=1e-6)

    def look():
        is_old = saved.model_h5.read_bytes() == before
        parts.append((is_old, len(list(saved.folder.glob(".model.*.part.h5")))))

    before_every_call(look)
    opened.layers[-1].bias.assign([1.0, 2.0, 3.0])
    save_model(opened, saved.model_h5, manifest=saved.manifest)
    assert parts[0] == (True, 1)
    assert {is_old for is_old, count in parts if count} == {True}
    assert saved.model_h5.read_bytes() != before


def test_saving_is_quiet_and_a_copied_h5_still_knows_its_manifest(model, paths, run, capfd):
    save_model(model, run.model_h5, manifest=run.manifest)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in run.folder.glob("*.h5")] == ["model.h5"]
    save_labels(run.labels_json, run.manifest.labels)
    run.update_state(status="SUCCEEDED")
    promote(paths, run)
    assert read_h5_manifest(model_copy(paths)) == run.manifest


def test_a_compiled_model_is_saved_without_its_losses(run):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", loss=lambda truth, prediction: keras.ops.mean(truth - prediction))
    save_model(model, run.model_h5, manifest=run.manifest)
    assert not load_model(run.model_h5).compiled


def test_a_network_that_keras_could_not_read_back_is_refused(run):
    import keras

    class Own(keras.layers.Dense):
        pass

    picture = keras.Input((4,))
    with pytest.raises(ArtifactError, match="steps that are no stock Keras layers") as caught:
        save_model(keras.Model(picture, keras.layers.Dense(2)(picture * 2.0)), run.model_h5, manifest=run.manifest)
    assert "keras.layers.Multiply" in caught.value.hint
    assert not run.model_h5.exists()
    inner = keras.Sequential([keras.Input((4,)), Own(2, name="own")])
    with pytest.raises(ArtifactError, match=r"no stock Keras layers \(own\)"):
        check_saveable(keras.Sequential([keras.Input((4,)), inner]))
    narrow = keras.layers.Dense(2, dtype="mixed_bfloat16", name="narrow")
    with pytest.raises(ArtifactError, match=r"not float32 throughout \(narrow\)"):
        check_saveable(keras.Sequential([keras.Input((4,)), narrow]))


def test_files_that_hold_no_manifest_or_are_no_models_or_missing_are_named(tmp_path):
    (tmp_path / "torn.h5").write_bytes(b"\x89HDF\r\n\x1a\n torn")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["weights"] = np.ones(3)
    assert read_h5_manifest(tmp_path / "weights.h5") is None
    with pytest.raises(ArtifactError, match=r"torn\.h5 is no HDF5 file"):
        read_h5_manifest(tmp_path / "torn.h5")
    for read in (load_model, read_h5_manifest):
        with pytest.raises(ArtifactError, match=r"There is no model file .*none\.h5"):
            read(tmp_path / "none.h5")


def test_a_model_is_read_through_a_link_to_a_file_of_another_name_and_its_architecture_alone(model, saved, tmp_path):
    import keras

    save_architecture(model, saved.architecture_json)
    again = keras.models.model_from_json(saved.architecture_json.read_text())
    (tmp_path / "link.h5").symlink_to(saved.model_h5.rename(tmp_path / "blob"))
    assert load_model(tmp_path / "link.h5").count_params() == model.count_params() == again.count_params()


def with_setting(path, layer, **settings):
    """Changes the settings of all layers of a class in a saved model."""
    with h5py.File(path, "r+") as file:
        description = json.loads(file.attrs["model_config"])
        for one in description["config"]["layers"]:
            one["config"] |= settings if one["class_name"] == layer else {}
        file.attrs["model_config"] = json.dumps(description)
    return path


@pytest.mark.parametrize(("setting", "reason"), [({"units": 4}, r"\(4, 4\)"), ({"nonsense": 3}, "nonsense")])
def test_a_model_that_does_not_fit_together_is_named_with_the_reason_alone(saved, setting, reason):
    with_setting(saved.model_h5, "Dense", **setting)
    with pytest.raises(ArtifactError, match=rf"model\.h5 cannot be read as a Keras model: .*{reason}") as caught:
        load_model(saved.model_h5)
    assert "as `model.save(path)` of Keras 3 writes it" in caught.value.hint
    assert "kernel_initializer" not in str(caught.value)


@pytest.fixture
def build(tmp_path) -> Callable:
    """A function that saves a model of such layers."""

    def build(*steps):
        import keras

        made = [getattr(keras.layers, name)(*settings) for name, *settings in (*steps, ("Flatten",), ("Dense", 3))]
        keras.Sequential([keras.Input((16, 16, 1)), *made]).save(tmp_path / "built.h5")
        return tmp_path / "built.h5"

    return build


@pytest.mark.parametrize(
    ("steps", "layer", "settings"),
    [
        ([("Embedding", 8, 2)], "Embedding", {"input_dim": 65536, "output_dim": 65536}),
        ([], "Dense", {"units": 8192, "kernel_initializer": {"class_name": "Orthogonal", "config": {"seed": 1}}}),
    ],
    ids=["embedding", "dense"],
)
def test_weights_that_the_file_does_not_hold_are_never_made(build, monkeypatch, steps, layer, settings):
    import keras

    path, made = with_setting(build(*steps), layer, **settings), []
    for name in ("RandomUniform", "Orthogonal"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", lambda *_, **__: made.append("weights"))
    with pytest.raises(ArtifactError, match="cannot be read as a Keras model"):
        load_model(path)
    assert made == []


def test_values_between_layers_beyond_the_memory_and_work_without_end_are_refused(build, saved, monkeypatch):
    path = build(*[("UpSampling2D", 2)] * 3, ("GlobalMaxPooling2D",))
    with_setting(path, "UpSampling2D", size=[64, 64])
    with pytest.raises(ArtifactError, match="one layer gives 17,592,186,044,416 values for one picture"):
        load_model(path)
    for limit, finding in (("_MOST_MULTIPLY_ADDS", "one picture takes about"), ("_MOST_VALUES", "its layers give")):
        monkeypatch.setattr(artifacts, limit, 100)
        with pytest.raises(ArtifactError, match=finding):
            load_model(saved.model_h5)


def test_the_work_of_a_model_in_a_model_counts_for_each_call(tmp_path, monkeypatch):
    import keras

    convolution = keras.layers.Conv2D(1, 3, padding="same", use_bias=False)
    inner, first = keras.Sequential([keras.Input((8, 8, 1)), convolution]), keras.Input((8, 8, 1))
    keras.Model(first, inner(inner(first))).save(tmp_path / "twice.h5")
    monkeypatch.setattr(artifacts, "_MOST_MULTIPLY_ADDS", 2 * 8 * 8 * 9 - 1)
    with pytest.raises(ArtifactError, match="one picture takes about"):
        load_model(tmp_path / "twice.h5")


def test_a_process_fails_where_it_takes_more_memory_than_it_may(python):
    code = "import sys; from fer_core.resources import limit_memory; limit_memory(2**28); bytearray(2**30)"
    answer = python(code)
    assert (answer.returncode, answer.stderr.splitlines()[-1]) == (1, "MemoryError")
    assert 2**28 < memory_bytes() < 2**50


def test_labels_read_back_in_the_order_of_the_outputs(tmp_path):
    path, labels = tmp_path / "labels.json", tuple(f"class {number}" for number in range(12))
    save_labels(path, labels)
    assert json.loads(path.read_text())["11"] == "class 11"
    assert read_labels(path) == labels


def test_the_export_is_the_same_model_and_says_how_close(model, tmp_path, capfd):
    assert can_export()
    metadata = export_checked(model, tmp_path / "model.tflite", IMAGES)
    assert capfd.readouterr() == ("", "")
    expected = np.asarray(model(IMAGES.astype(np.float32), training=False))
    differences = np.abs(LiteRTModel(tmp_path / "model.tflite").probabilities(IMAGES) - expected)
    assert metadata.largest_difference == differences.max() < 1e-5
    assert metadata.sha256 == file_sha256(tmp_path / "model.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_an_export_that_is_another_model_is_refused_and_removed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "ALLOWED_DIFFERENCE", -1.0)
    with pytest.raises(ArtifactError, match="The LiteRT export differs from Keras by"):
        export_checked(model, tmp_path / "model.tflite", IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_a_run_trained_elsewhere_has_no_export_without_tensorflow_and_a_damaged_one_is_named(saved, monkeypatch):
    saved.update_state(status="SUCCEEDED")
    with monkeypatch.context() as without_tensorflow:
        without_tensorflow.setattr(export, "can_export", lambda: False)
        assert not ensure_litert(saved)
    saved.model_h5.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read as a Keras model"):
        ensure_litert(saved)

import json
import zipfile

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.store import export
from fer_core.store.artifacts import (
    check_saveable,
    load_model,
    read_h5_manifest,
    read_labels,
    save_architecture,
    save_labels,
    save_model,
)
from fer_core.store.export import can_export, ensure_litert, export_checked, litert_difference
from fer_core.store.files import file_sha256
from fer_core.store.promotion import model_copy, promote
from fer_core.store.runs import create_run


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


IMAGES = np.random.default_rng(1).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)


def probabilities(model):
    import keras

    return keras.ops.convert_to_numpy(model(IMAGES.astype(np.float32), training=False))


OPEN_WITH_KERAS_ALONE = """
import sys
import keras, numpy
model = keras.models.load_model(sys.argv[1])
images = numpy.random.default_rng(1).integers(0, 256, (8, 16, 16, 1), dtype=numpy.uint8)
assert not model.compiled
assert not any(name.startswith("fer_core") for name in sys.modules)
assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
numpy.save(sys.argv[2], keras.ops.convert_to_numpy(model(images.astype("float32"), training=False)))
"""


SAVE_AGAIN = """
from pathlib import Path
from fer_core.store.artifacts import save_model
from fer_core.store.run import Run
run = Run(Path(sys.argv[3]), Path(sys.argv[3]))
model.layers[-1].bias.assign([1.0, 2.0, 3.0])
save_model(model, run.model_h5, manifest=run.manifest)
"""


def test_plain_keras_opens_what_was_saved_and_a_kill_while_it_is_saved_again_keeps_it(model, run, tmp_path, killed_at):
    save_model(model, run.model_h5, manifest=run.manifest)
    before = run.model_h5.read_bytes()
    killed_at("fsync:1", OPEN_WITH_KERAS_ALONE + SAVE_AGAIN, run.model_h5, tmp_path / "probabilities.npy", run.folder)
    np.testing.assert_allclose(np.load(tmp_path / "probabilities.npy"), probabilities(model), atol=1e-6)
    assert run.model_h5.read_bytes() == before
    assert len(list(run.folder.glob(".model.*.part.h5"))) == 1
    with run.hold():
        assert list(run.folder.glob(".*.part*")) == []


def test_a_copied_h5_still_knows_its_manifest(model, paths, run):
    save_model(model, run.model_h5, manifest=run.manifest)
    save_labels(run.labels_json, run.manifest.labels)
    run.update_state(status="SUCCEEDED")
    promote(paths, run)
    assert read_h5_manifest(model_copy(paths)) == run.manifest


def test_saving_is_quiet_and_leaves_one_file(model, run, capfd):
    save_model(model, run.model_h5, manifest=run.manifest)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in run.folder.glob("*.h5")] == ["model.h5"]
    assert list(run.folder.glob(".*.part*")) == []


def test_a_compiled_model_is_saved_without_its_losses(run):
    import keras

    def private_loss(truth, prediction):
        return keras.ops.mean(truth - prediction)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", loss=private_loss)
    save_model(model, run.model_h5, manifest=run.manifest)
    assert not load_model(run.model_h5).compiled


def test_a_network_with_steps_that_no_h5_can_hold_is_refused(run):
    import keras

    picture = keras.Input((4,))
    model = keras.Model(picture, keras.layers.Dense(2)(picture * 2.0))
    with pytest.raises(ArtifactError, match="steps that are no stock Keras layers") as caught:
        save_model(model, run.model_h5, manifest=run.manifest)
    assert "keras.layers.Multiply" in caught.value.hint
    assert not run.model_h5.exists()


def test_a_layer_of_ones_own_is_refused_also_inside_another_model():
    import keras

    class Own(keras.layers.Dense):
        pass

    inner = keras.Sequential([keras.Input((4,)), Own(2, name="own")])
    with pytest.raises(ArtifactError, match=r"no stock Keras layers \(own\)"):
        check_saveable(keras.Sequential([keras.Input((4,)), inner]))


def test_a_network_that_is_not_float32_is_refused():
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="mixed_bfloat16", name="narrow")])
    with pytest.raises(ArtifactError, match=r"not float32 throughout \(narrow\)"):
        check_saveable(model)


def test_the_architecture_can_be_built_again(model, run):
    import keras

    save_architecture(model, run.architecture_json)
    again = keras.models.model_from_json(run.architecture_json.read_text())
    assert again.count_params() == model.count_params()


@pytest.mark.parametrize("content", [b"", b"no model", b"\x89HDF\r\n\x1a\n torn"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    (tmp_path / "broken.h5").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"broken\.h5 cannot be read as a Keras model"):
        load_model(tmp_path / "broken.h5")
    with pytest.raises(ArtifactError, match=r"broken\.h5 is no HDF5 file"):
        read_h5_manifest(tmp_path / "broken.h5")


def test_other_files_than_models_are_named(tmp_path):
    import h5py

    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["weights"] = np.ones(3)
    with zipfile.ZipFile(tmp_path / "archive.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    for name in ("weights.h5", "archive.keras"):
        with pytest.raises(ArtifactError, match="cannot be read as a Keras model"):
            load_model(tmp_path / name)
    assert read_h5_manifest(tmp_path / "weights.h5") is None


def test_a_missing_model_is_named(tmp_path):
    for read in (load_model, read_h5_manifest):
        with pytest.raises(ArtifactError, match=r"There is no model file .*none\.h5"):
            read(tmp_path / "none.h5")


def test_a_model_whose_weights_do_not_fit_is_named(model, run):
    import h5py

    save_model(model, run.model_h5, manifest=run.manifest)
    with h5py.File(run.model_h5, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"units": 3', '"units": 4')
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read as a Keras model: .*\(4, 4\)") as caught:
        load_model(run.model_h5)
    assert "as `model.save(path)` of Keras 3 writes it" in caught.value.hint


def test_a_model_is_read_through_a_link_to_a_file_of_another_name(model, run, tmp_path):
    save_model(model, run.model_h5, manifest=run.manifest)
    (tmp_path / "link.h5").symlink_to(run.model_h5.rename(tmp_path / "blob"))
    assert load_model(tmp_path / "link.h5").count_params() == model.count_params()


def test_labels_read_back_in_the_order_of_the_outputs(tmp_path):
    labels = tuple(f"class {number}" for number in range(12))
    save_labels(tmp_path / "labels.json", labels)
    assert json.loads((tmp_path / "labels.json").read_text())["11"] == "class 11"
    assert read_labels(tmp_path / "labels.json") == labels
    (tmp_path / "labels.json").write_text('["b", "a"]')
    assert read_labels(tmp_path / "labels.json") == ("b", "a")


@pytest.mark.parametrize("content", ['{"0": "a", "2": "b"}', '{"a": 0, "b": 1}', "[1, 2]", '"angry"', "{}", '["one"]'])
def test_labels_that_are_none_are_refused(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"labels\.json has no labels of a model"):
        read_labels(tmp_path / "labels.json")


def test_the_export_is_the_same_model_and_says_how_close(model, tmp_path, capfd):
    assert can_export()
    metadata = export_checked(model, tmp_path / "model.tflite", IMAGES)
    assert capfd.readouterr() == ("", "")
    assert metadata.largest_difference < 1e-5
    assert metadata.sha256 == file_sha256(tmp_path / "model.tflite")
    other = np.roll(probabilities(model), 1, axis=1)
    assert litert_difference(tmp_path / "model.tflite", IMAGES, other) > 0.01
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_a_run_trained_elsewhere_gets_its_export_on_a_machine_that_has_tensorflow(model, run, monkeypatch):
    save_model(model, run.model_h5, manifest=run.manifest)
    run.update_state(status="SUCCEEDED")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert ensure_litert(run)
    assert run.manifest.litert.sha256 == file_sha256(run.model_tflite)
    assert run.manifest.litert.largest_difference < 1e-5


def test_an_export_that_fails_says_why(run):
    run.model_h5.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read as a Keras model"):
        ensure_litert(run)


def test_an_export_that_is_another_model_is_refused_and_removed(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "ALLOWED_DIFFERENCE", -1.0)
    with pytest.raises(ArtifactError, match="The LiteRT export differs from Keras by"):
        export_checked(model, tmp_path / "model.tflite", IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_without_tensorflow_a_run_waits_for_its_export(run, monkeypatch):
    monkeypatch.setattr(export, "can_export", lambda: False)
    assert not ensure_litert(run)

"""Pretrained networks: the same features as keras.applications, their weights, colours, and two stages of training."""

import cv2
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.sample import draw_face
from fer_core.errors import ArtifactError, ConfigError
from fer_core.live.classifier import face_input, make_classifier
from fer_core.networks import backbone, check_saveable
from fer_core.recipes import recipe_config
from fer_core.store.export import export_checked
from fer_core.store.model_files import find_model
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import network_of, stages
from fer_core.tuning.space import parameters

SIDE = 32
SMALL = {"model": "MobileNetV3Small", "dropout": 0.2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as Keras saves it of the network without its top, with numbers that were never trained."""
    import keras

    keras.utils.set_random_seed(5)
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    model = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    model.save_weights(path)
    return path, model


def test_the_features_are_those_of_keras_applications_with_the_weights_of_the_file(weights):
    import keras

    path, theirs = weights
    config = TrainConfig(network="backbone", image_size=SIDE, network_options={**SMALL, "weights": str(path)})
    network = networks.build(config, ("happy", "sad"))
    check_saveable(network)
    assert "small.weights.h5" in networks.pretrained(config, network)
    assert networks.picture_of(config) == {"side": SIDE, "channels": 1, "colours": "gray"}
    in_colours = TrainConfig(network="backbone", network_options={**SMALL, "colours": "rgb"})
    assert networks.picture_of(in_colours) == {"side": 96, "channels": 3, "colours": "rgb"}
    assert networks.build(in_colours, ("happy", "sad")).input_shape == (None, 96, 96, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.float32)
    ours = keras.Model(network.input, network.layers[-4].output)
    np.testing.assert_array_equal(ours(pixels), theirs(np.repeat(pixels, 3, axis=3)))


def test_what_keras_builds_of_layers_of_its_own_becomes_stock_layers_with_equal_results_also_exported(tmp_path):
    import keras
    from keras.src.applications.convnext import ConvNeXt

    small = {"depths": [1, 1, 1, 1], "projection_dims": [4, 8, 8, 8], "include_top": False, "weights": None}
    theirs = ConvNeXt(**small, input_shape=(SIDE, SIDE, 3), name="convnext_small")
    for weight in theirs.weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    pixels = keras.Input((SIDE, SIDE, 3))
    ours = keras.Model(pixels, backbone._in_stock_layers(theirs, pixels))
    check_saveable(ours)
    for mine, their in zip(ours.weights, theirs.get_weights(), strict=True):
        mine.assign(their.reshape(mine.shape))
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(images), theirs(images), rtol=1e-4, atol=1e-4)
    pooled = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(ours.output))
    assert export_checked(pooled, tmp_path / "small.tflite", images).largest_difference < 1e-3


def test_weights_that_are_missing_or_of_another_network_are_refused_with_what_to_give(weights, tmp_path):
    (tmp_path / "no.weights.h5").write_bytes(b"no weights")
    network = weights[1]
    for path in (tmp_path / "missing.weights.h5", tmp_path / "no.weights.h5"):
        config = TrainConfig(network="backbone", image_size=SIDE, network_options={**SMALL, "weights": str(path)})
        with pytest.raises(ArtifactError, match=r"No weights .* for MobileNetV3Small") as caught:
            networks.pretrained(config, network)
        assert "--network-options.weights" in caught.value.hint
    with pytest.raises(ConfigError, match="model: "):
        networks.options(TrainConfig(network="backbone", network_options={"model": "VGG"}))


def small_transfer(path, **settings) -> TrainConfig:
    own = {"data": "sample", "sample_per_class": 10, "image_size": SIDE, "epochs": 3, "head_epochs": 1}
    own |= {"batch_size": 14, "network_options": {**SMALL, "weights": str(path)}, "precision": "float32"}
    return networks.with_all_options(TrainConfig.checked(recipe_config("transfer").model_dump() | own | settings))


def test_the_stages_have_their_layers_rates_and_epochs_and_a_search_can_vary_them(weights):
    config = small_transfer(weights[0], unfreeze=0.5, unfreeze_rate=0.2)
    first, second = stages(config)
    assert (first.last_epoch, first.part, first.config.learning_rate) == (1, 0.0, config.learning_rate)
    assert (second.last_epoch, second.part, second.config.epochs) == (3, 0.5, 2)
    assert second.config.learning_rate == pytest.approx(0.2 * config.learning_rate)
    assert {"head_epochs", "unfreeze", "unfreeze_rate"} <= {one.name for one in parameters(config)}
    assert "unfreeze" not in {one.name for one in parameters(recipe_config("resnet"))}
    assert len(stages(recipe_config("resnet"))) == 1
    with pytest.raises(ConfigError, match="head_epochs must be less than epochs"):
        small_transfer(weights[0], head_epochs=3)


def test_colours_are_cut_cached_trained_on_and_read_where_a_network_asks_for_them(paths, tmp_path):
    random = np.random.default_rng(0)
    for label in ("happy", "sad"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for number in range(12):
            face = draw_face(label, random, side=40)
            cv2.imwrite(
                str(tmp_path / "faces" / label / f"{number}.png"), cv2.merge([face, face // 2, np.zeros_like(face)])
            )
    config = TrainConfig(
        data=str(tmp_path / "faces"),
        network="backbone",
        network_options={**SMALL, "weights": "none", "colours": "rgb"},
        image_size=SIDE,
        epochs=1,
        batch_size=8,
    )
    dataset = load_dataset(config, paths, **networks.picture_of(config))
    pictures = dataset.train.images(slice(0, 4))
    assert pictures.shape == (4, SIDE, SIDE, 3)
    assert pictures[..., 0].max() == 0 and pictures[..., 2].max() > pictures[..., 1].max() > 0  # red, green, blue
    gray = load_dataset(config, paths, side=SIDE)
    assert gray.train.images(slice(0, 4)).shape == (4, SIDE, SIDE, 1)
    assert (gray.split_fingerprint, gray.fingerprint) == (dataset.split_fingerprint, dataset.fingerprint)

    from fer_core.training.train import record_data, train

    run = create_run(paths, config, recipe=None, history_header=HISTORY_HEADER)
    record_data(run, dataset)
    train(run, dataset, paths=paths)
    model = find_model(run.id, paths)
    assert (model.channels, model.colours, run.manifest.litert is not None) == (3, "rgb", True)
    classifier = make_classifier(model, paths)
    face_bgr = cv2.imread(str(tmp_path / "faces" / "sad" / "0.png"))
    seen = face_input(face_bgr, classifier)
    assert seen[..., 0].max() == 0 and seen[..., 2].max() > 0
    assert classifier.classify(seen[np.newaxis]).shape == (1, 2)
    assert network_of(run.id, paths)["image_size"] == SIDE

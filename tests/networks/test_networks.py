"""Finding networks by their files, and what is said of wrong settings."""

import cv2
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.sample import draw_face
from fer_core.errors import ConfigError
from fer_core.live.classifier import face_input, make_classifier
from fer_core.store.model_files import find_model
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import network_of
from fer_core.training.train import train

LABELS = ("angry", "happy", "sad")

ONE_DENSE = '''"""One dense layer."""

from fer_core.config import Settings


class Options(Settings):
    """Has none."""


def picture(options):
    return {"channels": 3, "colours": "rgb"}


def build(options, *, labels, side, channels):
    import keras

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    flat = keras.layers.Flatten()(_blocks.unit_range(pixels))
    return keras.Model(pixels, _blocks.probabilities(flat, labels))
'''


@pytest.fixture
def new_network(tmp_path, monkeypatch):
    (tmp_path / "one_dense.py").write_text(ONE_DENSE)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    return "one_dense"


def test_a_new_file_is_a_new_network(new_network):
    assert new_network in networks.names() and "_blocks" not in networks.names()
    assert networks.build(TrainConfig(network=new_network), LABELS).output_shape == (None, 3)


def test_colours_are_cut_cached_trained_on_and_read_where_a_network_asks_for_them(new_network, paths, tmp_path):
    random = np.random.default_rng(0)
    for label in ("happy", "sad"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for number in range(12):
            face = draw_face(label, random, side=40)
            in_colours = cv2.merge([face, face // 2, np.zeros_like(face)])
            cv2.imwrite(str(tmp_path / "faces" / label / f"{number}.png"), in_colours)
    config = TrainConfig(data=str(tmp_path / "faces"), network=new_network, image_size=32, epochs=1, batch_size=8)
    dataset = load_dataset(config, paths, **networks.picture_of(config))
    pictures = dataset.train.images(slice(0, 4))
    assert pictures.shape == (4, 32, 32, 3)
    assert pictures[..., 0].max() == 0 and pictures[..., 2].max() > pictures[..., 1].max() > 0  # red, green, blue
    gray = load_dataset(config, paths, side=32)
    assert gray.train.images(slice(0, 4)).shape == (4, 32, 32, 1)
    assert (gray.split_fingerprint, gray.fingerprint) == (dataset.split_fingerprint, dataset.fingerprint)
    run = create_run(paths, config, recipe=None, history_header=HISTORY_HEADER)
    train(run, dataset, paths=paths)
    model = find_model(run.id, paths)
    assert (model.channels, model.colours, run.manifest.litert is not None) == (3, "rgb", True)
    classifier = make_classifier(model, paths)
    seen = face_input(cv2.imread(str(tmp_path / "faces" / "sad" / "0.png")), classifier)
    assert seen[..., 0].max() == 0 and seen[..., 2].max() > 0
    assert classifier.classify(seen[np.newaxis]).shape == (1, 2)
    assert network_of(run.id, paths)["image_size"] == 32


@pytest.mark.parametrize(
    ("network", "options", "problem", "hint"),
    [
        ("atention", {}, "There is no network 'atention'", "Did you mean 'attention'?"),
        ("baseline", {"dropuot": 0.1}, "network baseline: there is no setting 'dropuot'", "Did you mean 'dropout'?"),
        ("baseline", {"dropout": 1.5}, r"network baseline: dropout: .*less than 1, got 1.5", "--help"),
        ("deep_l2", {"filters": (8, 16)}, "filters and block_dropouts differ in length", "--help"),
    ],
)
def test_a_wrong_network_or_option_is_named_with_the_nearest_name(network, options, problem, hint):
    with pytest.raises(ConfigError, match=problem) as caught:
        networks.options(TrainConfig(network=network, network_options=options))
    assert hint in caught.value.hint


def test_options_change_what_is_built():
    config = TrainConfig(network="smoke", network_options={"filters": (4,)}, image_size=32)
    network = networks.build(config, LABELS)
    assert network.input_shape == (None, 32, 32, 1)
    assert network.layers[2].filters == 4


def test_a_picture_too_small_for_the_network_is_refused_before_training():
    config = TrainConfig(network="baseline", network_options={"filters": (4,) * 6}, image_size=16)
    with pytest.raises(ConfigError, match="baseline cannot take pictures of 16 x 16") as caught:
        networks.build(config, LABELS)
    assert caught.value.hint == "Take a larger --image-size."


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"crop": 64}, "crop is 64 pixels, and the pictures have 48."),
        ({"crop": 44, "progressive_sizes": (32, 48)}, "progressive_sizes has 48 pixels, and the pictures have 44."),
        ({"progressive_sizes": (32, 52)}, "progressive_sizes has 52 pixels, and the pictures have 48."),
    ],
)
def test_a_window_that_is_larger_than_the_pictures_is_refused(settings, sentence):
    with pytest.raises(ConfigError) as caught:
        networks.input_shape(TrainConfig(network="resnet", **settings))
    assert str(caught.value) == sentence
    assert "at most" in caught.value.hint

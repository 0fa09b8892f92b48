"""Finding networks by their files, and what is said of wrong settings."""

import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError

LABELS = ("angry", "happy", "sad")

TEN_LINES = '''"""One dense layer."""

from fer_core.config import Settings


class Options(Settings):
    """Has none."""


def build(options, *, labels, side, channels):
    import keras

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    flat = keras.layers.Flatten()(_blocks.unit_range(pixels))
    return keras.Model(pixels, _blocks.probabilities(flat, labels))
'''


@pytest.fixture
def new_network(tmp_path, monkeypatch):
    (tmp_path / "one_dense.py").write_text(TEN_LINES)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    return "one_dense"


def test_a_new_file_is_a_new_network(new_network):
    assert new_network in networks.names() and "_blocks" not in networks.names()
    assert networks.build(TrainConfig(network=new_network), LABELS).output_shape == (None, 3)


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

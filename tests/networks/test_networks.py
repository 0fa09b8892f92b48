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
    assert new_network in networks.names()
    assert networks.build(TrainConfig(network=new_network), LABELS).output_shape == (None, 3)


def test_files_with_an_underscore_are_no_networks():
    assert "_blocks" not in networks.names()


def test_an_unknown_network_is_answered_with_the_nearest_name():
    with pytest.raises(ConfigError, match="There is no network 'atention'") as caught:
        networks.options(TrainConfig(network="atention"))
    assert caught.value.hint == "Did you mean 'attention'?"


def test_an_unknown_option_is_answered_with_the_nearest_name():
    with pytest.raises(ConfigError, match="network baseline: there is no setting 'dropuot'") as caught:
        networks.options(TrainConfig(network_options={"dropuot": 0.1}))
    assert caught.value.hint == "Did you mean 'dropout'?"


def test_an_option_out_of_its_range_is_named_with_its_value():
    with pytest.raises(ConfigError, match=r"network baseline: dropout: .*less than 1, got 1.5"):
        networks.options(TrainConfig(network_options={"dropout": 1.5}))


def test_deep_l2_wants_a_dropout_for_each_block():
    with pytest.raises(ConfigError, match="filters and block_dropouts differ in length"):
        networks.options(TrainConfig(network="deep_l2", network_options={"filters": (8, 16)}))


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

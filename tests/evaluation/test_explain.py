"""Grad-CAM and feature maps. On JAX: tests/training/test_jax.py."""

import keras
import numpy as np
import pytest
from keras import layers
from keras.initializers import Constant

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.evaluation.analysis_figures import explain_figure, overlay
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.explain import (
    MOST_MAPS,
    MapLayer,
    default_layer,
    explain,
    grad_cam,
    map_layers,
    outputs_of,
)
from tests.evaluation.conftest import all_texts, nothing_is_cut_off

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LABELS = ("angry", "happy", "sad")
WEIGHTS = np.array([[3.0, 0.0, -2.0], [0.0, 2.0, 1.0]], np.float32)
"""From the maps 'bright' and 'dark' to the three classes."""


def head(name: str, scale: float = 1.0):
    """What follows the pooled maps: a softmax, given in one of the ways in which models have it; "logits" has none."""
    activation = "softmax" if name == "dense" else None
    dense = layers.Dense(3, activation=activation, name="answer", kernel_initializer=Constant(scale * WEIGHTS))
    endings = {"activation": [layers.Activation("softmax")], "layer": [layers.Softmax()]}
    return [dense, *endings.get(name, [])]


def bright_and_dark() -> layers.Layer:
    """A layer of two maps: how bright and how dark each place is, 0..1."""
    kernel, bias = Constant(np.array([[[[1, -1]]]]) / 255), Constant(np.array([0, 1]))
    return layers.Conv2D(2, 1, name="maps", kernel_initializer=kernel, bias_initializer=bias)


def network(ending: str = "dense", *, scale: float = 1.0, nested: bool = False) -> keras.Model:
    """Two maps, their means, and a softmax."""
    maps = bright_and_dark()
    pixels = keras.Input((16, 16, 1), name="pixels")
    if nested:
        inside = keras.Input((16, 16, 1))
        x = keras.Model(inside, layers.ReLU(name="shown")(maps(inside)), name="inner")(pixels)
    else:
        x = layers.ReLU(name="shown")(maps(pixels))
    x = layers.GlobalAveragePooling2D()(x)
    for layer in head(ending, scale):
        x = layer(x)
    return keras.Model(pixels, x)


@pytest.fixture
def half_bright() -> np.ndarray:
    """A picture whose left half is bright: float32 (16, 16, 1)."""
    picture = np.zeros((16, 16, 1), np.float32)
    picture[:, :8] = 255
    return picture


def by_hand(class_number: int) -> np.ndarray:
    """Grad-CAM of `half_bright`: the maps are 1 on one half, and the gradient of a mean is the same everywhere."""
    heat = np.zeros((16, 16))
    heat[:, :8], heat[:, 8:] = np.maximum(WEIGHTS[:, class_number], 0)
    return heat / heat.max()


@pytest.mark.parametrize(("ending", "class_number"), [("dense", 0), ("activation", 1), ("layer", 2), ("logits", 1)])
def test_grad_cam_is_what_is_worked_out_by_hand(half_bright, ending, class_number):
    found = grad_cam(network(ending), "shown", half_bright, class_number)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(class_number), atol=1e-6)
    # Behind a softmax that gives 1.0 every gradient is 0; the score before it still has one.
    certain = network(ending, scale=1000)
    assert outputs_of(certain, half_bright).max() >= 1.0
    np.testing.assert_allclose(grad_cam(certain, "shown", half_bright, class_number), by_hand(class_number), atol=1e-6)


def test_without_a_softmax_the_logarithm_of_the_probability_is_explained_and_where_nothing_speaks_nothing(half_bright):
    pixels = keras.Input((16, 16, 1))
    maps = layers.Conv2D(1, 1, name="maps", kernel_initializer=Constant(1 / 255))(pixels)
    mean = layers.GlobalAveragePooling2D()(maps)
    answer = layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(mean)
    heat = grad_cam(keras.Model(pixels, answer), "maps", half_bright, 0)
    assert (heat[:, :8].min(), heat[:, 8:].max()) == (1, 0)
    assert (grad_cam(network(), "shown", np.zeros((16, 16, 1), np.float32), 0) == 0).all()


@pytest.mark.parametrize("name", ["inner/maps", "inner"])
def test_layers_inside_a_nested_model_are_explained_like_any_other(half_bright, name):
    model = network(nested=True)
    assert tuple(layer.name for layer in map_layers(model)) == ("inner/maps", "inner/shown", "inner")
    assert default_layer(model) == "inner/shown"
    np.testing.assert_allclose(grad_cam(model, name, half_bright, 1), by_hand(1), atol=1e-6)


def test_a_sequential_model_inside_a_sequential_one_is_explained(half_bright):
    steps = [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.MaxPooling2D(name="pool")]
    inner = keras.Sequential(steps, name="inner")
    model = keras.Sequential([keras.Input((16, 16, 1)), inner, layers.Flatten(), layers.Dense(3, activation="softmax")])
    assert tuple(layer.name for layer in map_layers(model)) == ("inner/conv", "inner/pool", "inner")
    heat = grad_cam(model, default_layer(model), half_bright, 2)
    assert (heat.shape, 0 <= heat.min() <= heat.max() <= 1) == ((16, 16), True)


def test_both_branches_of_a_sum_reach_the_gradient(half_bright):
    """The maps go to the answer twice: as they are, and turned round and doubled."""
    pixels = keras.Input((16, 16, 1))
    maps = bright_and_dark()(pixels)
    opposite = layers.Conv2D(2, 1, kernel_initializer=Constant(-2 * np.eye(2)[None, None]))(maps)
    x = layers.GlobalAveragePooling2D()(layers.Add(name="sum")([maps, opposite]))
    heat = grad_cam(keras.Model(pixels, head("dense")[0](x)), "maps", half_bright, 2)
    np.testing.assert_allclose(heat[:, [0, 15]] > 0.5, np.tile(-WEIGHTS[:, 2] > 0, (16, 1)))


def test_the_feature_maps_are_what_the_layer_gives_and_a_model_is_the_same_after_it_was_explained(half_bright):
    flat = network()
    assert map_layers(flat)[:2] == (MapLayer("maps", "Conv2D", 16, 16, 2), MapLayer("shown", "ReLU", 16, 16, 2))
    expected = keras.Model(flat.input, flat.get_layer("maps").output)(half_bright[None])[0]
    found = explain(flat, half_bright.astype(np.uint8), labels=LABELS, layer="maps")
    np.testing.assert_array_equal(found.maps, np.asarray(expected)[..., found.map_numbers])
    model = network(nested=True)
    before = outputs_of(model, half_bright)
    grad_cam(model, "inner/maps", half_bright, 0)
    with pytest.raises(Exception, match="incompatible with the layer"):
        grad_cam(model, "inner/maps", half_bright[:, :3], 0)
    np.testing.assert_array_equal(outputs_of(model, half_bright), before)
    everything = [*model.layers, *model.get_layer("inner").layers]
    assert not [layer.name for layer in everything if "call" in vars(layer)]


def face() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 1), dtype=np.uint8)


def test_a_wrong_layer_or_emotion_and_a_model_without_convolutions_are_named():
    with pytest.raises(ConfigError, match="has no layer 'map' with feature maps") as caught:
        explain(network(), face(), labels=LABELS, layer="map")
    assert caught.value.hint == "Did you mean 'maps'?"
    with pytest.raises(ConfigError, match="knows no emotion 'hapy'") as caught:
        explain(network(), face(), labels=LABELS, emotion="hapy")
    assert caught.value.hint == "Did you mean 'happy'?"
    dense = keras.Sequential([keras.Input((16, 16, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")])
    with pytest.raises(ConfigError, match="has no convolutions with feature maps"):
        explain(dense, face(), labels=LABELS)


def test_the_answer_is_explained_unless_an_emotion_is_named_and_outputs_and_grey_values_are_what_they_stand_for(
    half_bright,
):
    bright, model = half_bright.astype(np.uint8), network()
    found = explain(model, bright, labels=LABELS, temperature=2.0)
    assert found.emotion == "angry"
    np.testing.assert_allclose(found.probabilities, with_temperature(outputs_of(model, half_bright), 2.0))
    np.testing.assert_allclose(found.heat, by_hand(0), atol=1e-6)
    other = explain(model, bright, labels=LABELS, emotion=" Happy", layer="maps")
    assert (other.emotion, other.heat_layer.name, other.maps_layer.name) == ("happy", "maps", "maps")
    np.testing.assert_allclose(other.heat, by_hand(1), atol=1e-6)
    of_logits = explain(network("logits"), bright, labels=LABELS, temperature=2.0)
    np.testing.assert_allclose(of_logits.probabilities, found.probabilities, rtol=1e-5)
    np.testing.assert_allclose(of_logits.heat, found.heat, atol=1e-6)
    scaled = explain(model, bright, labels=LABELS, pixels="0..1", layer="maps")
    assert scaled.maps[0, 0, scaled.map_numbers.tolist().index(0)] == pytest.approx(1 / 255)


def test_of_many_maps_the_most_active_come_first_and_not_more_than_can_be_seen():
    model = networks.build(TrainConfig(network="compact"), LABELS)
    found = explain(model, np.random.default_rng(0).integers(0, 256, (48, 48, 1), dtype=np.uint8), labels=LABELS)
    every = explain(model, found.face, labels=LABELS, layer=found.heat_layer.name)
    spread = every.maps.std(axis=(0, 1))
    assert every.maps.shape == (6, 6, MOST_MAPS)
    assert every.heat_layer.maps == 192
    assert (np.diff(spread) <= 1e-6).all()


def test_the_figure_shows_face_heat_probabilities_and_maps():
    found = explain(network(), face(), labels=LABELS, emotion="sad")
    figure = explain_figure(found, title="photo.jpg, 20260131-140212-smoke-3f9a")
    share = found.probabilities.max()
    assert {
        f"The model says {LABELS[found.probabilities.argmax()]} {share:.1%}",
        "Grad-CAM for sad, shown",
        "shown (ReLU, 16 × 16): its 2 maps, most active first",
    } <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)
    half = np.repeat([[0, 1]], 8, axis=1).repeat(16, axis=0).astype(np.float32)
    drawn = overlay(face(), half)
    assert (drawn[:, :8] == face()[:, :8]).all(), "the face stays where there is no heat"
    assert (np.ptp(drawn[:, 8:].astype(int), axis=2) > 0).all()

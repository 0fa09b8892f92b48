"""Every network, recipe and emotion, found by listing, through the same checks: a new file is tested for free."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter

from fer_core import networks
from fer_core.config import Searchable, Settings, TrainConfig
from fer_core.labels import COLOURS, SPARE_COLOURS, colour
from fer_core.paths import shipped_models
from fer_core.recipes import RECIPES, recipe_config
from fer_core.store.architecture import ModelMetadata
from fer_core.store.artifacts import save_architecture, save_model
from fer_core.store.inspection import inspect_model
from fer_core.store.runs import create_run

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
EVERY_RECIPE = pytest.mark.parametrize("name", RECIPES)
EVERY_SETTINGS = pytest.mark.parametrize(
    "settings",
    [TrainConfig, *(networks.network_module(name).Options for name in networks.names())],
    ids=["TrainConfig", *networks.names()],
)


@pytest.fixture(scope="module", params=networks.names())
def network(request):
    """Each network with its default options and seven classes; built once, and changed by no test.

    A pretrained one is the smallest of its kind.
    """
    options = {"model": "MobileNetV3Small"} if request.param == "backbone" else {}
    config = TrainConfig(network=request.param, network_options=options)
    network = networks.build(config, LABELS)
    side, channels = networks.input_shape(config)
    assert (network.input_shape, network.output_shape) == ((None, side, side, channels), (None, 7))
    return network


@pytest.fixture(scope="module")
def pixels(network) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, *network.input_shape[1:])).astype(np.float32)


@pytest.fixture(scope="module")
def probabilities(network, pixels) -> np.ndarray:
    return np.asarray(network(pixels))


def test_a_network_gives_probabilities_of_raw_pixels_which_it_scales_itself(network, pixels, probabilities):
    import keras

    assert probabilities.shape == (len(pixels), 7) and probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    scaling = (keras.layers.Rescaling, keras.layers.Normalization)
    first = network.layers[:4]
    assert any(isinstance(layer, scaling) for layer in first), [type(layer).__name__ for layer in first]


def test_a_saved_network_passes_and_is_opened_by_plain_keras_and_gives_the_same(
    network, pixels, probabilities, tmp_path
):
    import keras

    network.save(tmp_path / "model.h5")
    assert inspect_model(tmp_path / "model.h5") == ModelMetadata(network.input_shape[1:], 7, True)
    again = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(again(pixels), probabilities)


def test_keras_3_5_knows_every_argument_of_a_saved_network(network, paths):
    run = create_run(paths, TrainConfig(), recipe="smoke")
    save_model(network, run.model_h5, manifest=run.manifest)
    save_architecture(network, run.architecture_json)
    check_arguments(run.folder)


@pytest.mark.parametrize("folder", shipped_models(), ids=lambda folder: folder.name)
def test_keras_3_5_knows_every_argument_of_a_model_that_comes_with_the_project(folder):
    check_arguments(folder)


def check_arguments(folder: Path) -> None:
    """Fails where model.h5 or model.json has an argument that Keras 3.5 does not know."""
    known = json.loads((Path(__file__).parent / "keras_3_5.json").read_text(encoding="utf-8"))

    def check(value: Any) -> None:
        if isinstance(value, dict) and str(value.get("module")).startswith(("keras.layers", "keras.init", "keras.reg")):
            assert set(value["config"]) <= set(known[value["class_name"]].split()), value["class_name"]
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    with h5py.File(folder / "model.h5") as file:
        check(json.loads(file.attrs["model_config"]))
    check(json.loads((folder / "model.json").read_text(encoding="utf-8")))


def test_a_network_has_layers_whose_maps_are_worth_a_look(network, pixels):
    from fer_core.evaluation.explain import default_layer, default_maps_layer, grad_cam, map_layers

    found = map_layers(network)
    by_name = {layer.name: layer for layer in found}
    last, shown = by_name[default_layer(network)], by_name[default_maps_layer(network)]
    assert not [layer for layer in found[found.index(last) + 1 :] if "Conv2D" in layer.kind]
    assert "Pooling" not in last.kind
    assert 2 * shown.height >= network.input_shape[1]
    heat = grad_cam(network, last.name, pixels[0], 1)
    assert heat.shape == network.input_shape[1:3] and np.isfinite(heat).all()


def test_the_training_model_computes_what_the_network_does(network, pixels, probabilities):
    from fer_core.training.machine import Machine
    from fer_core.training.training_model import make_training_model

    training_model = make_training_model(network, Machine("tensorflow", ("CPU:0",), 1, "float32", ""))
    assert np.abs(np.asarray(training_model(pixels)) - probabilities).max() < 1e-6
    for mine, theirs in zip(training_model.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_weights_of_a_bfloat16_training_model_are_float32(network, pixels):
    from fer_core.training.machine import Machine
    from fer_core.training.training_model import make_training_model

    training_model = make_training_model(network, Machine("tensorflow", ("CPU:0",), 1, "bfloat16", ""))
    assert {weight.dtype for weight in training_model.get_weights()} == {np.dtype("float32")}
    outputs = np.asarray(training_model(pixels))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


@EVERY_SETTINGS
def test_every_setting_says_what_it_is_and_its_default_and_what_a_search_may_try_are_allowed(settings):
    assert settings.checked(settings().model_dump()) == settings()
    assert [name for name, field in settings.model_fields.items() if not field.description] == []
    for name, field in settings.model_fields.items():
        for ranges in (part for part in field.metadata if isinstance(part, Searchable)):
            allowed = TypeAdapter(Annotated[field.annotation, *field.metadata])
            assert (ranges.low is None) == (ranges.high is None) == bool(ranges.choices), name
            for value in (ranges.low, ranges.high, *ranges.choices):
                assert value is None or allowed.validate_python(value) == value
            assert ranges.low is None or ranges.low < ranges.high
            assert not ranges.log or ranges.low > 0


@EVERY_RECIPE
def test_a_recipe_says_what_it_is_names_a_network_and_valid_settings_and_survives_json_and_toml(name):
    assert len(RECIPES[name].__doc__.splitlines()[0]) > 20
    config = recipe_config(name)
    assert TrainConfig.checked(config.model_dump()) == config
    assert isinstance(networks.options(config), Settings)
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config
    table = tomllib.loads(as_toml(config))
    assert TrainConfig.checked(table) == config


def as_toml(config: TrainConfig) -> str:
    """Returns the settings as a person writes them; JSON's values are TOML's, but for null and tables."""
    values = config.model_dump(mode="json", exclude_none=True)
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines)


def test_an_emotion_has_its_colour_and_another_class_a_spare_one_by_its_place():
    for label in ("happy", "Happy", " HAPPY "):
        assert colour(label) == colour(label, ("sad", label)) == COLOURS["happy"]
    labels = tuple(f"class {number}" for number in range(len(SPARE_COLOURS) + 1))
    assert [colour(label, labels) for label in labels] == [*SPARE_COLOURS, SPARE_COLOURS[0]]
    assert colour("elsewhere", labels) == SPARE_COLOURS[0]

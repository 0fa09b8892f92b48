"""A small file that describes a large network is refused before its weights are made; memory has limits."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from fer_core.errors import ArtifactError
from fer_core.resources import memory_bytes
from fer_core.store import model_size
from fer_core.store.artifacts import load_model
from fer_core.store.model_size import check_size

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
]


def saved(path, *more, side=16):
    keras.Sequential([keras.Input((side, side, 1)), *more, layers.Flatten(), layers.Dense(3)]).save(path)
    return path


def with_setting(path, layer, **settings):
    """Changes the settings of a layer in a saved model."""
    with h5py.File(path, "r+") as file:
        description = json.loads(file.attrs["model_config"])
        (found,) = [one for one in description["config"]["layers"] if one["class_name"] == layer]
        found["config"] |= settings
        file.attrs["model_config"] = json.dumps(description)
    return path


def without_weights_of_what_they_describe(folder):
    yield with_setting(
        saved(folder / "embedding.h5", layers.Embedding(8, 2)), "Embedding", input_dim=65536, output_dim=65536
    )
    orthogonal = {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": 1}}
    yield with_setting(saved(folder / "dense.h5"), "Dense", units=8192, kernel_initializer=orthogonal)


def test_weights_that_the_file_does_not_hold_are_never_made(tmp_path, monkeypatch):
    paths, made = list(without_weights_of_what_they_describe(tmp_path)), []
    monkeypatch.setattr(keras.initializers.RandomUniform, "__call__", lambda *_, **__: made.append("uniform"))
    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", lambda *_, **__: made.append("orthogonal"))
    for path in paths:
        with pytest.raises(ArtifactError, match="cannot be read as a Keras model"):
            load_model(path)
    assert made == []


def test_values_between_layers_beyond_the_memory_are_refused(tmp_path):
    path = with_setting(saved(tmp_path / "up.h5", layers.UpSampling2D(2), layers.GlobalMaxPooling2D()), "UpSampling2D")
    check_size(path)
    with_setting(path, "UpSampling2D", size=[64, 64], interpolation="nearest")
    chained = saved(tmp_path / "chain.h5", *[layers.UpSampling2D(2) for _ in range(3)], layers.GlobalMaxPooling2D())
    with h5py.File(chained, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"size": [2, 2]', '"size": [64, 64]')
    with pytest.raises(ArtifactError, match="one layer gives 17,592,186,044,416 values for one picture"):
        load_model(chained)


@pytest.mark.parametrize(
    ("limit", "finding"), [("_MOST_VALUES", "its layers give"), ("_MOST_MULTIPLY_ADDS", "one picture takes about")]
)
def test_work_without_end_is_refused(tmp_path, monkeypatch, limit, finding):
    path = saved(tmp_path / "model.h5", layers.Conv2D(4, 3))
    monkeypatch.setattr(model_size, limit, 100)
    with pytest.raises(ArtifactError, match=finding):
        check_size(path)


def test_the_work_of_a_model_in_a_model_counts_for_each_call():
    inner = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3, padding="same", use_bias=False)])
    first = keras.Input((8, 8, 1))
    twice = keras.Model(first, inner(inner(first)))
    assert sum(size.multiply_adds for size in model_size._sizes(twice, calls=1)) >= 2 * 8 * 8 * 9


def test_a_model_that_is_loaded_after_the_look_has_its_weights(model_zoo):
    for name in ("many_layers.h5", "many_layers.keras", "nested.h5", "keras_2.hdf5"):
        model = load_model(model_zoo / name)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())
        assert np.isfinite(np.asarray(model(np.zeros((1, *model.input_shape[1:]), np.float32)))).all()


def test_what_keras_says_is_told_without_the_settings_that_it_quotes(tmp_path):
    path = with_setting(saved(tmp_path / "old.h5"), "Dense", nonsense=3)
    with pytest.raises(ArtifactError) as caught:
        load_model(path)
    assert "nonsense" in str(caught.value)
    assert "units" not in str(caught.value)


def test_a_process_fails_where_it_takes_more_memory_than_it_may(python):
    code = "import sys; from fer_core.resources import limit_memory; limit_memory(2**28); bytearray(2**30)"
    answer = python(code)
    assert (answer.returncode, answer.stderr.splitlines()[-1]) == (1, "MemoryError")
    assert 2**28 < memory_bytes() < 2**50

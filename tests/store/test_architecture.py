"""What a description of a network may hold: what could run code, or has no end, is refused and named."""

import contextlib
import json
import re
from functools import reduce
from operator import getitem

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST
from fer_core.store.architecture import ModelMetadata, first_objection, metadata_of

PICTURE = {"class_name": "InputLayer", "config": {"batch_shape": [None, 16, 16, 1], "name": "picture"}}
FLAT = {"class_name": "Flatten", "config": {"name": "flat"}}
ANSWER = {"class_name": "Dense", "config": {"name": "answer", "units": 3, "activation": "softmax"}}


def network(*layers):
    return {"class_name": "Sequential", "config": {"name": "small", "layers": list(layers)}}


SMALL = network(PICTURE, FLAT, ANSWER)


def node(**changes):
    """Returns a small network whose last layer has another class, module or the like."""
    return network(PICTURE, FLAT, ANSWER | changes)


def small(**changes):
    """Returns a small network with other settings of its last layer."""
    return node(config=ANSWER["config"] | changes)


def called_often(times):
    """Returns models in each other, each of which calls the one in it that often."""
    inner = {"class_name": "Activation", "config": {"name": "x", "activation": "relu"}}
    for _ in range(12):
        inner = inner | {"inbound_nodes": [[["x", 0, 0, {}]]] * times}
        inner = {"class_name": "Functional", "config": {"name": "x", "layers": [inner]}}
    return inner


@pytest.mark.parametrize(
    ("description", "objection"),
    [
        (node(class_name="TFSMLayer"), "the layer 'answer' is of the class 'TFSMLayer'"),
        (node(class_name="deserialize"), "the layer 'answer' is of the class 'deserialize'"),
        (node(class_name=["Dense"]), r"the layer 'answer' is of the class \"\['Dense'\]\""),
        (node(module=["keras.layers"]), "is of the class 'Dense' of "),
        (node(class_name=None), "the layer 'answer' is of the class None"),
        (node(module="os"), "the layer 'answer' is of the class 'Dense' of 'os'"),
        (node(module="keras.src.ops.numpy", class_name="Add"), "'Add' of 'keras.src.ops.numpy'"),
        (node(registered_name="mine>Dense"), "the layer 'answer' is of the class 'mine>Dense'"),
        (node(class_name="function", config="system", module="os"), "is the function 'system'"),
        (node(compile_config={"loss": "mse"}), "the compile_config of the layer 'answer' would be loaded too"),
        (node(inbound_nodes=[[["flat", 0, 0, {"mask": {"class_name": "Lambda"}}]]]), "the mask of .* is a Lambda"),
        (small(activation="system"), "the activation of the layer 'answer' is 'system', which is no activation"),
        (small(activation={"value": ["4wEAAAA", None, None]}), "the activation of the layer 'answer' is a function of"),
        (small(activation={"class_name": "Dense", "config": {"units": 3}}), "answer' is no activation of Keras"),
        (small(activation={"class_name": "function", "config": "f", "module": "builtins"}), "is the function 'f'"),
        (small(recurrent_activation="mine"), "the recurrent_activation of the layer 'answer' is 'mine'"),
        (small(kernel_initializer="mine"), "the kernel_initializer of the layer 'answer' is 'mine', which is none of"),
        (small(kernel_regularizer={"class_name": "Mine"}), "the kernel_regularizer of the layer 'answer' is"),
        (small(bias_constraint={"class_name": "__lambda__"}), "the bias_constraint .* is a lambda, which"),
        (small(dtype={"class_name": "MyPolicy", "config": {}}), "the dtype of the layer 'answer' is of"),
        (small(anything={"class_name": "__typespec__", "config": []}), "the anything of .* is a type of TensorFlow"),
        (small(units=10**12), "the units of the layer 'answer' is 1000000000000; more than 8,192 is refused"),
        (small(kernel_size={"class_name": "__tuple__", "items": [3, 10**6]}), "the kernel_size .* more than 512"),
        (small(batch_shape=[None, 10**5, 10**5, 1]), "the batch_shape of the layer 'answer' is 100000"),
        (small(n=-(10**30)), "the n of the layer 'answer' is -1000"),
        (small(anything=[0] * 300_001), "it has more than 300,000 parts"),
        (reduce(lambda inner, _: network(inner), range(30), SMALL), "it is nested more than 60 deep"),
        ({"class_name": "Lambda", "config": {"name": "x"}}, "the model is of the class 'Lambda', which is no stock"),
        ({"class_name": "MyModel", "config": {}, "registered_name": "mine>MyModel"}, "of the class 'mine>MyModel'"),
        ({"class_name": "Sequential", "config": [{"class_name": "Lambda"}]}, "a layer without a name is a"),
        ([], "it describes no network"),
        ("text", "it describes no network"),
        (called_often(2), "its layers are called more than 3,000 times"),
    ],
    ids=range(33),
)
def test_what_is_not_on_the_list_or_without_end_is_refused_by_name(description, objection):
    assert re.search(objection, first_objection(description))


def test_what_is_harmless_passes():
    no_size = small(kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": 2**40}})
    assert [first_objection(one) for one in (SMALL, no_size, called_often(1))] == [None] * 3


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (network(PICTURE, PICTURE, ANSWER), "it takes 2 inputs"),
        ({"class_name": "Model", "config": {}}, "'layers'"),
    ],
    ids=["two inputs", "no layers"],
)
def test_a_network_that_cannot_be_used_is_named(description, message):
    with pytest.raises(ArtifactError, match=rf"two\.h5 describes no network that can be used .*{message}"):
        metadata_of(description, where="two.h5")


def paths_in(tree, path=()):
    """Returns the paths of all values of a tree of dicts and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, item in inside for place in paths_in(item, (*path, key)))]


DESCRIPTION = (SHIPPED_BEST / "model.json").read_text()
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inside: some.lists(inside, max_size=3) | some.dictionaries(some.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
NAMES = some.sampled_from(["Dense", "Functional", "__tuple__", "TensorShape", "Activation", "function", "Conv2D", "x"])


@settings(max_examples=100, deadline=None, database=None)
@given(
    # How it was compiled is not read: models are loaded without it.
    some.sampled_from([path for path in paths_in(json.loads(DESCRIPTION))[1:] if path[0] != "compile_config"]),
    JSON | NAMES | some.fixed_dictionaries({"class_name": NAMES, "config": JSON}),
    some.sampled_from(["Lambda", "__lambda__", "Own", "mine>Own", "os.system"]),
)
def test_whatever_is_changed_in_a_description_passes_or_is_named_and_code_is_refused(path, value, code):
    *outer, last = path
    for changed in (value, {"class_name": code, "config": {"name": "bad"}}):
        tree = json.loads(DESCRIPTION)
        reduce(getitem, outer, tree)[last] = changed
        objection = first_objection(tree)
        if objection is None:
            with contextlib.suppress(ArtifactError):
                assert isinstance(metadata_of(tree, where="model.h5"), ModelMetadata)
    assert objection

"""Model files are looked into before Keras is: what could run code, or take all memory, is refused and named."""

import copy
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from fer_core.errors import ArtifactError
from fer_core.store import weights
from fer_core.store.allowed import first_objection
from fer_core.store.artifacts import load_model
from fer_core.store.inspection import inspect_apart, inspect_model
from fer_core.store.model_metadata import ModelMetadata

PROJECT = Path(__file__).parents[2]
SHIPPED = PROJECT / "models" / "shipped" / "best"
HOSTILE = {
    "lambda_at_top": "the layer 'bad' is a Lambda, which is code",
    "lambda_in_a_nested_model": "the layer 'bad' is a Lambda, which is code",
    "lambda_in_a_wrapper": "the layer 'bad' is a Lambda, which is code",
    "custom_class": "the layer 'bad' is of the class 'Own'",
}
NOT_KERAS_OWN = {
    "activation_lambda": "the activation of the layer 'bad' is a function of its own, which is code",
    "initializer_function": "the kernel_initializer of the layer 'bad' is the function 'own_initializer'",
}
SUFFIXES = (".h5", ".keras")
SMALL = {
    "class_name": "Sequential",
    "config": {
        "name": "small",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 16, 16, 1], "name": "picture"}},
            {"class_name": "Flatten", "config": {"name": "flat"}},
            {"class_name": "Dense", "config": {"name": "answer", "units": 3, "activation": "softmax"}},
        ],
    },
}


def write_h5(path, description, **weights):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = description if isinstance(description, str | bytes) else json.dumps(description)
        for name, value in weights.items():
            file[name] = value
    return path


def small(layer=2, **changes):
    """Returns a small network with other settings of one layer."""
    description = copy.deepcopy(SMALL)
    description["config"]["layers"][layer]["config"] |= changes
    return description


def with_node(**changes):
    """Returns a small network whose last layer has another class, module or the like."""
    description = copy.deepcopy(SMALL)
    description["config"]["layers"][2] |= changes
    return description


def test_the_hostile_files_would_run_if_keras_were_let(model_zoo):
    ran = json.loads((model_zoo / "ran.json").read_text())
    assert [name for name in HOSTILE for suffix in SUFFIXES if not ran[name + suffix]] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [*HOSTILE, *NOT_KERAS_OWN])
def test_a_file_that_holds_code_is_refused_by_name_and_does_not_run(model_zoo, name, suffix):
    path = model_zoo / (name + suffix)
    for read in (inspect_model, load_model):
        with pytest.raises(ArtifactError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path} is refused: {(HOSTILE | NOT_KERAS_OWN)[name]}")
        assert "stock layers" in caught.value.hint
    assert list((model_zoo / "ran").iterdir()) == []


def test_a_refused_file_is_never_shown_to_keras(model_zoo, python):
    code = """
import sys
from pathlib import Path
from fer_core.errors import ArtifactError
from fer_core.store.artifacts import load_model
for path in sys.argv[1:]:
    try:
        load_model(Path(path))
    except ArtifactError as error:
        print(error)
print(sorted({"keras", "tensorflow", "jax"} & set(sys.modules)))
"""
    answer = python(code, *(model_zoo / (name + suffix) for name in HOSTILE for suffix in SUFFIXES))
    *refusals, loaded = answer.stdout.splitlines()
    assert len(refusals) == 2 * len(HOSTILE)
    assert loaded == "[]"


@pytest.mark.parametrize("name", ["attention", "baseline", "compact", "deep_l2", "smoke", "tapered", "weighted_loss"])
def test_our_own_networks_pass(model_zoo, name):
    assert inspect_model(model_zoo / f"own_{name}.h5") == ModelMetadata((48, 48, 1), 3, True)


def test_every_network_of_the_project_is_in_the_test_above(model_zoo):
    from fer_core import networks

    assert sorted(path.stem for path in model_zoo.glob("own_*.h5")) == [f"own_{name}" for name in networks.names()]


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("many_layers.h5", ModelMetadata((16, 16, 1), 3, True)),
        ("many_layers.keras", ModelMetadata((16, 16, 1), 3, True)),
        ("nested.h5", ModelMetadata((16, 16, 1), 3, False)),
        ("nested.keras", ModelMetadata((16, 16, 1), 3, False)),
        ("own_compact.keras", ModelMetadata((48, 48, 1), 3, True)),
        ("keras_2.hdf5", ModelMetadata((64, 64, 1), 7, False)),
    ],
)
def test_stock_models_of_present_and_past_keras_pass_and_load(model_zoo, name, metadata):
    assert inspect_model(model_zoo / name) == metadata
    model = load_model(model_zoo / name)
    assert model.input_shape[1:] == metadata.input_shape
    assert model.output_shape[-1] == metadata.outputs


def test_the_models_that_come_with_the_project_pass():
    assert inspect_model(SHIPPED / "model.h5") == ModelMetadata((48, 48, 1), 7, True)


@pytest.mark.parametrize(
    ("description", "objection"),
    [
        (with_node(class_name="TFSMLayer"), "the layer 'answer' is of the class 'TFSMLayer'"),
        (with_node(class_name="StringLookup"), "the layer 'answer' is of the class 'StringLookup'"),
        (with_node(class_name="deserialize"), "the layer 'answer' is of the class 'deserialize'"),
        (with_node(class_name="add"), "the layer 'answer' is of the class 'add'"),
        (with_node(class_name=["Dense"]), r"the layer 'answer' is of the class \"\['Dense'\]\""),
        (with_node(class_name=None), "the layer 'answer' is of the class None"),
        (with_node(module="os"), "the layer 'answer' is of the class 'Dense' of 'os'"),
        (with_node(module="keras.src.ops.numpy", class_name="Add"), "'Add' of 'keras.src.ops.numpy'"),
        (with_node(module=["keras.layers"]), "is of the class 'Dense' of "),
        (with_node(registered_name="mine>Dense"), "the layer 'answer' is of the class 'mine>Dense'"),
        (with_node(class_name="function", config="system", module="os"), "is the function 'system'"),
        (small(activation="system"), "the activation of the layer 'answer' is 'system', which is no activation"),
        (small(activation={"value": ["4wEAAAA", None, None]}), "the activation of the layer 'answer' is a function of"),
        (small(activation=["relu"]), "the activation of the layer 'answer' is a function of its own"),
        (small(activation={"class_name": "Dense", "config": {"units": 3}}), "answer' is no activation of Keras"),
        (small(activation={"class_name": "function", "config": "f", "module": "builtins"}), "is the function 'f'"),
        (small(recurrent_activation="mine"), "the recurrent_activation of the layer 'answer' is 'mine'"),
        (small(kernel_initializer="mine"), "the kernel_initializer of the layer 'answer' is 'mine', which is none of"),
        (
            small(kernel_regularizer={"class_name": "Mine", "config": {}}),
            "the kernel_regularizer of the layer 'answer' is",
        ),
        (
            small(bias_constraint={"class_name": "__lambda__", "config": {}}),
            "the bias_constraint .* is a lambda, which",
        ),
        (
            small(dtype={"class_name": "MyPolicy", "config": {"name": "float32"}}),
            "the dtype of the layer 'answer' is of",
        ),
        (small(anything={"class_name": "__typespec__", "config": []}), "the anything of .* is a type of TensorFlow"),
        (small(anything={"class_name": "CompositeTensor", "spec": {}}), "the anything of .* 'CompositeTensor'"),
        (with_node(inbound_nodes=[[["flat", 0, 0, {"mask": {"class_name": "Lambda"}}]]]), "the mask of .* is a Lambda"),
        (with_node(compile_config={"loss": "mse"}), "the compile_config of the layer 'answer' would be loaded too"),
        (small(units=10**12), "the units of the layer 'answer' is 1000000000000; more than 8,192 is refused"),
        (small(units=1e12), "the units of the layer 'answer' is 1000000000000.0; more than 8,192"),
        (small(kernel_size={"class_name": "__tuple__", "items": [3, 10**6]}), "the kernel_size .* more than 512"),
        (small(layer=0, batch_shape=[None, 10**5, 10**5, 1]), "the batch_shape of the layer 'picture' is 100000"),
        (small(n=-(10**30)), "the n of the layer 'answer' is -1000"),
        (
            {"class_name": "Lambda", "config": {"name": "x"}},
            "the model is of the class 'Lambda', which is no stock model",
        ),
        ({"class_name": "MyModel", "config": {}, "registered_name": "mine>MyModel"}, "of the class 'mine>MyModel'"),
        (
            {"class_name": "Sequential", "config": [{"class_name": "Lambda", "config": {}}]},
            "a layer without a name is a",
        ),
        ([], "it describes no network"),
        ({"class_name": "Sequential"}, "it describes no network"),
        ("text", "it describes no network"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(tmp_path, description, objection):
    path = write_h5(tmp_path / "model.h5", json.dumps(description))
    with pytest.raises(ArtifactError, match=rf"model\.h5 is refused: .*{objection}"):
        inspect_model(path)


def test_the_small_network_of_these_tests_passes_without_changes(tmp_path):
    path = write_h5(tmp_path / "model.h5", json.dumps(SMALL).encode(), model_weights=np.ones(3))
    assert inspect_model(path) == ModelMetadata((16, 16, 1), 3, False)


def test_numbers_that_mean_no_size_may_be_large(tmp_path):
    description = small(kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": 2**40}})
    assert inspect_model(write_h5(tmp_path / "model.h5", description)).outputs == 3


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "{", "", '{"a": 1' + "0" * 5000 + "}", b"\xff\xfe{"]
)
def test_json_that_is_a_trap_or_torn_is_refused(tmp_path, text):
    with pytest.raises(ArtifactError, match=r"model\.h5 cannot be read as a Keras model: it is damaged"):
        inspect_model(write_h5(tmp_path / "model.h5", text))


def test_a_description_that_is_nested_or_repeated_without_end_is_refused(tmp_path):
    nested = SMALL
    for _ in range(30):
        nested = {"class_name": "Sequential", "config": {"name": "x", "layers": [nested]}}
    with pytest.raises(ArtifactError, match="it is nested more than 60 deep"):
        inspect_model(write_h5(tmp_path / "deep.h5", nested))
    with pytest.raises(ArtifactError, match="it has more than 300,000 parts"):
        inspect_model(write_h5(tmp_path / "long.h5", small(anything=[0] * 300_001)))


def test_a_model_for_two_inputs_and_one_that_names_no_layers_are_named(tmp_path):
    config = {"name": "two", "layers": [], "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["c", 0, 0]]}
    with pytest.raises(ArtifactError, match=r"two\.h5 describes no network that can be used .*it takes 2 inputs"):
        inspect_model(write_h5(tmp_path / "two.h5", {"class_name": "Functional", "config": config}))
    with pytest.raises(ArtifactError, match=r"none\.h5 describes no network that can be used .*'layers'"):
        inspect_model(write_h5(tmp_path / "none.h5", {"class_name": "Model", "config": {}}))


def test_weights_without_a_network_are_named_as_that(model_zoo):
    with pytest.raises(ArtifactError, match="it holds weights only, without the network") as caught:
        inspect_model(model_zoo / "only.weights.h5")
    assert "model.save(path)" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"no model", b"\x89HDF\r\n\x1a\n torn", b"PK\x03\x04 torn"])
@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model.keras", "model.bin", "model"])
def test_a_file_that_is_no_model_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name} cannot be read as a Keras model: "):
        inspect_model(tmp_path / name)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    for path in (tmp_path, tmp_path / "none.keras"):
        with pytest.raises(ArtifactError, match="There is no model file"):
            inspect_model(path)


@pytest.mark.parametrize("name", ["many_layers.h5", "many_layers.keras"])
def test_a_file_that_was_cut_off_anywhere_is_named(model_zoo, tmp_path, name):
    whole = (model_zoo / name).read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="cannot be read as a Keras model"):
            inspect_model(tmp_path / name)


@pytest.fixture
def archive(model_zoo, tmp_path):
    """A good .keras to be changed."""
    return Path(shutil.copy(model_zoo / "many_layers.keras", tmp_path))


@pytest.mark.parametrize("name", ["assets/vocabulary.txt", "model.weights.npz", "../outside.txt"])
def test_an_archive_that_holds_more_than_a_model_is_refused(archive, name):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"x")
    with pytest.raises(ArtifactError, match=f"is refused: it holds more than a model: '{name}'"):
        inspect_model(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_descriptions_is_refused(archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("config.json", json.dumps(SMALL))
    with pytest.raises(ArtifactError, match="it holds more than a model: 'two files of one name'"):
        inspect_model(archive)


def test_an_archive_without_weights_or_description_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as file:
        file.writestr("metadata.json", "{}")
    with pytest.raises(ArtifactError, match=r"it has no config\.json and no model\.weights\.h5"):
        inspect_model(tmp_path / "empty.keras")


@pytest.mark.parametrize(("name", "megabytes"), [("config.json", 17), ("model.weights.h5", 70)])
def test_an_archive_that_would_grow_without_bounds_is_refused(tmp_path, name, megabytes):
    members = {"config.json": json.dumps(SMALL), "model.weights.h5": b"", name: bytes(megabytes * 2**20)}
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member, content)
    assert (tmp_path / "bomb.keras").stat().st_size < 200_000
    with pytest.raises(ArtifactError, match=rf"is refused: {name} in it is too large"):
        inspect_model(tmp_path / "bomb.keras")


def external_data(file):
    file.create_dataset("model_weights/w", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def virtual_data(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "w", (4,))
    file.create_virtual_dataset("model_weights", layout)


def external_link(file):
    file["model_weights"] = h5py.ExternalLink("/elsewhere.h5", "/w")


def soft_link(file):
    file["model_weights"] = h5py.SoftLink("/other")


def text(file):
    file["model_weights/w"] = np.array([b"text"])


def large_array(file):
    file.create_dataset("model_weights/w", (10**9,), "f4", chunks=(10**6,))


def many_arrays(file):
    for number in range(5):
        file.create_dataset(f"model_weights/{number}", (149_000_000,), "f4", chunks=(10**6,))


def add_lists(item, name):
    """Gives an attribute of a type that HDF5 reads beyond its memory when the file was tampered with."""
    lists = np.empty(1, object)
    lists[0] = np.arange(2, dtype="i4")
    item.attrs.create(name, lists, dtype=h5py.vlen_dtype("i4"))


def lists_as_attribute(file):
    file["model_weights/w"] = 1.0
    add_lists(file["model_weights/w"], "names")


def named_type(file):
    file["model_weights"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("add", "objection"),
    [
        (external_data, "the weights '/model_weights/w' lie in another file"),
        (virtual_data, "the weights '/model_weights' lie in another file"),
        (external_link, r"'model_weights' in it points elsewhere \(ExternalLink\)"),
        (soft_link, r"'model_weights' in it points elsewhere \(SoftLink\)"),
        (text, "the weights '/model_weights/w' are no numbers"),
        (large_array, "the weights '/model_weights/w' are 1,000,000,000 numbers"),
        (many_arrays, "it has more than 500,000,000 weights"),
        (lists_as_attribute, "the attribute 'names' in it is neither text nor numbers"),
        (named_type, "'/model_weights' in it is no weights"),
    ],
)
def test_weights_that_are_more_than_numbers_of_this_file_are_refused(tmp_path, add, objection):
    path = write_h5(tmp_path / "model.h5", SMALL)
    with h5py.File(path, "r+") as file:
        add(file)
    with pytest.raises(ArtifactError, match=f"is refused: {objection}"):
        inspect_model(path)


def test_a_description_that_is_no_text_is_refused_before_it_is_read(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        add_lists(file, "model_config")
    with pytest.raises(ArtifactError, match="the attribute 'model_config' in it is neither text nor numbers"):
        inspect_model(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = [1, 2]
    with pytest.raises(ArtifactError, match="what should describe its network is no text"):
        inspect_model(tmp_path / "model.h5")


def own_group(file):
    file["model_weights/again"] = file["/"]


def two_names(file):
    file["model_weights/w"] = np.ones(3)
    file["model_weights/again"] = file["model_weights/w"]


def listed(file, *names, group="model_weights", kind="weight_names"):
    file.require_group(group).attrs[kind] = np.array(names, "S")


def named_40_times(file):
    file["model_weights/w"] = np.ones(3)
    listed(file, *["w"] * 40)


def named_in_other_ways(file):
    file["model_weights/w"] = np.ones(3)
    listed(file, "w", "./w")


def layer_named_twice(file):
    listed(file, "a", "a", kind="layer_names0")


def large_numbers(file):
    file.create_dataset("model_weights/w", (1000,), np.longdouble, chunks=(10,))


def never_written(file):
    file.create_dataset("model_weights/w", (20_000_000,), "f4", chunks=(10**6,))


def in_groups_in_each_other(file):
    path = "/".join("abcdefgh")
    file.create_dataset(f"{path}/w", (3_000_000,), "f4", chunks=(10**6,))
    for depth in range(8):
        group = "/".join("abcdefgh"[: depth + 1])
        listed(file, "/".join(["abcdefgh"[place] for place in range(depth + 1, 8)] + ["w"]), group=group)


def long_attribute(file):
    listed(file, "x" * 60_000)
    file["model_weights/w"] = np.ones(3)
    file["model_weights/w"].attrs.create("notes", np.zeros(2**22 + 1, "f4"))


@pytest.mark.parametrize(
    ("add", "objection"),
    [
        (own_group, "'/model_weights/again' in it is there under another name too"),
        (two_names, "'/model_weights/w' in it is there under another name too"),
        (named_40_times, "the names in '/model_weights' are more than 50,000, or one of them is there twice"),
        (layer_named_twice, "the names in '/model_weights' are more than 50,000, or one of them is there twice"),
        (named_in_other_ways, "the names in '/model_weights' lead elsewhere"),
        (large_numbers, "the weights '/model_weights/w' are numbers of 16 bytes"),
        (never_written, "its weights have 80,000,000 bytes, most of which are not in it"),
        (in_groups_in_each_other, "its weights have 96,000,000 bytes, most of which are not in it"),
        (long_attribute, "the attribute 'notes' in it is far too long"),
    ],
)
def test_weights_that_would_be_read_again_and_again_are_refused(tmp_path, add, objection):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["model_config"] = json.dumps(SMALL)
        add(file)
    with pytest.raises(ArtifactError, match=f"is refused: {objection}") as caught:
        inspect_model(path)
    assert "code" not in caught.value.hint


def test_weights_beyond_a_third_of_the_memory_are_refused(tmp_path, monkeypatch):
    path = write_h5(tmp_path / "model.h5", SMALL, model_weights=np.ones(1000))
    monkeypatch.setattr(weights, "memory_bytes", lambda: 20_000)
    with pytest.raises(ArtifactError, match="8,000 bytes, more than a third of this machine's memory"):
        inspect_model(path)


def called_often(times):
    """Returns models in each other, each of which calls the one in it that often."""
    inner = {"class_name": "Activation", "config": {"name": "x", "activation": "relu"}}
    for _ in range(12):
        inner = inner | {"inbound_nodes": [[["x", 0, 0, {}]]] * times}
        inner = {"class_name": "Functional", "config": {"name": "x", "layers": [inner]}}
    return inner


def test_models_that_call_each_other_again_and_again_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="its layers are called more than 3,000 times") as caught:
        inspect_model(write_h5(tmp_path / "often.h5", called_often(2)))
    assert "code" not in caught.value.hint
    assert first_objection(called_often(1)) is None


@pytest.mark.parametrize("name", ["Convolution2D", "MaxoutDense", "ThresholdedReLU"])
def test_a_class_of_an_older_keras_is_called_that(tmp_path, name):
    with pytest.raises(ArtifactError, match=f"the class '{name}' of an older Keras") as caught:
        inspect_model(write_h5(tmp_path / "old.h5", with_node(class_name=name)))
    assert "code" not in caught.value.hint


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_packed_as_keras_packs_none_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "model.keras", "w", method) as file:
        file.writestr("config.json", json.dumps(SMALL))
        file.writestr("model.weights.h5", b"")
    with pytest.raises(ArtifactError, match=r"config\.json in it is packed in a way that Keras does not use"):
        inspect_model(tmp_path / "model.keras")


def paths_in(tree, path=()):
    """Returns the paths of all values of a tree of dicts and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, item in inside for place in paths_in(item, (*path, key)))]


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    inside = tree
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return tree


DESCRIPTION = json.loads((SHIPPED / "model.json").read_text())
PATHS = paths_in(DESCRIPTION)[1:]
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inside: some.lists(inside, max_size=3) | some.dictionaries(some.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
NAMES = some.sampled_from(["Dense", "Functional", "__tuple__", "TensorShape", "Activation", "function", "Conv2D", "x"])


def inspected(description):
    with tempfile.TemporaryDirectory() as folder:
        return inspect_model(write_h5(Path(folder, "model.h5"), description))


@settings(max_examples=100, deadline=None, database=None)
@given(some.sampled_from(PATHS), JSON | NAMES | some.fixed_dictionaries({"class_name": NAMES, "config": JSON}))
def test_whatever_is_changed_in_a_description_it_passes_or_is_named(path, value):
    try:
        metadata = inspected(changed(DESCRIPTION, path, value))
    except ArtifactError as error:
        assert str(error).endswith(".") and error.hint
    else:
        assert isinstance(metadata, ModelMetadata)


@settings(max_examples=50, deadline=None, database=None)
@given(some.sampled_from(PATHS), some.sampled_from(["Lambda", "__lambda__", "Own", "mine>Own", "os.system"]))
def test_wherever_code_is_put_into_a_description_it_is_refused(path, name):
    with pytest.raises(ArtifactError, match="is refused"):
        inspected(changed(DESCRIPTION, path, {"class_name": name, "config": {"name": "bad"}}))


def test_the_metadata_is_that_which_is_found_without_a_child():
    path = SHIPPED / "model.h5"
    assert inspect_apart(path) == inspect_model(path)


def test_a_refusal_is_told_with_the_same_words(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"no model")
    with pytest.raises(ArtifactError) as direct:
        inspect_model(path)
    with pytest.raises(ArtifactError) as apart:
        inspect_apart(path)
    assert (str(apart.value), apart.value.hint) == (str(direct.value), direct.value.hint)


def test_a_file_that_does_not_exist_needs_no_child(tmp_path):
    with pytest.raises(ArtifactError, match="There is no model file"):
        inspect_apart(tmp_path / "none.h5")


def test_a_reader_that_hangs_is_ended(tmp_path):
    path = SHIPPED / "model.h5"
    with pytest.raises(ArtifactError, match=r"took longer than 0\.01 s"):
        inspect_apart(path, longest_seconds=0.01)


def test_a_reader_that_crashes_is_told(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with pytest.raises(ArtifactError, match=r"crashed \(exit code -11\)"):
        inspect_apart(SHIPPED / "model.h5")

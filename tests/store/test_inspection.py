"""Model files are looked into before Keras is: what could run code, or take all memory, is refused and named."""

import copy
import json
import os
import shutil
import tempfile
import zipfile
from functools import reduce
from operator import getitem
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from fer_core import networks
from fer_core.errors import ArtifactError
from fer_core.store import inspection
from fer_core.store.architecture import ModelMetadata, first_objection
from fer_core.store.artifacts import load_model
from fer_core.store.inspection import inspect_apart, inspect_model
from fer_core.store.runs import SHIPPED_BEST

CODE = {
    "lambda_at_top": "the layer 'bad' is a Lambda, which is code",
    "lambda_in_a_nested_model": "the layer 'bad' is a Lambda, which is code",
    "lambda_in_a_wrapper": "the layer 'bad' is a Lambda, which is code",
    "custom_class": "the layer 'bad' is of the class 'Own'",
    "activation_lambda": "the activation of the layer 'bad' is a function of its own, which is code",
    "initializer_function": "the kernel_initializer of the layer 'bad' is the function 'own_initializer'",
}
KERAS_RUNS = list(CODE)[:4]
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


def refused(path, *, match):
    with pytest.raises(ArtifactError, match=match) as caught:
        inspect_model(path)
    return caught.value


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", CODE)
def test_a_file_that_holds_code_is_refused_by_name_and_does_not_run(model_zoo, name, suffix):
    path = model_zoo / (name + suffix)
    for read in (inspect_model, load_model):
        with pytest.raises(ArtifactError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path} is refused: {CODE[name]}")
        assert "stock layers" in caught.value.hint
    assert list((model_zoo / "ran").iterdir()) == []
    has_run = json.loads((model_zoo / "ran.json").read_text())[path.name]
    assert has_run == (name in KERAS_RUNS), "Keras runs it where it is let"


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
    answer = python(code, *(model_zoo / (name + suffix) for name in KERAS_RUNS for suffix in SUFFIXES))
    *refusals, loaded = answer.stdout.splitlines()
    assert (len(refusals), loaded) == (2 * len(KERAS_RUNS), "[]")


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")
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
    assert (model.input_shape[1:], model.output_shape[-1]) == (metadata.input_shape, metadata.outputs)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.isfinite(np.asarray(model(np.zeros((1, *metadata.input_shape), np.float32)))).all()


def test_our_own_networks_and_the_shipped_model_pass(model_zoo):
    for name in networks.names():
        assert inspect_model(model_zoo / f"own_{name}.h5") == ModelMetadata((48, 48, 1), 3, True)
    assert inspect_model(SHIPPED_BEST / "model.h5") == ModelMetadata((48, 48, 1), 7, True)


@pytest.mark.parametrize(
    ("description", "objection"),
    [
        (with_node(class_name="TFSMLayer"), "the layer 'answer' is of the class 'TFSMLayer'"),
        (with_node(class_name="deserialize"), "the layer 'answer' is of the class 'deserialize'"),
        (with_node(class_name=["Dense"]), r"the layer 'answer' is of the class \"\['Dense'\]\""),
        (with_node(module=["keras.layers"]), "is of the class 'Dense' of "),
        (with_node(class_name=None), "the layer 'answer' is of the class None"),
        (with_node(module="os"), "the layer 'answer' is of the class 'Dense' of 'os'"),
        (with_node(module="keras.src.ops.numpy", class_name="Add"), "'Add' of 'keras.src.ops.numpy'"),
        (with_node(registered_name="mine>Dense"), "the layer 'answer' is of the class 'mine>Dense'"),
        (with_node(class_name="function", config="system", module="os"), "is the function 'system'"),
        (with_node(compile_config={"loss": "mse"}), "the compile_config of the layer 'answer' would be loaded too"),
        (with_node(inbound_nodes=[[["flat", 0, 0, {"mask": {"class_name": "Lambda"}}]]]), "the mask of .* is a Lambda"),
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
        (small(layer=0, batch_shape=[None, 10**5, 10**5, 1]), "the batch_shape of the layer 'picture' is 100000"),
        (small(n=-(10**30)), "the n of the layer 'answer' is -1000"),
        (small(anything=[0] * 300_001), "it has more than 300,000 parts"),
        ({"class_name": "Lambda", "config": {"name": "x"}}, "the model is of the class 'Lambda', which is no stock"),
        ({"class_name": "MyModel", "config": {}, "registered_name": "mine>MyModel"}, "of the class 'mine>MyModel'"),
        ({"class_name": "Sequential", "config": [{"class_name": "Lambda"}]}, "a layer without a name is a"),
        ([], "it describes no network"),
        ("text", "it describes no network"),
    ],
    ids=range(31),
)
def test_what_is_not_on_the_list_is_refused_by_name(tmp_path, description, objection):
    path = write_h5(tmp_path / "model.h5", json.dumps(description))
    refused(path, match=rf"model\.h5 is refused: .*{objection}")


def test_what_is_harmless_passes(tmp_path):
    path = write_h5(tmp_path / "model.h5", json.dumps(SMALL).encode(), model_weights=np.ones(3))
    assert inspect_model(path) == ModelMetadata((16, 16, 1), 3, False)
    no_size = small(kernel_initializer={"class_name": "GlorotUniform", "config": {"seed": 2**40}})
    assert inspect_model(write_h5(tmp_path / "model.h5", no_size)).outputs == 3


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "{", "", '{"a": 1' + "0" * 5000 + "}", b"\xff\xfe{"], ids=range(6)
)
def test_json_that_is_a_trap_or_torn_is_refused(tmp_path, text):
    path = write_h5(tmp_path / "model.h5", text)
    refused(path, match=r"model\.h5 cannot be read as a Keras model: it is damaged")


def called_often(times):
    """Returns models in each other, each of which calls the one in it that often."""
    inner = {"class_name": "Activation", "config": {"name": "x", "activation": "relu"}}
    for _ in range(12):
        inner = inner | {"inbound_nodes": [[["x", 0, 0, {}]]] * times}
        inner = {"class_name": "Functional", "config": {"name": "x", "layers": [inner]}}
    return inner


def test_a_description_that_is_nested_or_calls_itself_without_end_is_refused(tmp_path):
    nested = SMALL
    for _ in range(30):
        nested = {"class_name": "Sequential", "config": {"name": "x", "layers": [nested]}}
    refused(write_h5(tmp_path / "deep.h5", nested), match="it is nested more than 60 deep")
    refused(write_h5(tmp_path / "often.h5", called_often(2)), match="its layers are called more than 3,000 times")
    assert first_objection(called_often(1)) is None


def test_a_network_that_cannot_be_used_is_named(tmp_path):
    two = copy.deepcopy(SMALL)
    two["config"]["layers"].insert(0, SMALL["config"]["layers"][0])
    refused(write_h5(tmp_path / "two.h5", two), match=r"two\.h5 describes no network .*it takes 2 inputs")
    none = {"class_name": "Model", "config": {}}
    refused(write_h5(tmp_path / "none.h5", none), match=r"none\.h5 describes no network that can be used .*'layers'")


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model.keras", "model.bin", "model"])
def test_a_file_that_is_no_model_or_weights_only_is_named(model_zoo, tmp_path, name):
    for content in (b"", b"no model", b"\x89HDF\r\n\x1a\n torn", b"PK\x03\x04 torn"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, match=rf"{name} cannot be read as a Keras model: ")
    error = refused(model_zoo / "only.weights.h5", match="it holds weights only, without the network")
    assert "model.save(path)" in error.hint


@pytest.mark.parametrize("name", ["many_layers.h5", "many_layers.keras"])
def test_a_file_that_was_cut_off_anywhere_is_named(model_zoo, tmp_path, name):
    whole = (model_zoo / name).read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / name).write_bytes(whole[:length])
        refused(tmp_path / name, match="cannot be read as a Keras model")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["assets/vocabulary.txt", "model.weights.npz", "../outside.txt", "config.json"])
def test_an_archive_that_holds_more_than_a_model_is_refused(model_zoo, tmp_path, name):
    archive = shutil.copy(model_zoo / "many_layers.keras", tmp_path)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, json.dumps(SMALL))
    what = "two files of one name" if name == "config.json" else name
    refused(Path(archive), match=f"is refused: it holds more than a model: '{what}'")


def write_archive(path, method=zipfile.ZIP_DEFLATED, **changes):
    members = {"config.json": json.dumps(SMALL), "model.weights.h5": b""} | changes
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            if content is not None:
                file.writestr(name, content)
    return path


@pytest.mark.parametrize(("name", "megabytes"), [("config.json", 17), ("model.weights.h5", 70)])
def test_an_archive_that_would_grow_without_bounds_is_refused(tmp_path, name, megabytes):
    path = write_archive(tmp_path / "bomb.keras", **{name: bytes(megabytes * 2**20)})
    assert path.stat().st_size < 200_000
    refused(path, match=rf"is refused: {name} in it is too large")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_packed_as_keras_packs_none_is_refused(tmp_path, method):
    path = write_archive(tmp_path / "model.keras", method)
    refused(path, match=r"config\.json in it is packed in a way that Keras does not use")


def test_an_archive_without_weights_or_description_is_named(tmp_path):
    path = write_archive(tmp_path / "empty.keras", **{"config.json": None, "model.weights.h5": None})
    refused(path, match=r"it has no config\.json and no model\.weights\.h5")


def virtual_data(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "w", (4,))
    file.create_virtual_dataset("model_weights", layout)


def many_arrays(file):
    for number in range(5):
        file.create_dataset(f"model_weights/{number}", (149_000_000,), "f4", chunks=(10**6,))


def add_lists(item, name):
    """Gives an attribute of a type that HDF5 reads beyond its memory when the file was tampered with."""
    lists = np.empty(1, object)
    lists[0] = np.arange(2, dtype="i4")
    item.attrs.create(name, lists, dtype=h5py.vlen_dtype("i4"))


def large_array(file, values=10**9, kind="f4"):
    file.create_dataset("model_weights/w", (values,), kind, chunks=(10**6,))


def two_names(file):
    file["model_weights/w"] = np.ones(3)
    file["model_weights/again"] = file["model_weights/w"]


def listed(file, *names, group="model_weights", kind="weight_names"):
    file.require_group(group).attrs[kind] = np.array(names, "S")


def in_groups_in_each_other(file):
    path = "/".join("abcdefgh")
    file.create_dataset(f"{path}/w", (3_000_000,), "f4", chunks=(10**6,))
    for depth in range(8):
        group = "/".join("abcdefgh"[: depth + 1])
        listed(file, "/".join(["abcdefgh"[place] for place in range(depth + 1, 8)] + ["w"]), group=group)


def put(path, value):
    return lambda file: file.__setitem__(path, value)


@pytest.mark.parametrize(
    ("add", "objection"),
    [
        (
            lambda file: file.create_dataset("w", (4,), "f4", external=[("/etc/hostname", 0, 16)]),
            "the weights '/w' lie in another file",
        ),
        (virtual_data, "the weights '/model_weights' lie in another file"),
        (put("w", h5py.ExternalLink("/elsewhere.h5", "/w")), r"'w' in it points elsewhere \(ExternalLink\)"),
        (put("w", h5py.SoftLink("/other")), r"'w' in it points elsewhere \(SoftLink\)"),
        (put("w", np.array([b"text"])), "the weights '/w' are no numbers"),
        (put("w", np.dtype("f4")), "'/w' in it is no weights"),
        (large_array, "the weights '/model_weights/w' are 1,000,000,000 numbers"),
        (many_arrays, "it has more than 500,000,000 weights"),
        (lambda file: add_lists(file.create_group("w"), "names"), "the attribute 'names' in it is neither text nor"),
        (
            lambda file: file.create_group("g").__setitem__("again", file["/"]),
            "'/g/again' in it is there under another",
        ),
        (two_names, "'/model_weights/(w|again)' in it is there under another name too"),
        (lambda file: listed(file, *["w"] * 40), "the names in '/model_weights' are more than 50,000, or one of them"),
        (lambda file: listed(file, "a", "a", kind="layer_names0"), "the names in '/model_weights' are more than"),
        (lambda file: listed(file, "w", "./w"), "the names in '/model_weights' lead elsewhere"),
        (lambda file: large_array(file, 10**6, np.longdouble), "the weights '/model_weights/w' are numbers of 16 byte"),
        (lambda file: large_array(file, 20_000_000), "its weights have 80,000,000 bytes, most of which are not in it"),
        (in_groups_in_each_other, "its weights have 96,000,000 bytes, most of which are not in it"),
        (
            lambda file: file.create_group("w").attrs.create("notes", np.zeros(2**22 + 1, "f4")),
            "the attribute 'notes' in it is far too long",
        ),
    ],
    ids=range(18),
)
def test_weights_that_are_more_than_numbers_of_this_file_or_read_often_are_refused(tmp_path, add, objection):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["model_config"] = json.dumps(SMALL)
        add(file)
    refused(path, match=f"is refused: {objection}")


def test_weights_beyond_a_third_of_the_memory_and_a_description_that_is_no_text_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.h5"
    for description, objection in (
        (
            lambda file: add_lists(file, "model_config"),
            "the attribute 'model_config' in it is neither text nor numbers",
        ),
        (lambda file: file.attrs.__setitem__("model_config", [1, 2]), "what should describe its network is no text"),
    ):
        with h5py.File(path, "w") as file:
            description(file)
        refused(path, match=objection)
    monkeypatch.setattr(inspection, "memory_bytes", lambda: 20_000)
    write_h5(path, SMALL, model_weights=np.ones(1000))
    refused(path, match="8,000 bytes, more than a third of this machine's memory")


def paths_in(tree, path=()):
    """Returns the paths of all values of a tree of dicts and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, item in inside for place in paths_in(item, (*path, key)))]


DESCRIPTION = json.loads((SHIPPED_BEST / "model.json").read_text())
PATHS = paths_in(DESCRIPTION)[1:]
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inside: some.lists(inside, max_size=3) | some.dictionaries(some.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
NAMES = some.sampled_from(["Dense", "Functional", "__tuple__", "TensorShape", "Activation", "function", "Conv2D", "x"])


@settings(max_examples=100, deadline=None, database=None)
@given(
    some.sampled_from(PATHS),
    JSON | NAMES | some.fixed_dictionaries({"class_name": NAMES, "config": JSON}),
    some.sampled_from(["Lambda", "__lambda__", "Own", "mine>Own", "os.system"]),
)
def test_whatever_is_changed_in_a_description_passes_or_is_named_and_code_is_refused(path, value, code):
    *outer, last = path
    for changed in (value, {"class_name": code, "config": {"name": "bad"}}):
        tree = copy.deepcopy(DESCRIPTION)
        reduce(getitem, outer, tree)[last] = changed
        with tempfile.TemporaryDirectory() as folder:
            try:
                metadata, error = inspect_model(write_h5(Path(folder, "model.h5"), tree)), None
            except ArtifactError as caught:
                error = caught
        assert isinstance(metadata, ModelMetadata) if error is None else str(error).endswith(".") and error.hint
    assert "is refused" in str(error)


def test_a_process_of_its_own_finds_and_refuses_the_same(tmp_path):
    path = SHIPPED_BEST / "model.h5"
    assert inspect_apart(path) == inspect_model(path)
    (tmp_path / "weights.h5").write_bytes(b"no model")
    expected = refused(tmp_path / "weights.h5", match="it is no HDF5 file")
    with pytest.raises(ArtifactError) as apart:
        inspect_apart(tmp_path / "weights.h5")
    assert (str(apart.value), apart.value.hint) == (str(expected), expected.hint)


def test_a_file_that_is_none_a_reader_that_hangs_and_one_that_crashes_are_named(tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "none.keras"):
        for inspect in (inspect_model, inspect_apart):
            with pytest.raises(ArtifactError, match="There is no model file"):
                inspect(path)
    with pytest.raises(ArtifactError, match=r"took longer than 0\.01 s"):
        inspect_apart(SHIPPED_BEST / "model.h5", longest_seconds=0.01)
    (tmp_path / "h5py.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with pytest.raises(ArtifactError, match=r"crashed \(exit code -11\)"):
        inspect_apart(SHIPPED_BEST / "model.h5")

"""Model files are looked into before Keras is: what could run code, or take all memory, is refused and named."""

import json
import os
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST
from fer_core.store import inspection
from fer_core.store.architecture import ModelMetadata
from fer_core.store.artifacts import load_model
from fer_core.store.inspection import inspect_apart, inspect_model

CODE = {
    **dict.fromkeys(
        ("lambda_at_top", "lambda_in_a_nested_model", "lambda_in_a_wrapper"),
        "the layer 'bad' is a Lambda, which is code",
    ),
    "custom_class": "the layer 'bad' is of the class 'Own'",
    "activation_lambda": "the activation of the layer 'bad' is a function of its own, which is code",
    "initializer_function": "the kernel_initializer of the layer 'bad' is the function 'own_initializer'",
}
KERAS_RUNS = list(CODE)[:4]
SUFFIXES = (".h5", ".keras")
SMALL = """{"class_name": "Sequential", "config": {"name": "small", "layers": [
    {"class_name": "InputLayer", "config": {"batch_shape": [null, 16, 16, 1], "name": "picture"}},
    {"class_name": "Flatten", "config": {"name": "flat"}},
    {"class_name": "Dense", "config": {"name": "answer", "units": 3, "activation": "softmax"}}
]}}"""


def write_h5(path, description=SMALL, **weights):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = description
        for name, value in weights.items():
            file[name] = value
    return path


def refused(path, message):
    with pytest.raises(ArtifactError, match=message) as caught:
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
    answer = python(code, *(model_zoo / (KERAS_RUNS[0] + suffix) for suffix in SUFFIXES))
    *refusals, loaded = answer.stdout.splitlines()
    assert (len(refusals), loaded) == (len(SUFFIXES), "[]")


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        *((f"many_layers{suffix}", ModelMetadata((16, 16, 1), 3, True)) for suffix in SUFFIXES),
        *((f"nested{suffix}", ModelMetadata((16, 16, 1), 3, False)) for suffix in SUFFIXES),
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


def test_the_shipped_model_and_what_is_harmless_pass(tmp_path):
    assert inspect_model(SHIPPED_BEST / "model.h5") == ModelMetadata((48, 48, 1), 7, True)
    for description in (SMALL, SMALL.encode()):
        path = write_h5(tmp_path / "model.h5", description, model_weights=np.ones(3))
        assert inspect_model(path) == ModelMetadata((16, 16, 1), 3, False)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "{", "", '{"a": 1' + "0" * 5000 + "}", b"\xff\xfe{"], ids=range(6)
)
def test_json_that_is_a_trap_or_torn_is_refused(tmp_path, text):
    refused(write_h5(tmp_path / "model.h5", text), r"model\.h5 cannot be read as a Keras model: it is damaged")


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model.keras", "model.bin", "model"])
def test_a_file_that_is_no_model_or_weights_only_is_named(model_zoo, tmp_path, name):
    for content in (b"", b"no model", b"\x89HDF\r\n\x1a\n torn", b"PK\x03\x04 torn"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, rf"{name} cannot be read as a Keras model: ")
    error = refused(model_zoo / "only.weights.h5", "it holds weights only, without the network")
    assert "model.save(path)" in error.hint


@pytest.mark.parametrize("name", ["many_layers.h5", "many_layers.keras"])
def test_a_file_that_was_cut_off_anywhere_is_named(model_zoo, tmp_path, name):
    whole = (model_zoo / name).read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / name).write_bytes(whole[:length])
        refused(tmp_path / name, "cannot be read as a Keras model")


TOO_LARGE = {"config.json": 17 * 2**20, "model.weights.h5": 70 * 2**20}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("method", "members", "message"),
    [
        *(
            (zipfile.ZIP_DEFLATED, [(name, b"x")], f"it holds more than a model: '{name}'")
            for name in ("assets/vocabulary.txt", "model.weights.npz", "../outside.txt")
        ),
        (zipfile.ZIP_DEFLATED, [("config.json", b"{}")] * 2, "it holds more than a model: 'two files of one name'"),
        *((zipfile.ZIP_DEFLATED, [one], f"{one[0]} in it is too large") for one in TOO_LARGE.items()),
        (zipfile.ZIP_DEFLATED, [], r"it has no config\.json and no model\.weights\.h5"),
        (zipfile.ZIP_BZIP2, [("config.json", b"{}")], "config.json in it is packed in a way that Keras does not use"),
        (zipfile.ZIP_LZMA, [("config.json", b"{}")], "config.json in it is packed in a way that Keras does not use"),
    ],
    ids=range(9),
)
def test_an_archive_that_holds_more_or_less_than_a_model_or_would_grow_without_bounds_is_refused(
    tmp_path, method, members, message
):
    with zipfile.ZipFile(tmp_path / "model.keras", "w", method) as file:
        for name, content in members:
            file.writestr(name, bytes(content))
    refused(tmp_path / "model.keras", message)


def of_another_file(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "w", (4,))
    file.create_virtual_dataset("model_weights", layout)


def announced(*, arrays=1, values=10**9, kind="f4"):
    """Arrays that take no room in the file."""
    return lambda file: [file.create_dataset(f"w/{n}", (values,), kind, chunks=(10**6,)) for n in range(arrays)]


def lists(name, file):
    """Gives an attribute of a type that HDF5 reads beyond its memory when the file was tampered with."""
    value = np.empty(1, object)
    value[0] = np.arange(2, dtype="i4")
    file.attrs.create(name, value, dtype=h5py.vlen_dtype("i4"))


def two_names(file):
    file["w/w"] = np.ones(3)
    file["w/again"] = file["w/w"]


def listed(*names, group="w", kind="weight_names"):
    return lambda file: file.require_group(group).attrs.__setitem__(kind, np.array(names, "S"))


def in_groups_in_each_other(file):
    names = [*"abcdefgh", "w"]
    file.create_dataset("/".join(names), (3_000_000,), "f4", chunks=(10**6,))
    for depth in range(1, 9):
        listed("/".join(names[depth:]), group="/".join(names[:depth]))(file)


def put(name, value):
    return lambda file: file.__setitem__(name, value)


@pytest.mark.parametrize(
    ("add", "objection"),
    [
        (lambda file: file.create_dataset("w", (4,), "f4", external=[("/etc/hostname", 0, 16)]), "'/w' lie in another"),
        (of_another_file, "the weights '/model_weights' lie in another file"),
        (put("w", h5py.ExternalLink("/elsewhere.h5", "/w")), r"'w' in it points elsewhere \(ExternalLink\)"),
        (put("w", h5py.SoftLink("/other")), r"'w' in it points elsewhere \(SoftLink\)"),
        (put("w", np.array([b"text"])), "the weights '/w' are no numbers"),
        (put("w", np.dtype("f4")), "'/w' in it is no weights"),
        (announced(), "the weights '/w/0' are 1,000,000,000 numbers"),
        (announced(arrays=5, values=149_000_000), "it has more than 500,000,000 weights"),
        (partial(lists, "names"), "the attribute 'names' in it is neither text nor numbers"),
        (lambda file: file.create_group("g").__setitem__("again", file["/"]), "'/g/again' in it is there under anoth"),
        (two_names, "'/w/(w|again)' in it is there under another name too"),
        (listed(*["w"] * 40), "the names in '/w' are more than 50,000, or one of them"),
        (listed("a", "a", kind="layer_names0"), "the names in '/w' are more than"),
        (listed("w", "./w"), "the names in '/w' lead elsewhere"),
        (announced(values=10**6, kind=np.longdouble), "the weights '/w/0' are numbers of 16 byte"),
        (announced(values=20_000_000), "its weights have 80,000,000 bytes, most of which are not in it"),
        (in_groups_in_each_other, "its weights have 96,000,000 bytes, most of which are not in it"),
        (lambda file: file.attrs.create("notes", np.zeros(2**22 + 1, "f4")), "the attribute 'notes' .* far too long"),
        (partial(lists, "model_config"), "the attribute 'model_config' in it is neither text nor numbers"),
    ],
    ids=range(19),
)
def test_weights_that_are_more_than_numbers_of_this_file_or_read_often_are_refused(tmp_path, add, objection):
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        file.attrs["model_config"] = SMALL
        add(file)
    refused(tmp_path / "model.h5", f"is refused: .*{objection}")


def test_weights_beyond_a_third_of_the_memory_and_a_description_that_is_no_text_are_refused(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = [1, 2]
    refused(tmp_path / "model.h5", "what should describe its network is no text")
    monkeypatch.setattr(inspection, "memory_bytes", lambda: 20_000)
    path = write_h5(tmp_path / "model.h5", model_weights=np.ones(1000))
    refused(path, "8,000 bytes, more than a third of this machine's memory")


def test_a_process_of_its_own_finds_the_same_and_names_a_reader_that_hangs_or_crashes(tmp_path, monkeypatch):
    shipped, no_model = SHIPPED_BEST / "model.h5", tmp_path / "weights.h5"
    assert inspect_apart(shipped) == inspect_model(shipped)
    no_model.write_bytes(b"no model")
    expected = refused(no_model, r"it is neither an HDF5 file nor a \.keras archive")
    with pytest.raises(ArtifactError) as apart:
        inspect_apart(no_model)
    assert (str(apart.value), apart.value.hint) == (str(expected), expected.hint)
    for path in (tmp_path, tmp_path / "none.keras"):
        for inspect in (inspect_model, inspect_apart):
            with pytest.raises(ArtifactError, match="There is no model file"):
                inspect(path)
    with pytest.raises(ArtifactError, match=r"took longer than 0\.01 s"):
        inspect_apart(shipped, longest_seconds=0.01)
    (tmp_path / "h5py.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    with pytest.raises(ArtifactError, match=r"crashed \(exit code -11\)"):
        inspect_apart(shipped)

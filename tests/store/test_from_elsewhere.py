"""Models as other people save them: by older versions of Keras, in two files, under any name, with any labels."""

import json
import shutil

import h5py
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.store.artifacts import load_model
from fer_core.store.foreign import LABELS_BESIDE, read_labels
from fer_core.store.inspection import inspect_model
from fer_core.store.model_files import find_model

NAMES = ("angry", "happy", "sad")


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", ["keras_2.hdf5", "bare_list.h5"])
def test_a_model_of_keras_2_answers_as_the_same_network_of_keras_3(model_zoo, name):
    known = np.load((model_zoo / name).with_suffix(".npz"))
    answers = np.asarray(load_model(model_zoo / name)(known["pictures"], training=False))
    np.testing.assert_allclose(answers, known["answers"], atol=1e-6)
    assert known["answers"].std(axis=0).max() > 1e-4, "or it would answer the same whatever it sees"


def with_description(path, change, version="2.4.0"):
    with h5py.File(path, "r+") as file:
        description = json.loads(file.attrs["model_config"])
        change(description)
        file.attrs["model_config"] = json.dumps(description)
        file.attrs["keras_version"] = version
    return path


def first_convolution(description):
    return next(layer for layer in description["config"]["layers"] if "Conv2D" in layer["class_name"])


def as_keras_1(description):
    first_convolution(description)["config"] |= {"nb_filter": 8, "border_mode": "same"}


def of_several_groups(description):
    first_convolution(description)["config"] |= {"made_up": 2}


def an_operation(description):
    first_convolution(description)["class_name"] = "TFOpLambda"


@pytest.mark.parametrize(
    ("change", "version", "message", "hint"),
    [
        (as_keras_1, "", "was written by Keras 1, which Keras 3 cannot read", "keras==2.2.4"),
        (lambda description: None, "1.2.2", "was written by Keras 1", "save it again"),
        (an_operation, "2.4.0", "operation between layers as Keras 2 saved it .TFOpLambda., which Keras 3", "stock"),
        (of_several_groups, "2.4.0", "cannot be read as a Keras model: .*made_up", "of Keras 3 writes it"),
    ],
    ids=["settings of Keras 1", "version of Keras 1", "operation", "unknown setting"],
)
def test_what_cannot_be_read_is_named_without_quoting_the_file(model_zoo, tmp_path, change, version, message, hint):
    path = with_description(shutil.copy(model_zoo / "keras_2.hdf5", tmp_path / "old.h5"), change, version)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_model(path)
    assert hint in caught.value.hint
    assert "--runtime" not in caught.value.hint
    assert len(str(caught.value)) < 400


def test_a_network_and_its_weights_in_two_files_are_joined_whichever_is_given(model_zoo, tmp_path, paths):
    folder = shutil.copytree(model_zoo / "two_files", tmp_path / "two")
    pictures = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    whole = np.asarray(load_model(folder / "whole.h5")(pictures))
    for weights, network in (("fer_weights.h5", "fer_structure.json"), ("model.weights.h5", "model.json")):
        found = find_model(str(folder / weights), paths)
        assert (found.labels, found.side, found.channels) == (("Angry", "Happy", "Sad"), 16, 1)
        same = find_model(str(folder / network), paths)
        assert (same.model, same.network, same.sha256) == (found.model, found.network, found.sha256)
        np.testing.assert_allclose(load_model(found.model)(pictures), whole, atol=1e-6)
    found.network.write_text(found.network.read_text() + "\n")
    again = find_model(str(found.model), paths)
    assert again.sha256 != found.sha256, "or a conversion of another network is used"


def test_what_is_missing_of_two_files_is_named(model_zoo, tmp_path, paths):
    folder = shutil.copytree(model_zoo / "two_files", tmp_path / "two")
    weights = (folder / "model.weights.h5").rename(folder / "kept")
    for name in ("fer_weights.h5", "model.json"):
        (folder / name).unlink()
    with pytest.raises(ArtifactError, match=r"fer_structure\.json describes a network only: its weights are") as caught:
        find_model(str(folder / "fer_structure.json"), paths)
    assert "fer_structure.h5" in caught.value.hint
    (folder / "fer_structure.json").unlink()
    weights.rename(folder / "model.weights.h5")
    with pytest.raises(ArtifactError, match="it holds weights only, without the network") as caught:
        find_model(str(folder / "model.weights.h5"), paths)
    assert "model.json" in caught.value.hint
    (folder / "model.json").write_text('{"modelTopology": {}, "weightsManifest": []}')
    with pytest.raises(ArtifactError, match=r"model\.json is a model of TensorFlow\.js"):
        find_model(str(folder / "model.json"), paths)
    (folder / "other.json").write_text('{"a": 1}')
    with pytest.raises(ArtifactError, match=r"other\.json describes no network of Keras"):
        find_model(str(folder / "other.json"), paths)


def test_a_model_is_read_by_what_is_in_it_not_by_its_name(model_zoo, tmp_path, paths):
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    copies = {"a.h5": "own_compact.keras", "a.keras": "own_compact.h5", "b.H5": "own_compact.h5"}
    for name, source in copies.items():
        assert find_model(str(shutil.copy(model_zoo / source, tmp_path / name)), paths).labels == NAMES
    for weights in zip(*(load_model(tmp_path / name).get_weights() for name in copies), strict=True):
        for other in weights[1:]:
            np.testing.assert_array_equal(other, weights[0])


@pytest.mark.parametrize(
    ("content", "finding", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "it is a web page", "Download the file itself"),
    ],
)
def test_what_was_downloaded_in_place_of_a_model_is_named(tmp_path, content, finding, hint):
    (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(ArtifactError, match=finding) as caught:
        inspect_model(tmp_path / "model.h5")
    assert hint in caught.value.hint


FORMS = {
    "a.json": '{"0": "angry", "1": "happy", "2": "sad"}',
    "b.json": '{"sad": 2, "angry": 0, "happy": 1}',
    "c.json": '["angry", "happy", "sad"]',
    "d.json": '{"class_indices": {"happy": 1, "angry": 0, "sad": 2}}',
    "e.json": '{"3": "sad", "1": "angry", "2": "happy"}',
    "f.json": '{"modelName": "mine", "labels": ["angry", "happy", "sad"]}',
    "teachable.txt": "0 angry\n1 happy\n2 sad\n",
    "lines.txt": "angry\r\nhappy\r\nsad\r\n",
    "one_line.txt": "angry, happy, sad",
    "bom.txt": "\ufeffangry\nhappy\nsad",
    "a.csv": "index,label\n0,angry\n1,happy\n2,sad\n",
    "b.csv": 'label,index\n"happy",1\n"angry",0\n"sad",2\n',
    "c.csv": "emotion\nangry\nhappy\nsad\n",
    "d.csv": "1;angry\n2;happy\n3;sad\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_labels_are_read_in_every_form_that_people_have_them(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    assert read_labels(tmp_path / name) == NAMES
    (tmp_path / name).write_text(FORMS[name].removeprefix("\ufeff"), encoding="utf-16")
    assert read_labels(tmp_path / name) == NAMES


@pytest.mark.parametrize(
    "content",
    [
        '{"0": "a", "2": "b"}',
        "{}",
        '["a"]',
        "[1, 2]",
        '{"a": {"b": 1}}',
        "",
        "only",
        "0 a\n2 b",
        '["a", "\\u001b[1m"]',
        "{",
    ],
)
def test_what_has_no_labels_is_refused(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"labels\.json has no labels of a model"):
        read_labels(tmp_path / "labels.json")


def test_labels_are_found_beside_the_model(model_zoo, tmp_path, paths):
    path = shutil.copy(model_zoo / "own_smoke.h5", tmp_path / "mine.h5")
    for name in (pattern.format("mine") for pattern in LABELS_BESIDE if pattern.endswith(".txt")):
        (tmp_path / name).write_text("0 Angry\n1 Happy\n2 Sad\n")
        assert find_model(str(path), paths).labels == ("Angry", "Happy", "Sad")
        (tmp_path / name).rename(tmp_path / "kept")
    (tmp_path / "labels.txt").write_text("0 Angry\n1 Happy\n2 happy\n")
    with pytest.raises(ArtifactError, match=r"A label of .* is there twice: Angry, Happy, happy"):
        find_model(str(path), paths)

"""Finding the model to use: our own know everything themselves, foreign ones are asked after; LiteRT is made once."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from fer_core import paths as project_paths
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.paths import SHIPPED_BEST, Paths
from fer_core.store import model_files
from fer_core.store.artifacts import MANIFEST_ATTRIBUTE, save_labels
from fer_core.store.files import file_sha256, write_json
from fer_core.store.model_files import find_model, int8_file, litert_file
from fer_core.store.promotion import model_copy, promote
from fer_core.store.runs import create_run
from fer_core.store.runtimes import LiteRTModel
from tests.shipped import TINY

LABELS = ("angry", "happy", "sad")
FRAMING = {"haar": {"scale": 1.2, "right": 0.0, "down": 0.0}}
SEVEN = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture
def run(paths, model_zoo):
    """A finished run with a network that Keras saved."""
    run = create_run(paths, TrainConfig(network="smoke"), recipe="smoke")
    run.update_manifest(labels=LABELS, side=48, channels=1, temperature=1.5, framing=FRAMING)
    shutil.copy(model_zoo / "own_smoke.h5", run.model_h5)
    with h5py.File(run.model_h5, "r+") as file:
        run.architecture_json.write_text(file.attrs["model_config"])
        file.attrs[MANIFEST_ATTRIBUTE] = run.manifest.to_json()
    save_labels(run.labels_json, LABELS)
    run.update_state(status="SUCCEEDED")
    return run


@pytest.fixture
def foreign(model_zoo, tmp_path):
    """A model that knows nothing of itself, alone in a folder."""
    (tmp_path / "elsewhere").mkdir()
    return Path(shutil.copy(model_zoo / "own_smoke.h5", tmp_path / "elsewhere" / "other.h5"))


@pytest.fixture
def with_labels(foreign):
    save_labels(foreign.with_name("labels.json"), LABELS)
    return foreign


def test_where_nothing_was_promoted_the_shipped_model_is_in_use(paths):
    found = find_model(None, paths)
    assert (found.name, found.labels, found.side, found.channels) == ("shipped/best", SEVEN, 48, 1)
    assert (found.model, found.pixels, found.note) == (SHIPPED_BEST / "model.h5", "0..255", "")
    assert found.sha256 == file_sha256(SHIPPED_BEST / "model.h5")
    assert litert_file(found, paths) == SHIPPED_BEST / "model_int8.tflite"
    for name in ("best", "shipped/best", str(SHIPPED_BEST)):
        assert find_model(name, paths) == found
    assert not paths.cache.exists()


def test_the_model_in_use_is_found_without_opening_it(paths, python):
    code = """
import sys
from pathlib import Path
from fer_core.paths import Paths
from fer_core.store.model_files import find_model, litert_file
paths = Paths.from_environment({"FER_CACHE_DIR": sys.argv[1]}, models=Path(sys.argv[1]))
litert_file(find_model(None, paths), paths)
print(sorted({"keras", "tensorflow", "pandas", "h5py", "cv2", "matplotlib"} & set(sys.modules)))
"""
    assert python(code, paths.models).stdout == "[]\n"


def test_a_run_is_found_by_its_id_folder_file_and_promoted_copy_and_a_copied_file_is_enough(paths, run, tmp_path):
    found = find_model(run.id, paths)
    assert (found.name, found.run_folder, found.model) == (run.id, run.folder.absolute(), run.model_h5.absolute())
    assert (found.labels, found.temperature, found.framing) == (LABELS, 1.5, FRAMING)
    assert found.manifest == run.manifest
    assert found == find_model(str(run.folder), paths) == find_model(str(run.model_h5), paths)
    promote(paths, run)
    assert find_model(None, paths) == find_model(str(model_copy(paths)), paths) == found
    alone = Path(shutil.copy(run.model_h5, tmp_path / "mine.h5"))
    shutil.rmtree(run.folder)
    assert find_model(str(alone), paths) == replace(found, name="mine.h5", run_folder=None, model=alone)


def test_a_copied_run_folder_is_looked_into(paths, run, model_zoo, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "from_elsewhere")
    assert find_model(str(folder), paths).name == "from_elsewhere"
    shutil.copy(model_zoo / "lambda_at_top.h5", folder / "model.h5")
    for given in (folder, shutil.copy(model_zoo / "custom_class.keras", tmp_path)):
        with pytest.raises(ArtifactError, match="is refused: the layer 'bad' is "):
            find_model(str(given), paths)
    assert list((model_zoo / "ran").iterdir()) == []


def with_another_export(run, folder):
    """Copies a run's folder, with another model's LiteRT forms in it and their hashes in the manifest."""
    shutil.copytree(run.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, key in (("model.tflite", "litert"), ("model_int8.tflite", "int8")):
        (folder / name).write_bytes(b"another model, or what ends whoever runs it")
        metadata = {"sha256": file_sha256(folder / name)}
        manifest[key] = metadata | ({"largest_difference": 0.0} if key == "litert" else {"accuracy": 0.5})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_export_in_a_folder_from_elsewhere_is_never_run_and_that_of_a_run_made_here_is(paths, run, tmp_path):
    elsewhere = with_another_export(run, tmp_path / "from_elsewhere")
    kept = paths.cache / "litert" / f"{file_sha256(run.model_h5)}.tflite"  # as if it had been converted here
    kept.parent.mkdir(parents=True)
    shutil.copy(TINY / "model.tflite", kept)
    write_json(kept.with_suffix(".json"), {"sha256": file_sha256(kept), "largest_difference": 0.0})
    (paths.models / "runs" / "linked").symlink_to(elsewhere)
    with_another_export(run, paths.models / "copied_here")
    for given in (elsewhere, elsewhere / "model.h5", paths.models / "runs" / "linked", paths.models / "copied_here"):
        found = find_model(str(given), paths)
        assert litert_file(found, paths) == kept
        with pytest.raises(ArtifactError, match="is from elsewhere: its int8 export is not run"):
            int8_file(found, paths)
    own = with_another_export(run, paths.models / "runs" / "own")
    found = find_model("own", paths)
    assert (litert_file(found, paths), int8_file(found, paths)) == (own / "model.tflite", own / "model_int8.tflite")


def copied_h5(run, folder, manifest):
    """Copies a run's .h5, with another manifest in it."""
    path = str(shutil.copy(run.model_h5, folder / "mine.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs[MANIFEST_ATTRIBUTE] = manifest.to_json()
    return path


def test_a_manifest_with_other_labels_another_input_or_an_id_that_leads_elsewhere_is_refused(paths, run, tmp_path):
    outside = copied_h5(run, tmp_path, run.manifest.model_copy(update={"run_id": "../outside"}))
    shutil.copytree(run.folder, paths.models / "outside")
    with pytest.raises(ArtifactError, match=r"is no manifest of this version: run_id"):
        find_model(outside, paths)
    run.update_state(status="RUNNING")
    run.update_manifest(side=64)
    with pytest.raises(ArtifactError, match=r"takes \(48, 48, 1\), the manifest says \(64, 64, 1\)"):
        find_model(run.id, paths)
    run.update_manifest(labels=("happy", "sad"), side=48)
    for given in (run.id, copied_h5(run, tmp_path, run.manifest)):
        with pytest.raises(ArtifactError, match="2 labels, the model has 3 outputs"):
            find_model(given, paths)
    run.architecture_json.unlink()
    with pytest.raises(ArtifactError, match="2 labels, the model has 3"):
        find_model(run.id, paths)


def test_our_own_models_need_no_flags(paths, run, tmp_path):
    with pytest.raises(ArtifactError, match=r"scales its pixels itself: --pixels 0\.\.1 is for models from elsewhere"):
        find_model(run.id, paths, pixels="0..1")
    save_labels(tmp_path / "other.json", ("happy", "angry", "sad"))
    with pytest.raises(ArtifactError, match=r"other\.json has other labels than the model, .*angry, happy, sad"):
        find_model(run.id, paths, labels_file=tmp_path / "other.json")
    save_labels(tmp_path / "same.json", LABELS)
    assert find_model(run.id, paths, labels_file=tmp_path / "same.json", pixels="0..255").labels == LABELS


def test_a_foreign_model_gets_the_nearest_labels_and_without_any_is_refused(paths, foreign, tmp_path):
    looked_for = r"beside it is no other_labels\.json and no labels\.json"
    with pytest.raises(ArtifactError, match=looked_for) as caught:
        find_model(str(foreign), paths)
    assert "--labels FILE" in caught.value.hint
    with pytest.raises(ArtifactError, match=r"There is no labels file: .*none\.json is missing"):
        find_model(str(foreign), paths, labels_file=tmp_path / "none.json")
    files = [foreign.with_name(name) for name in ("labels.json", "emotion_labels.json", "other_labels.json")]
    for number, file in enumerate([*files, tmp_path / "given.json"]):
        save_labels(file, ("a", "b", str(number)))
        found = find_model(str(foreign), paths, labels_file=file if number == 3 else None)
        assert (found.labels, found.run_folder, found.manifest) == (("a", "b", str(number)), None, None)
        assert found.note == f"other.h5 has no manifest: its labels are from {file.name}."


@pytest.mark.parametrize(("labels", "message"), [(SEVEN, "7 labels, the model has 3"), ("aba", "twice: a, b, a")])
def test_foreign_labels_that_do_not_fit_are_refused(paths, with_labels, labels, message):
    save_labels(with_labels.with_name("labels.json"), labels)
    with pytest.raises(ArtifactError, match=message) as caught:
        find_model(str(with_labels), paths)
    assert "--labels FILE" in caught.value.hint


def test_a_foreign_model_that_does_not_scale_its_pixels_is_told_of(paths, model_zoo, tmp_path):
    path = Path(shutil.copy(model_zoo / "keras_2.hdf5", tmp_path))
    save_labels(tmp_path / "labels.json", SEVEN)
    found = find_model(str(path), paths)
    assert (found.side, found.channels, found.pixels) == (64, 1, "0..255")
    assert "its labels are from labels.json. Nothing in it scales the grey values" in found.note
    assert "add --pixels 0..1" in found.note
    found = find_model(str(path), paths, pixels="-1..1")
    assert (found.pixels, found.note) == ("-1..1", "keras_2.hdf5 has no manifest: its labels are from labels.json.")


@pytest.mark.parametrize("shape", [[48, 48, 1], [48, 48, 3], [48, 32, 1], [48, 48, 2], [None, None, 1], [48]], ids=str)
def test_a_foreign_model_of_three_colours_gets_colour_and_one_of_no_square_pictures_is_refused(paths, tmp_path, shape):
    path = tmp_path / "other.h5"
    save_labels(tmp_path / "labels.json", LABELS)
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "a"}}
    last = {"class_name": "Dense", "config": {"units": 3, "name": "b"}}
    with h5py.File(path, "w") as file:
        description = {"class_name": "Sequential", "config": {"name": "x", "layers": [first, last]}}
        file.attrs["model_config"] = json.dumps(description)
    if shape in ([48, 48, 1], [48, 48, 3]):
        found = find_model(str(path), paths)
        assert found.channels == shape[2]
        assert ("gets red, green, blue" in found.note) == (shape[2] == 3)
        assert found.colours == ("rgb" if shape[2] == 3 else "gray")
    else:
        with pytest.raises(ArtifactError, match="takes no square pictures with 1 or 3 channels, but"):
            find_model(str(path), paths)


def test_names_that_mean_no_model_are_answered_with_what_there_is(paths, run, tmp_path, monkeypatch):
    def hint(given, message):
        with pytest.raises(ArtifactError, match=message) as caught:
            find_model(given, paths)
        return caught.value.hint

    assert hint(run.id[:-1] + "x", "There is no run") == f"Did you mean {run.id!r}?"
    hint("none.h5", r"There is no model file none\.h5")
    hint(str(tmp_path), r"is no run's folder: it has no manifest\.json")
    for given in (__file__, "some/where"):
        hint(given, r"is no model: it is no run's folder, and ends in none of \.h5")
    run.model_h5.unlink()
    assert f"--resume {run.id}" in hint(run.id, f"Run {run.id} has no model yet")
    monkeypatch.setattr(model_files, "model_in_use", lambda paths: None)
    assert "train_emotion_model.py" in hint(None, "There is no model in ")


@pytest.fixture(scope="module")
def converted(model_zoo, tmp_path_factory):
    """Places, a foreign model, its LiteRT form in place of a damaged one, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("converted")
    paths = Paths.from_environment({"FER_CACHE_DIR": str(folder / "cache")}, models=folder / "models")
    path = Path(shutil.copy(model_zoo / "own_smoke.h5", folder / "other.h5"))
    save_labels(folder / "labels.json", LABELS)
    model, messages = find_model(str(path), paths), []
    kept = paths.cache / "litert" / f"{model.sha256}.tflite"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"damaged")
    write_json(kept.with_suffix(".json"), {"sha256": "0" * 64, "largest_difference": 0.0})
    return paths, model, litert_file(model, paths, report=messages.append), messages


def test_a_damaged_conversion_is_made_again_and_is_the_same_model_that_is_used_again(converted):
    from fer_core.store.artifacts import load_model

    paths, model, file, messages = converted
    kept = paths.cache / "litert" / f"{model.sha256}.tflite"
    assert file == kept
    assert json.loads(kept.with_suffix(".json").read_text())["sha256"] == file_sha256(kept)
    assert sorted(path.suffix for path in kept.parent.iterdir()) == [".json", ".tflite"]
    runtime = LiteRTModel(litert_file(model, paths, report=messages.append))
    assert messages == ["other.h5 is converted for the small runtime; this takes some seconds, once."]
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)
    expected = np.asarray(load_model(model.model)(faces.astype(np.float32)))
    np.testing.assert_allclose(runtime.probabilities(faces), expected, atol=1e-5)


def test_a_shipped_model_whose_export_is_not_its_own_is_converted_into_the_cache(converted, run, monkeypatch):
    paths, model, *_ = converted
    folder = paths.models / "shipped" / "other"
    monkeypatch.setattr(project_paths, "SHIPPED", folder.parent)
    shutil.copytree(run.folder, folder)
    shutil.copy(model.model, folder / "model.h5")
    for content in (b"damaged", None):
        path = folder / "model.tflite"
        path.write_bytes(content) if content else path.unlink()
        before = sorted(folder.iterdir())
        found = find_model(str(folder), paths)
        assert found.name == "shipped/other"
        assert litert_file(found, paths).parent == paths.cache / "litert"
        assert sorted(folder.iterdir()) == before


def test_a_model_that_cannot_be_converted_or_kept_says_why(paths, with_labels):
    model = find_model(str(with_labels), paths)
    paths.cache.write_text("in the way")
    with pytest.raises(ArtifactError, match="The converted model cannot be kept in") as caught:
        litert_file(model, paths)
    assert "$FER_CACHE_DIR" in caught.value.hint
    paths.cache.unlink()
    with_labels.write_bytes(b"changed meanwhile")
    with pytest.raises(ArtifactError, match=r"^\S*other\.h5 cannot be read as a Keras model") as caught:
        litert_file(model, paths)
    assert "--runtime keras" not in caught.value.hint, "that would fail alike"
    assert list((paths.cache / "litert").iterdir()) == []


def test_without_tensorflow_the_other_runtime_is_named(paths, with_labels, monkeypatch):
    model = find_model(str(with_labels), paths)
    monkeypatch.setattr(model_files, "can_export", lambda: False)
    with pytest.raises(ArtifactError, match="TensorFlow, which makes it, is not installed here") as caught:
        litert_file(model, paths)
    assert "--runtime keras" in caught.value.hint

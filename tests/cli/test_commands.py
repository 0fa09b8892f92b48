"""The commands that a user gives, and what they print and leave."""

import csv
import json
import re
import shutil

import cv2
import pytest

from fer_core.recipes import RECIPES
from fer_core.store.artifacts import read_h5_manifest
from fer_core.store.files import file_sha256
from fer_core.store.foreign import read_labels
from fer_core.store.promotion import current, labels_copy, model_copy
from fer_core.store.run import save_notes
from fer_core.store.runs import list_runs
from fer_core.training.history import HISTORY_COLUMNS
from tests.cli.conftest import EMOTIONS, save_faces

PLOTS = ("training_accuracy", "training_loss", "training_precision", "training_recall", "confusion_matrix")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip with train/ and test/."""
    folder = tmp_path_factory.mktemp("download")
    return shutil.make_archive(str(folder / "archive"), "zip", save_faces(folder / "faces", train=20, test=10))


def test_a_training_says_what_was_found_and_what_comes_next_in_plain_lines_and_not_many(trained_run, training_output):
    assert trained_run.state.status == "SUCCEEDED"
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", training_output) == []
    assert len(training_output.splitlines()) < 80
    assert len(re.findall(r"^epoch   [123]  loss", training_output, re.MULTILINE)) == 3
    for line in (r"accuracy +\d+\.\d%  95% interval \d", r"macro F1 +\d+\.\d%  95% interval \d"):
        assert re.search(f"^{line}", training_output, re.MULTILINE)
    assert re.search(r"Chosen on validation \(\d\d images\): the epoch, by val_accuracy", training_output)
    for emotion in trained_run.manifest.labels:
        assert re.search(rf"^ *{emotion} .*\d", training_output, re.MULTILINE)
    for name in ("model.h5", "labels.json", "plots", "evaluation.json"):
        assert f"{trained_run.id}/{name}" in training_output
    assert trained_run.history_csv.name in training_output
    assert "--history" in training_output.splitlines()[-1]


def test_the_run_leaves_all_its_files_and_is_in_use_under_its_classic_names(in_use, paths):
    run = in_use
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        *("manifest.json", "state.json", "model.h5", "model.tflite", "model.json", "labels.json", "metrics.jsonl"),
        *("log.txt", "checkpoint", "plots", "evaluation.json", "audit.json", "training_images.bin", "answers.npz"),
    }
    for name in (*PLOTS, "class_distribution"):
        assert cv2.imread(str(run.plots / f"{name}.png")) is not None
    manifest = run.manifest
    assert read_labels(run.labels_json) == manifest.labels
    assert manifest.litert.sha256 == file_sha256(run.model_tflite)
    assert read_h5_manifest(run.model_h5).run_id == run.id
    (path,) = paths.history.iterdir()
    assert re.fullmatch(r"training_history_\d{8}_\d{6}\.csv", path.name)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ([row["epoch"] for row in rows], tuple(rows[0])) == (["1", "2", "3"], HISTORY_COLUMNS)
    assert all(value for row in rows for value in row.values())
    assert current(paths).run == run.id
    assert model_copy(paths).read_bytes() == run.model_h5.read_bytes()
    assert json.loads(labels_copy(paths).read_text()) == dict(zip("0123456", manifest.labels, strict=True))


def test_the_history_lists_our_runs_and_those_of_other_programs_and_draws_them(in_use, paths, door):
    classic = paths.history / "training_history_20240229_101500.csv"
    classic.write_text("epoch,acc,loss,val_acc,val_loss\n0,0.40,1.6,0.35,1.7\n1,0.55,1.2,0.50,1.3\n")
    (paths.history / "notes.csv").write_text("name,colour\na,b\n")
    answer = door("--history")
    save_notes(in_use, name="the first one", tags=(), notes="", archived=False)
    assert re.search(rf"the first one +3 .*{in_use.id}", door("--history").out)
    assert (answer.code, answer.err) == (0, "")
    assert re.search(rf"smoke +3 .*{in_use.manifest.scores['accuracy']:.1%} +{in_use.id}", answer.out)
    assert re.search(r"2024-02-29 10:15 +– +2 +50\.0% \( 2\) +50\.0% +– +training_history_20240229", answer.out)
    assert "Left out: " in answer.out and "notes.csv" in answer.out
    assert cv2.imread(str(paths.history / "overview.png")) is not None


def test_the_history_of_nothing_says_how_to_begin(door, paths):
    answer = door("--history")
    assert answer.code == 0
    assert answer.out == "No history yet. `python train_emotion_model.py --data sample` makes one.\n"
    assert not paths.history.exists()


def test_every_recipe_is_listed_with_its_first_sentence(door):
    answer = door("--list-recipes")
    for name, make in RECIPES.items():
        assert re.search(rf"^{name} +{re.escape(make.__doc__.splitlines()[0])}$", answer.out, re.MULTILINE)


def test_help_names_every_setting_with_the_recipes_own_values(door, capsys):
    with pytest.raises(SystemExit) as end:
        door("--help", "--recipe", "attention")
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert re.search(r"--early-stopping-patience .*\n?.*default: 20", shown)
    assert "--network-options.block-dropout" in shown


@pytest.mark.parametrize("name", ["archive.zip", "faces"])
def test_the_audit_of_a_folder_and_of_its_zip_needs_no_keras(door, archive, paths, tmp_path, name):
    shutil.unpack_archive(archive, tmp_path / "faces")
    data = archive if name == "archive.zip" else tmp_path / "faces"
    answer = door("--data", data, "--audit-only")
    assert (answer.code, answer.err) == (0, "")
    folder = paths.models / "audits" / name.removesuffix(".zip")
    audit = json.loads((folder / "audit.json").read_text())
    assert [part["images"] for part in audit["parts"]] == [dict.fromkeys(EMOTIONS, 20), dict.fromkeys(EMOTIONS, 10)]
    assert cv2.imread(str(folder / "class_distribution.png")) is not None
    assert list_runs(paths) == []

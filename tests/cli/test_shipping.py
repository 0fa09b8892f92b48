"""A shipped model is the run without what only concerns the machine that trained it."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fer_core.cli.shipping import ship
from fer_core.data.dataset import load_dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis import Analysis, analyse, analysis_folder
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.predict import predict_side_by_side
from fer_core.paths import shipped_models
from fer_core.store import model_files
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.files import file_sha256, read_json, write_json
from fer_core.store.model_files import find_model, litert_file
from fer_core.store.run import Run
from fer_core.store.runtimes import LiteRTModel
from tests.conftest import paths_in

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def analysed_run(trained_run, session_paths, tmp_path_factory):
    """A copy of the shared run, with its analysis."""
    paths = paths_in(tmp_path_factory.mktemp("analysed"))
    run = Run(shutil.copytree(trained_run.folder, paths.models / "runs" / trained_run.id), trained_run.history)
    dataset = load_dataset(run.manifest.config, session_paths, side=48)
    ask = partial(predict_side_by_side, [LiteRTModel(run.model_tflite).probabilities])
    model = find_model(run.id, paths)
    analyse(model, dataset, probabilities=ask, folder=analysis_folder(model, paths))
    over_views = analysis_folder(model, paths, views=10)
    over_views.mkdir(parents=True)
    found = read_json(run.evaluation_json, "analysis")
    write_json(over_views / "evaluation.json", found | {"analysis": found["analysis"] | {"views": 10}})
    return run


@pytest.fixture(scope="module")
def shipped(analysed_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipping") / "shipped"
    ship(analysed_run, folder)
    return folder


def test_its_card_says_what_it_is_and_what_it_is_not_for(analysed_run, shipped):
    card = (shipped / "README.md").read_text(encoding="utf-8")
    scores = analysed_run.manifest.scores
    assert f"| accuracy | {100 * scores['accuracy']:.1f} % |" in card
    assert "| over 10 views | " in card
    assert f"| {scores['images'] // 7} |" in card  # of each emotion
    assert "expected calibration error" in card
    assert "`model.tflite`, one face on one core" in card
    assert "python train_emotion_model.py --recipe smoke --data FILE" in card
    assert "An expression is not a feeling." in card
    assert "under the MIT licence" in card


def test_a_run_that_was_not_analysed_and_a_taken_name_are_refused(trained_run, analysed_run, shipped, tmp_path):
    with pytest.raises(ArtifactError, match="It holds no analysis") as caught:
        ship(trained_run, tmp_path / "other")
    assert "--analyze" in caught.value.hint
    assert not (tmp_path / "other").exists()
    with pytest.raises(ArtifactError, match="exists already"):
        ship(analysed_run, shipped)


def test_it_is_a_finished_run_with_the_same_weights(trained_run, shipped):
    run = Run(shipped, shipped)
    assert run.state.status == "SUCCEEDED"
    ours, theirs = load_model(run.model_h5).get_weights(), load_model(trained_run.model_h5).get_weights()
    assert all((mine == other).all() for mine, other in zip(ours, theirs, strict=True))
    assert read_h5_manifest(run.model_h5) == run.manifest
    assert json.loads(run.evaluation_json.read_text())["model_sha256"] == file_sha256(run.model_h5)
    assert run.manifest.litert.sha256 == file_sha256(run.model_tflite)
    kinds = [json.loads(line)["kind"] for line in run.metrics_jsonl.read_text(encoding="utf-8").splitlines()]
    assert kinds.count("epoch") == run.manifest.config.epochs
    assert "progress" not in kinds


def with_manifest(run, folder, **changed):
    """Returns a copy of a run, without its plots, with another manifest."""
    manifest = json.loads((run.folder / "manifest.json").read_text())
    copy = shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("plots"))
    write_json(copy / "manifest.json", manifest | changed)
    return Run(copy, run.history)


def test_other_models_are_named_by_their_runs_and_its_card_says_how_those_were_trained(analysed_run, tmp_path):
    teachers = {"A-FIRST": None, "B-TAUGHT": {"A-FIRST": "ab"}}
    teachers["C-RUN"] = {"B-TAUGHT": "ab", "A-FIRST": "ab", "GONE": "cd"}
    config = analysed_run.manifest.config.model_dump(mode="json")
    config |= {"init_from": "/home/of/start.h5", "teacher": ["/home/of/A-FIRST/model.h5", "GONE"]}
    for name, distilled in teachers.items():
        own = {"config": config} if name == "C-RUN" else {}
        run = with_manifest(analysed_run, tmp_path / "models" / "runs" / name, run_id=name, teachers=distilled, **own)
    ship(run, tmp_path / "distilled")
    shipped = Run(tmp_path / "distilled", tmp_path).manifest
    assert (shipped.config.init_from, shipped.config.teacher) == ("start.h5", ("A-FIRST", "GONE"))
    assert shipped.teachers == teachers["C-RUN"]
    card = (tmp_path / "distilled" / "README.md").read_text(encoding="utf-8")
    assert "distilled from B-TAUGHT" in card
    ours = "    python train_emotion_model.py --recipe smoke --data FILE"
    first, second, own = (line.removeprefix(ours) for line in card.splitlines() if line.startswith(ours))
    assert (first.rpartition("  # ")[2], second.rpartition("  # ")[2]) == ("A-FIRST", "B-TAUGHT")
    assert "--teacher A-FIRST " in second
    assert "--teacher B-TAUGHT A-FIRST GONE" in own


def test_no_byte_of_it_names_a_folder_of_the_machine(trained_run, shipped):
    private = [str(trained_run.folder.parents[2]).encode(), str(PROJECT.parent).encode() + b"/"]
    files = [path for path in shipped.rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        assert not any(name in path.read_bytes() for name in private), path
    assert not (shipped / "checkpoint").exists()


@pytest.mark.parametrize("folder", shipped_models(), ids=lambda folder: folder.name)
def test_the_temperature_of_a_model_that_comes_with_the_project_makes_its_confidence_no_worse(folder):
    run = Run(folder, folder)
    analysis = Analysis.from_json(json.loads(run.evaluation_json.read_text()))
    assert run.manifest.temperature == pytest.approx(analysis.temperature, rel=1e-6)
    assert read_h5_manifest(run.model_h5) == run.manifest
    assert analysis.evaluation.model_sha256 == file_sha256(run.model_h5)
    assert analysis.after.error <= min(analysis.before.error, 0.03)
    assert analysis.temperature_from in (folder / "README.md").read_text(encoding="utf-8")


READ_WITH_KERAS_ALONE = """
import csv, json, sys, zipfile
import cv2, keras, numpy as np
data, *folders = sys.argv[1:]
rows = {line["file"]: line["row"] for line in csv.DictReader(open(data + "/fer2013_rows.csv"))}
votes = np.array([line[2:] for line in csv.reader(open(data + "/fer2013new.csv"))][1:], int)
words = "neutral happy surprise sad angry disgust fear contempt unknown none".split()
def majority(name):  # arXiv 1608.01041: votes of one person do not count, and more than half decide
    row = rows[name.removeprefix("test/")]
    counts = votes[int(row or 0)] * bool(row)
    counts[counts == 1] = 0
    word = words[counts.argmax()]
    return word if 2 * counts.max() > counts.sum() and word not in ("unknown", "none") else None
with zipfile.ZipFile(data + "/fer2013.zip") as file:
    every = [name for name in file.namelist() if name.startswith("test/") and name.endswith(".jpg")]
    for folder in folders:
        wrong = [one["name"] for one in json.load(open(folder + "/evaluation.json"))["analysis"]["confidently_wrong"]]
        names = wrong + every[::28]
        faces = np.stack([cv2.imdecode(np.frombuffer(file.read(name), np.uint8), 0) for name in names])[..., None]
        labels = list(json.load(open(folder + "/labels.json")).values())
        model = keras.models.load_model(folder + "/model.h5")
        assert not model.compiled and not any(name.startswith("fer_core") for name in sys.modules)
        parts = np.array_split(faces.astype("float32"), 4)  # called, as to compile it takes longer
        found = np.concatenate([np.asarray(model(part, training=False)) for part in parts])
        truth = map(majority, names) if "contempt" in labels else [name.split("/")[1] for name in names]
        right = [labels[n] == true for n, true in zip(found.argmax(1), truth) if true][len(wrong):]
        print(json.dumps([found[: len(wrong)].tolist(), np.mean(right)]))
"""


def test_models_that_come_with_the_project_open_with_keras_alone_and_answer_as_they_say(test_data):
    """Their surest mistakes, to the last digits, and how often they are right in some of the images."""
    folders = shipped_models()
    command = [sys.executable, "-c", READ_WITH_KERAS_ALONE, test_data, *folders]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240, check=True)
    for folder, line in zip(folders, answer.stdout.splitlines(), strict=True):
        outputs, accuracy = json.loads(line)
        scored = Analysis.from_json(json.loads((folder / "evaluation.json").read_text()))
        sure = with_temperature(np.array(outputs), scored.temperature)
        labels = [scored.evaluation.labels[number] for number in sure.argmax(axis=1)]
        assert labels == [one.predicted for one in scored.confidently_wrong]
        assert sure.max(axis=1) == pytest.approx([one.confidence for one in scored.confidently_wrong], abs=1e-4)
        assert accuracy == pytest.approx(scored.evaluation.accuracy, abs=0.05)


def test_with_its_int8_export_alone_it_is_read_with_that(analysed_run, tmp_path, monkeypatch, paths):
    int8, folder = analysed_run.folder / "model_int8.tflite", tmp_path / "shipped" / "small"
    shutil.copyfile(analysed_run.model_tflite, int8)
    whole = {"sha256": file_sha256(int8), "accuracy": 0.9}
    ship(with_manifest(analysed_run, tmp_path / "models" / "runs" / "run", int8=whole), folder, only_int8=True)
    assert not (folder / "model.tflite").exists() and Run(folder, folder).manifest.litert is None
    monkeypatch.setattr(model_files, "came_with_the_project", lambda path: path == folder)
    assert litert_file(find_model(str(folder), paths), paths) == folder / "model_int8.tflite"

"""A shipped model is the run without what only concerns the machine that trained it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fer_core.errors import ArtifactError
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.files import file_sha256, write_json
from fer_core.store.run import Run
from fer_core.store.shipping import ship

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def shipped(trained_run, tmp_path):
    folder = tmp_path / "shipped"
    ship(trained_run, folder)
    return folder


def test_it_is_a_finished_run_with_the_same_weights(trained_run, shipped):
    run = Run(shipped, shipped)
    assert run.state.status == "SUCCEEDED"
    ours, theirs = load_model(run.model_h5).get_weights(), load_model(trained_run.model_h5).get_weights()
    assert all((mine == other).all() for mine, other in zip(ours, theirs, strict=True))
    assert read_h5_manifest(run.model_h5) == run.manifest
    assert json.loads(run.evaluation_json.read_text())["model_sha256"] == file_sha256(run.model_h5)
    assert run.manifest.litert.sha256 == file_sha256(run.model_tflite)


def test_other_models_are_named_by_their_runs_in_it(trained_run, tmp_path):
    in_use = Run(shutil.copytree(trained_run.folder, tmp_path / "run"), trained_run.history)
    manifest = json.loads((in_use.folder / "manifest.json").read_text())
    config = manifest["config"] | {"init_from": "/home/of/start.h5", "teacher": ["/home/of/A-RUN/model.h5", "B-RUN"]}
    write_json(in_use.folder / "manifest.json", manifest | {"config": config, "teachers": {"A-RUN": "ab"}})
    ship(in_use, tmp_path / "distilled")
    shipped = Run(tmp_path / "distilled", tmp_path).manifest
    assert (shipped.config.init_from, shipped.config.teacher) == ("start.h5", ("A-RUN", "B-RUN"))
    assert shipped.teachers == {"A-RUN": "ab"}


def test_no_byte_of_it_names_a_folder_of_the_machine(trained_run, shipped):
    private = [str(trained_run.folder.parents[2]).encode(), str(PROJECT.parent).encode() + b"/"]
    files = [path for path in shipped.rglob("*") if path.is_file()]
    assert len(files) > 12
    for path in files:
        assert not any(name in path.read_bytes() for name in private), path
    assert not (shipped / "checkpoint").exists()


def test_an_unfinished_run_and_a_taken_name_are_refused(trained_run, shipped):
    with pytest.raises(ArtifactError, match="exists already"):
        ship(trained_run, shipped)


def test_the_model_that_comes_with_the_project_opens_with_keras_alone_and_scores_what_it_says(test_data):
    code = (
        "import sys, zipfile, json, keras, cv2, numpy as np\n"
        "folder, archive = sys.argv[1:]\n"
        "model = keras.models.load_model(folder + '/model.h5')\n"
        "labels = list(json.load(open(folder + '/labels.json')).values())\n"
        "names = [n for n in zipfile.ZipFile(archive).namelist() if n.startswith('test/') and n.endswith('.jpg')]\n"
        "read = zipfile.ZipFile(archive).read\n"
        "faces = np.stack([cv2.imdecode(np.frombuffer(read(n), np.uint8), 0) for n in names])[..., None]\n"
        "found = model.predict(faces.astype('float32'), batch_size=256, verbose=0).argmax(1)\n"
        "print(np.mean([labels[f] == n.split('/')[1] for f, n in zip(found, names)]))\n"
    )
    folder = PROJECT / "models" / "shipped" / "best"
    command = [sys.executable, "-c", code, str(folder), str(test_data / "fer2013.zip")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = json.loads((folder / "evaluation.json").read_text())["accuracy"]
    assert float(answer.stdout) == pytest.approx(said, abs=0.0006)

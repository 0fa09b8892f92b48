"""What cannot be used is refused in two lines with exit code 2, before Keras is imported; nothing is written over."""

import json
import struct
import zipfile

import pytest

from fer_core.store.runs import list_runs
from tests.cli.conftest import everything_in, save_faces, save_noise
from tests.script import run_script
from tests.store.conftest import largest_file

_PNG_HEADER = 33
"""Bytes: what makes it a PNG, and the first chunk."""


def empty_class_folder(folder):
    save_faces(folder)
    (folder / "train" / "fear").mkdir()


def zip_that_points_outside(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.png", b"picture")


def broken_zip(path):
    path.write_bytes(b"PK\x03\x04 cut")


BAD_DATA = {
    "no such path": ("none.zip", lambda path: None, "There is no ", "--data sample"),
    "empty class folder": ("data", empty_class_folder, "folder train/fear holds no pictures", "remove the folder"),
    "broken zip": ("a.zip", broken_zip, "is a broken zip", "Download or pack it again"),
    "zip that points outside": ("a.zip", zip_that_points_outside, "outside of it: '../../outside.png'", "overwrite"),
}
"""One of each kind; tests/data has them all."""


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("flag", ["--recipe=smoke", "--audit-only"])
def test_data_that_cannot_be_used_is_refused_before_there_is_a_run(door, paths, tmp_path, case, flag):
    name, make, problem, hint = BAD_DATA[case]
    make(tmp_path / name)
    before = everything_in(tmp_path)
    answer = door("--data", tmp_path / name, flag)
    assert answer.code == 2
    assert answer.problem.startswith("Error: ") and problem in answer.problem
    assert hint in answer.hint
    assert everything_in(tmp_path) == before
    assert (list_runs(paths), paths.history.exists()) == ([], False)


def test_without_any_data_the_hint_is_a_complete_command(door):
    answer = door("--recipe", "smoke")
    assert answer.code == 2
    assert "No --data was given, $FER_DATA is not set, and there is no ./data or ./data_train" in answer.problem
    assert "python train_emotion_model.py --data sample" in answer.hint


def test_three_unreadable_images_are_named_and_all_are_in_the_audit(door, paths, faces):
    for number in range(5):
        (faces / "train" / "sad" / f"bad{number}.jpg").write_bytes(b"no picture")
    answer = door("--data", faces, "--recipe", "smoke")
    audit_json = paths.models / "audits" / "faces" / "audit.json"
    assert answer.code == 2
    assert "5 images cannot be read: train/sad/bad0.jpg (" in answer.problem
    assert "bad2.jpg" in answer.problem and "bad3.jpg" not in answer.problem
    assert answer.problem.endswith(f"and 2 more. All are named in {audit_json}.")
    assert "--skip-bad-images" in answer.hint
    named = [image["name"] for image in json.loads(audit_json.read_text())["unreadable"]]
    assert named == [f"train/sad/bad{number}.jpg" for number in range(5)]
    assert list_runs(paths) == []


def test_the_audit_goes_on_past_unreadable_images_and_records_them(door, paths, faces):
    (faces / "train" / "sad" / "bad.jpg").write_bytes(b"no picture")
    answer = door("--data", faces, "--audit-only")
    assert (answer.code, answer.err) == (0, "")
    assert "bad.jpg" in answer.out
    written = json.loads((paths.models / "audits" / "faces" / "audit.json").read_text())
    assert [image["name"] for image in written["unreadable"]] == ["train/sad/bad.jpg"]


def test_the_audit_of_too_few_images_is_shown_and_kept_before_they_are_refused(door, paths, tmp_path):
    for number, emotion in enumerate(("happy", "sad")):
        save_noise(tmp_path / "few" / emotion / "1.png", number)
    answer = door("--data", tmp_path / "few", "--audit-only")
    assert answer.code == 2
    assert "Images of few" in answer.out and "No image is blank" in answer.out
    assert "(happy has 1, sad has 1)" in answer.problem
    assert "at least 3 different images" in answer.hint
    written = json.loads((paths.models / "audits" / "few" / "audit.json").read_text())
    assert [part["images"] for part in written["parts"]] == [{"happy": 1, "sad": 1}]


def test_what_libpng_remarks_on_a_picture_is_not_printed(paths, tmp_path):
    faces = save_faces(tmp_path / "faces")
    picture = faces / "train" / "sad" / "more.png"
    save_noise(picture, 4711)
    data, comment = picture.read_bytes(), b"tEXtTitle\0x"
    wrong_sum = struct.pack(">I", len(comment) - 4) + comment + bytes(4)
    picture.write_bytes(data[:_PNG_HEADER] + wrong_sum + data[_PNG_HEADER:])
    answer = run_script("--data", faces, "--audit-only", paths=paths)
    assert (answer.code, answer.err) == (0, "")


BAD_SETTINGS = {
    "recipe": (["--recipe=basline"], "There is no recipe 'basline'.", "Did you mean 'baseline'?"),
    "network": (["--network=atention"], "There is no network 'atention'.", "Did you mean 'attention'?"),
    "flag": (["--learning-rte", "0.1"], "There is no setting '--learning-rte'.", "Did you mean '--learning-rate'?"),
    "flag of another network": (
        ["--recipe=smoke", "--network-options.dropout=0.2"],
        "There is no setting '--network-options.dropout=0.2'.",
        "--",
    ),
    "choice": (["--optimizer", "adamm"], "--optimizer cannot be 'adamm'.", "Did you mean 'adam'?"),
    "number": (["--epochs", "many"], "--epochs takes a whole number, not 'many'.", "--help"),
    "range": (["--learning-rate", "99"], "learning_rate: input should be less than or equal to 10, got 99", "--help"),
    "range of a network's": (
        ["--network=resnet", "--network-options.stem=0"],
        "--network-options.stem: input",
        "--help",
    ),
    "range of many": (
        ["--network=resnet", "--network-options.filters", "0"],
        "--network-options.filters: in",
        "--help",
    ),
    "class weight": (["--class-weights=hapy=2"], "class_weights names 'hapy'", "Did you mean 'happy'?"),
    "exclusive": (["--validation=none", "--early-stopping-patience=3"], "early stopping needs validation", "--help"),
    "step without epochs": (["--schedule=step"], "schedule 'step' needs step_epochs and step_factors", "--help"),
    "start from no run": (["--init-from=20200101-000000-none-0000"], "There is no run '2020", "There are no runs yet"),
    "start from no file": (["--init-from=none.h5"], "There is no model file none.h5", "--init-from takes"),
    "start from no model": ([f"--init-from={__file__}"], f"{__file__} is no HDF5 file", "ends in .h5"),
    "no TOML": (["--config=none.toml"], "--config none.toml cannot be read: ", "TOML"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_settings_that_cannot_be_used_are_refused_by_name(door, paths, case):
    arguments, problem, hint = BAD_SETTINGS[case]
    answer = door("--data=sample", "--sample-per-class=20", *arguments)
    assert answer.code == 2
    assert answer.problem.startswith(f"Error: {problem}")
    assert hint in answer.hint
    assert (list_runs(paths), paths.history.exists()) == ([], False)


@pytest.mark.parametrize(
    ("toml", "problem", "hint"),
    [
        ("learning_rat = 1", "run.toml: there is no setting 'learning_rat'.", "Did you mean 'learning_rate'?"),
        ("epochs = 'two'", "run.toml: epochs: ", "--help"),
        ("init_from = 5", "run.toml: init_from: ", "--help"),
        ("epochs = ", "--config run.toml cannot be read: ", "TOML file of settings"),
        ("network_options = {dropot = 0.1}", "network tiny: there is no setting 'dropot'.", "'dropout'?"),
    ],
)
def test_a_toml_file_that_cannot_be_used_is_refused_by_name(door, paths, tmp_path, toml, problem, hint):
    (tmp_path / "run.toml").write_text(toml)
    answer = door("--data=sample", "--recipe=finetune_own", "--config", "run.toml")
    assert answer.code == 2
    assert answer.problem.startswith(f"Error: {problem}")
    assert hint in answer.hint
    assert list_runs(paths) == []


def test_a_disk_without_room_for_the_images_is_said_before_there_is_a_run(door, paths):
    with largest_file(64_000):
        answer = door("--data=sample", "--sample-per-class=20", "--recipe=smoke")
    assert answer.code == 2
    assert "The cache of decoded images cannot be written to" in answer.problem
    assert "FER_CACHE_DIR" in answer.hint
    assert list_runs(paths) == []

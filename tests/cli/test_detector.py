"""realtime_emotion_detector.py as users start it, on real clips and photographs, with the model that is shipped."""

import csv
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from fer_core.cli.inspecting import explain_pictures, list_layers
from fer_core.cli.live import parse
from fer_core.errors import ConfigError, FerError
from fer_core.paths import SHIPPED
from fer_core.store.files import read_json
from fer_core.store.model_files import find_model
from tests.live.camera_stream import CameraStream
from tests.live.fakes import frames_in
from tests.script import DETECTOR, Answer, clean_environment


@pytest.fixture
def folder(paths) -> Path:
    """The folder that the detector is started in."""
    paths.models.parent.mkdir(exist_ok=True)
    return paths.models.parent


@pytest.fixture
def media(test_data) -> Path:
    return test_data / "faces"


@pytest.fixture
def yunet(test_data) -> dict[str, str]:
    """The environment that names YuNet's file."""
    return {"FER_YUNET": str(test_data / "face_detection_yunet_2026may.onnx")}


@pytest.fixture
def read_here(detector, yunet) -> Callable[..., Answer]:
    """A function that runs the detector on a source, without a window, in this process."""
    return lambda source, *flags: detector("--source", source, "--no-display", *flags, **yunet)


@pytest.fixture
def started(paths, yunet, folder) -> Callable[..., subprocess.Popen]:
    """A function that starts the detector on a source, without a window, and prints JSON lines."""

    def start(source: object, *flags: object) -> subprocess.Popen:
        command = [sys.executable, DETECTOR, "--source", source, "--json", "--no-display", "--models-dir", paths.models]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(
            list(map(str, (*command, *flags))), cwd=folder, env=clean_environment(paths, yunet), **pipes
        )

    return start


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("finder", "name", "emotion"), [("haar", "photo_happy.jpg", "happy"), ("yunet", "photo_surprise.jpg", "surprise")]
)
def test_a_photograph_is_read_with_either_detector(media, read_here, name, emotion, finder):
    answer = read_here(media / name, "--detector", finder)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"{name}: {emotion} ")


def pictures_in(folder: Path, media: Path, *names: str) -> Path:
    """Returns a folder with copies of these pictures."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in names:
        shutil.copy(media / name, pictures)
    return pictures


def test_a_folder_gives_a_json_line_for_each_picture_and_names_the_bad_one(media, folder, read_here):
    pictures = pictures_in(folder, media, "photo_happy.jpg", "multi_face.jpg", "mountain.jpg")
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    answer = read_here(pictures, "--json")
    assert answer.code == 0
    found = {line["name"]: len(line["faces"]) for line in map(json.loads, answer.out.splitlines())}
    assert found == {"mountain.jpg": 0, "multi_face.jpg": 5, "photo_happy.jpg": 1}
    assert "broken.jpg" in answer.err


def test_a_folder_leaves_annotated_pictures_rows_with_names_and_a_summary(media, folder, read_here):
    pictures, kept = pictures_in(folder, media, "photo_happy.jpg", "mountain.jpg"), folder / "kept"
    answer = read_here(pictures, "--output", kept, "--log", folder / "readings.csv")
    assert (answer.code, answer.err) == (0, "")
    rows = [(row["name"], row["label"]) for row in rows_of(folder / "readings.csv")]
    assert rows == [("mountain.jpg", ""), ("photo_happy.jpg", "happy")]
    assert sorted(path.name for path in kept.iterdir()) == ["mountain_annotated.png", "photo_happy_annotated.png"]
    assert "2 pictures read, 1 of them with a face." in answer.out
    assert "100%" in answer.out
    again = read_here(pictures, "--output", kept)
    assert again.code == 2
    assert again.problem == f"Error: {kept / 'mountain_annotated.png'} is already there, and is not replaced."


def test_a_video_leaves_a_log_an_annotated_video_a_summary_and_a_timeline(media, folder, read_here):
    files = ("--output", folder / "annotated.mp4", "--log", folder / "readings.csv", "--folder", folder / "kept")
    answer = read_here(media / "single_face.mp4", *files)
    assert (answer.code, answer.err) == (0, "")
    rows = rows_of(folder / "readings.csv")
    assert len(rows) == frames_in(folder / "annotated.mp4") == 72
    assert {row["person"] for row in rows} == {"1"}
    columns = "utc seconds frame person x y width height label confidence unsure"
    assert list(rows[0])[:11] == columns.split()
    assert "72 frames read, 0 skipped" in answer.out
    assert "People who are filmed or recorded must know it" in answer.out
    assert (folder / "kept" / "timeline.png").stat().st_size > 10_000


def test_a_clip_without_faces_has_a_row_per_frame_and_no_face(media, folder, read_here):
    answer = read_here(media / "no_face.mp4", "--log", folder / "readings.jsonl")
    assert answer.code == 0
    rows = [json.loads(line) for line in (folder / "readings.jsonl").read_text().splitlines()]
    assert len(rows) == 95
    assert {row["label"] for row in rows} <= {None, ""}
    assert "No face was seen." in answer.out


def test_captures_are_pictures_and_a_clip_each_classified(media, folder, read_here):
    kept = folder / "kept"
    answer = read_here(media / "single_face_2.mp4", "--capture", "3", "--clip", "2", "--folder", kept)
    assert (answer.code, answer.err) == (0, "")
    assert len(list(kept.glob("picture_*_annotated.png"))) == 3
    predictions = [json.loads(path.read_text()) for path in sorted(kept.glob("picture_*.json"))]
    assert [len(prediction["faces"]) for prediction in predictions] == [1] * 3
    assert len(rows_of(kept / "clip.csv")) == frames_in(kept / "clip.mp4")
    rate = cv2.VideoCapture(str(kept / "clip.mp4")).get(cv2.CAP_PROP_FPS)
    assert abs(frames_in(kept / "clip.mp4") / rate - 2) < 0.2


def test_a_camera_on_the_network_is_read_and_one_that_drops_out_is_tried_again(media, folder, started):
    with CameraStream(media / "single_face.mp4", rate=25.0) as camera:
        child = started(camera.url, "--log", folder / "readings.csv")
        before = [json.loads(child.stdout.readline()) for _ in range(20)]
        camera.drop(seconds=1.0)
        after = [json.loads(child.stdout.readline()) for _ in range(30)]
        child.terminate()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 143, said
    assert "trying again" in said
    assert "Frames are coming again." in said
    assert all(line["faces"] for line in before + after[15:])
    seconds = [line["seconds"] for line in before + after]
    assert max(later - sooner for sooner, later in itertools.pairwise(seconds)) > 0.8
    assert len(rows_of(folder / "readings.csv")) >= 50


def test_ctrl_c_leaves_whole_rows_a_video_that_plays_and_a_summary(media, folder, started):
    files = ("--output", folder / "annotated.mp4", "--log", folder / "readings.csv")
    child = started(media / "single_face_2.mp4", *files)
    for _ in range(15):
        child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    rows = rows_of(folder / "readings.csv")
    assert 15 <= len(rows) < 472
    assert None not in rows[-1].values()
    assert frames_in(folder / "annotated.mp4") == len(rows)
    assert "Summary" in said


def test_a_start_that_is_refused_leaves_no_log_that_the_next_one_would_find(media, detector, tmp_path):
    log = tmp_path / "log.csv"
    answer = detector("--source", media / "single_face.mp4", "--no-display", "--log", log, "--on-change", "no-program")
    assert (answer.code, log.exists()) == (2, False)


def test_without_a_screen_it_is_said_in_two_lines(media, detector):
    answer = detector("--source", media / "single_face.mp4")
    assert answer.code == 2
    assert answer.problem.startswith("Error: There is no screen")
    assert all(flag in answer.hint for flag in ("--no-display", "--output", "--log", "--json"))


def test_what_writes_a_file_goes_on_without_a_screen_and_says_so_in_one_line(detector, media, tmp_path):
    picture, log = media / "mountain.jpg", tmp_path / "log.csv"
    line = "There is no screen to open a window on: DISPLAY is not set. Going on without a window.\n"
    answer = detector("--source", picture, "--log", log, "--output", tmp_path / "drawn.png")
    assert (answer.code, answer.err, answer.out.count(line)) == (0, "", 1)
    assert log.is_file() and (tmp_path / "drawn.png").is_file()
    (tmp_path / "unnamed").write_bytes(picture.read_bytes())
    for one in (picture, tmp_path / "unnamed"):
        said = detector("--source", one)
        assert (said.code, said.out.count(line)) == (0, 1), "its line is the result"
    lines = detector("--source", picture, "--json", DISPLAY=":4242")
    assert (lines.code, lines.out.count("\n"), lines.err.count("Going on without a window.\n")) == (0, 1, 1)


def test_without_a_source_the_scores_come_first_and_then_the_missing_camera(detector):
    answer = detector("--no-display")
    assert answer.code == 2
    assert "Score on PublicTest (3,589 images)" in answer.out
    assert "camera" in answer.problem


def test_analyze_prints_the_analysis_and_keeps_it(test_data, paths, fer2013_cache, detector):
    model, data, cache = SHIPPED / "tiny", test_data / "fer2013.zip", {"FER_CACHE_DIR": str(fer2013_cache)}
    scores = read_json(model / "evaluation.json", "scores")
    first = detector("--model", model, "--analyze", "--data", data, **cache)
    assert (first.code, first.err) == (0, "")
    assert f"accuracy  {scores['accuracy']:.1%}" in first.out
    (folder,) = (paths.models / "analyses").iterdir()
    before = (folder / "evaluation.json").stat().st_mtime_ns
    again = detector("--model", model, "--analyze", "--data", data, **cache)
    assert again.out == first.out
    assert (folder / "evaluation.json").stat().st_mtime_ns == before
    without_images = detector("--model", model, "--analyze", **cache)
    assert (without_images.code, without_images.out) == (0, first.out)


def test_analyze_without_images_says_what_it_needs(detector):
    answer = detector("--analyze")
    assert answer.code == 2
    assert "The analysis needs the test images: give them with --data PATH." in answer.hint


def test_an_analysis_that_fails_is_told_and_the_camera_follows(detector, in_use):
    shutil.rmtree(in_use.plots)
    in_use.plots.write_text("in the way")
    flags = ("--model", in_use.id, "--no-display")
    live = detector(*flags)
    assert "There is no new analysis. The analysis cannot be written to" in live.out
    assert "was scored like this when it was trained" in live.out
    assert (live.code, "camera" in live.problem) == (2, True)
    given = detector(*flags, "--data", "missing.zip")
    assert (given.code, given.problem) == (2, "Error: There is no missing.zip.")


@pytest.fixture
def explained(paths, yunet, monkeypatch, capfd) -> Callable[..., str]:
    """A function that explains pictures in this process, which takes one of its own seconds; returns what it said."""

    def explain(*flags: object) -> str:
        monkeypatch.setenv("FER_YUNET", yunet["FER_YUNET"])
        request = parse([*map(str, flags), "--models-dir", str(paths.models)])
        explain_pictures(find_model("tiny", paths), request)
        return capfd.readouterr().out

    return explain


def test_explain_of_a_face_leaves_a_figure(detector, media, folder):
    kept = folder / "kept"
    flags = ("--explain", media / "photo_happy.jpg", "--faces", "given", "--model", "tiny", "--folder", kept)
    shown = detector(*flags)
    assert (shown.code, shown.err) == (0, "")
    assert (kept / "photo_happy.png").is_file()


def test_explain_of_a_folder_draws_maps_and_grad_cam_for_each_face_and_names_what_has_none(media, folder, explained):
    pictures, kept = folder / "pictures", folder / "kept"
    pictures.mkdir()
    happy, mountain = ((media / name).read_bytes() for name in ("photo_happy.jpg", "mountain.jpg"))
    for name, content in (("a.jpg", happy), ("a.jpeg", happy), ("b.jpg", mountain), ("c.jpg", happy[:300])):
        (pictures / name).write_bytes(content)
    said = explained("--explain", pictures, "--emotion", "sad", "--folder", kept)
    assert sorted(path.name for path in kept.iterdir()) == ["a.png", "a_2.png"]
    assert cv2.imread(str(kept / "a.png")).shape[0] > 500
    for text in ("a: happy", "Grad-CAM for sad", "b.jpg: no face", "Skipped: c.jpg: "):
        assert text in said


def test_a_folder_that_cannot_be_made_is_said_before_keras_is_loaded(without_keras, media, folder, explained):
    (folder / "file").touch()
    kept = folder / "file" / "kept"
    with pytest.raises(FerError, match=re.escape(f"{kept}")) as caught:
        explained("--explain", media / "photo_happy.jpg", "--folder", kept)
    assert caught.value.hint


def test_a_layer_that_there_is_not_leaves_no_folder_and_those_that_there_are_are_listed(
    media, folder, paths, explained, capfd
):
    kept = folder / "kept"
    with pytest.raises(ConfigError, match="foo") as caught:
        explained("--explain", media / "photo_happy.jpg", "--faces=given", "--layer=foo", "--folder", kept)
    assert caught.value.hint == "--list-layers lists them."
    assert not kept.exists()
    capfd.readouterr()
    list_layers(find_model("tiny", paths), parse(["--list-layers"]))
    shown = capfd.readouterr().out
    assert shown.count("default for maps") == shown.count("Grad-CAM") == 1
    assert " 1 maps" not in shown

"""What is sent when people's labels change, and `stream`, for whoever acts on it in Python."""

import json
import shlex
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fer_core import EmotionPredictor, faces
from fer_core.cli.benchmarking import measure
from fer_core.errors import ConfigError, SourceError
from fer_core.faces import Box
from fer_core.live.frame import Shown
from fer_core.live.on_change import OnChange
from fer_core.live.prediction import Prediction
from tests.live.fakes import frame_at, shipped_classifier

SAVE = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())"


def shown(seconds: float, **labels: str) -> Shown:
    """Returns a frame in which these people, p1, p2 …, show these labels."""
    found = [
        Prediction(Box(0, 0, 9, 9), label, 0.9, {label: 0.9}, unsure=False, person=int(name[1:]))
        for name, label in labels.items()
    ]
    return Shown(frame_at(seconds), tuple(found), None)


FRAMES = (
    *(shown(0.1 * place, p1="happy") for place in range(10)),
    shown(1.0, p1="sad"),  # for too short a time
    *(shown(1.1 + 0.1 * place, p1="happy") for place in range(9)),
    *(shown(2.0 + 0.1 * place, p1="happy", p2="angry") for place in range(9)),
    *(shown(3.0 + 0.1 * place, p1="sad", p2="angry") for place in range(9)),
    *(shown(4.0 + 0.1 * place) for place in range(9)),
)
EXPECTED = [
    [(1, None, "happy")],
    [(1, "happy", "happy"), (2, None, "angry")],
    [(1, "happy", "sad"), (2, "angry", "angry")],
    [],
]


def changes(lines: list[str]) -> list:
    return [[(face["person"], face["previous"], face["label"]) for face in json.loads(line)["faces"]] for line in lines]


def test_a_program_gets_each_lasting_change_once_on_its_stdin(tmp_path):
    problems = []
    command = shlex.join([sys.executable, "-c", SAVE, str(tmp_path / "said.jsonl")])
    sink = OnChange(command, is_live=False, report=problems.append)
    for frame in FRAMES:
        sink.write(frame)
    sink.close()
    sink.close()
    lines = (tmp_path / "said.jsonl").read_text().splitlines()
    assert (changes(lines), problems) == (EXPECTED, [])
    assert json.loads(lines[0])["seconds"] == 0.5


def test_an_address_gets_them_as_posts_and_of_a_camera_the_newest_replaces_one_that_waits():
    bodies, first, go_on = [], threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            first.set()
            go_on.wait(10)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink = OnChange(f"http://127.0.0.1:{server.server_port}/mood", is_live=True, report=pytest.fail)
    for frame in FRAMES:
        sink.write(frame)
        if frame.frame.seconds == 0.5:
            assert first.wait(10)
    go_on.set()
    sink.close()
    server.shutdown()
    server.server_close()
    assert changes(bodies) == [EXPECTED[0], EXPECTED[-1]]


def test_who_cannot_be_reached_is_reported_once_without_its_password_and_what_is_no_program_is_refused():
    problems = []
    sink = OnChange("http://me:secret@127.0.0.1:1/x", is_live=False, report=problems.append)
    for frame in FRAMES:
        sink.write(frame)
    sink.close()
    assert len(problems) == 1 and "secret" not in problems[0] and problems[0].startswith("--on-change http://127")
    for command in ("no-such-program --flag", "", "echo 'a"):
        with pytest.raises(SourceError, match="--on-change"):
            OnChange(command, is_live=False, report=problems.append)


def test_what_answers_in_another_way_than_the_web_does_is_reported_and_nothing_waits_for_it():
    problems = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in EXPECTED:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=greet, daemon=True).start()
        port = server.getsockname()[1]
        targets = [f"http://127.0.0.1:{port}", "http://127.0.0.1:port", f"http://127.0.0.1:{port}/ü"]
        for target in targets:
            sink = OnChange(target, is_live=False, report=problems.append)
            for frame in FRAMES:
                sink.write(frame)
            sink.close()
    assert [problem.split(": ")[0] for problem in problems] == [f"--on-change {target}" for target in targets]


def test_stream_yields_the_frames_of_a_video_with_numbered_people_and_those_of_pictures_alone(test_data, paths):
    predictor = EmotionPredictor.open(model="tiny", detector="haar", paths=paths)
    clip = test_data / "faces" / "single_face.mp4"
    seen = []
    for frame in predictor.stream(clip, detect_every=8):
        seen.append(frame)
        if len(seen) == 20:
            break
    assert [one.frame.number for one in seen] == list(range(20))
    assert seen[-1].predictions[0].person == 1
    assert {"detect", "classify"} <= seen[-1].stage_seconds.keys()
    (alone,) = predictor.stream(test_data / "faces" / "photo_happy.jpg")
    (prediction,) = alone.predictions
    assert (prediction.label, prediction.person) == ("happy", None)
    with pytest.raises(SourceError, match=r"There is no nowhere\.mp4"):
        next(predictor.stream(Path("nowhere.mp4")))
    with pytest.raises(ConfigError, match="no detector"):
        next(EmotionPredictor.open(model="tiny", detector=None, paths=paths).stream(clip))


def test_the_benchmark_finds_those_that_it_draws(paths):
    detector = faces.make_detector("haar", paths=paths)
    one, five = measure(detector, shipped_classifier(paths), seconds=0.1)
    assert (one.people, one.found, five.found) == ("one face", 1, 5)
    assert min(one.detect, one.classify, one.frames_per_second) > 0
    assert five.classify > one.classify

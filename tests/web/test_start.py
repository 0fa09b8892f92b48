"""`python -m fer_core.web` as users start it."""

import signal
import time
from pathlib import Path

import pytest

from fer_core.errors import ConfigError, FerError
from fer_core.web.serving import serving
from fer_core.web.settings import parse, password_warning
from tests.conftest import PROJECT, paths_in
from tests.script import run_script
from tests.web.conftest import TOKEN

REFUSED = """
import sys
from fer_core.web.__main__ import run
code = run()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def test_it_warns_of_an_open_password_answers_soon_without_tensorflow_and_ends_when_asked(web_process, face, tmp_path):
    file = tmp_path / "password.txt"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert password_warning(file) == password_warning(None) == ""
    file.chmod(0o644)
    began = time.monotonic()
    server = web_process("--password-file", str(file))
    assert f"every user of this machine can read the password in {file}: chmod o-r" in server.warnings
    answer = server.post("/api/v1/predict", files={"image": face}, headers={"Authorization": f"Bearer {TOKEN}"})
    print(f"start to first answer: {time.monotonic() - began:.2f} s")
    assert answer.json()["images"][0]["faces"][0]["label"] == "happy"
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "ai_edge_litert" in mapped
    assert [name for name in ("tensorflow", "jaxlib", "h5py") if f"/{name}/" in mapped] == []
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) in (0, 143)


@pytest.mark.parametrize("megabytes", [0.5, 20, 200])
def test_as_many_connections_are_let_in_as_their_requests_fit_into_memory(web_settings, tmp_path, megabytes):
    settings = web_settings.model_copy(update={"waiting": 1, "max_upload_mb": megabytes})
    with serving(settings, paths_in(tmp_path), environ={}) as started:
        limits = started.server.adj
    assert 10 <= limits.connection_limit <= 1000
    assert limits.connection_limit * settings.upload_bytes <= 4 * 2**30
    assert limits.max_request_body_size > settings.upload_bytes, "a request of that size is still taken"


def test_what_cannot_be_done_is_said_in_two_lines_by_an_application_that_imports_nothing_that_trains(paths):
    environment = {"PYTHONPATH": str(PROJECT)}
    answer = run_script("--host", "0.0.0.0", paths=paths, script=("-c", REFUSED), environment=environment)
    assert answer.code == 2
    assert "lets other machines in" in answer.problem
    assert "--password-file" in answer.hint
    loaded, heavy = answer.out.split(), ("tensorflow", "keras", "keras_tuner", "jax", "matplotlib", "sklearn")
    assert "waitress" in loaded
    assert [name for name in (*heavy, "pandas", "celery") if name in loaded] == []


@pytest.mark.parametrize(
    ("flags", "problem", "hint"),
    [
        (["--prot", "1"], "There is no setting '--prot'", "Did you mean '--port'?"),
        (["--model", "none"], "There is no run 'none'", "There are no runs yet"),
        (["--host", "203.0.113.7", "--token", "x" * 20], "cannot be listened on", "another --port"),
    ],
)
def test_what_there_is_not_is_refused_with_what_to_do(flags, problem, hint, paths):
    with pytest.raises(FerError, match=problem) as error, serving(parse(flags)[0], paths, environ={}):
        pass
    assert hint in error.value.hint


def test_flags_are_settings_and_folders(tmp_path):
    settings, paths = parse(["--allow-host", "a.example", "b.example", "--https", "--models-dir", str(tmp_path)])
    assert settings.allow_host == ("a.example", "b.example")
    assert settings.https
    assert paths.models == tmp_path


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--detection-width", "5"], "detection_width: input should be greater"),
        (["--port", "70000"], "port: input should be less than or equal to 65535"),
        (["5000"], "There is a value too many: '5000'"),
    ],
)
def test_a_flag_out_of_range_is_named(flags, says):
    with pytest.raises(ConfigError, match=says):
        parse(flags)

"""Jobs as services, as far as can be proved without a container engine: what the files say, and that it runs.

Where only Debian's redis-server is installed, `valkey-server` and `valkey-cli` lead to it.
"""

import configparser
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fer_core.errors import JobError
from fer_core.web.answers import WorkersAnswer
from jobs.compose_env import PASSWORDS, main, write_env
from tests.conftest import PROJECT
from tests.jobs.stack import Stack

FILE = PROJECT / "docker-compose.yml"
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
UNITS = PROJECT / "docs" / "services"
OURS = ("worker", "beat", "flower", "web")
COMPOSE = shutil.which("docker-compose")
needs_compose = pytest.mark.skipif(
    COMPOSE is None,
    reason="docker-compose is NOT installed, so docker-compose.yml was not checked (apt-get install docker-compose).",
)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> dict[str, str]:
    """What `make compose-env` writes."""
    path = tmp_path_factory.mktemp("env") / ".env"
    assert write_env(path, user=1000, group=1000)
    return dict(re.findall(r"^(\w+)=(.+)$", path.read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def services(secrets) -> dict[str, dict]:
    """The services with all variables filled in."""
    return interpolated(yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"], secrets)


def interpolated(value: Any, variables: dict[str, str]) -> Any:
    """Fills in ${NAME:?message}, ${NAME:-default} and $$ as Compose does."""
    if isinstance(value, dict):
        return {key: interpolated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one, variables) for one in value]
    if isinstance(value, str):
        text = re.sub(r"\$\{(\w+):[?-]([^}]*)\}", lambda match: variables.get(match[1], match[2]), value)
        return text.replace("$$", "$")
    return value


def compose_config(*files: Path, env_file: Path) -> subprocess.CompletedProcess:
    """Asks docker-compose for the whole file, which needs no engine."""
    clean = {name: value for name, value in os.environ.items() if name not in (*PASSWORDS, "FER_UID", "FER_GID")}
    flags = [word for file in files for word in ("-f", str(file))]
    command = [COMPOSE, "--project-directory", str(PROJECT), "--env-file", str(env_file), *flags, "config"]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60)


@needs_compose
@pytest.mark.parametrize("more", [(), (UNITS / "docker-compose.gpu.yml",)], ids=["alone", "with a GPU"])
def test_docker_compose_accepts_the_file(more, tmp_path):
    write_env(tmp_path / ".env", user=1234, group=1234)
    answer = compose_config(FILE, *more, env_file=tmp_path / ".env")
    assert answer.returncode == 0, answer.stderr
    shown = yaml.safe_load(answer.stdout)["services"]
    assert set(shown) == {"redis", *OURS}
    assert shown["worker"]["user"] == "1234:1234"
    assert shown["redis"]["environment"]["REDISCLI_AUTH"] in shown["worker"]["environment"]["FER_BROKER_URL"]
    assert bool(more) == ("deploy" in shown["worker"])


@needs_compose
def test_without_passwords_compose_says_what_makes_them(tmp_path):
    (tmp_path / ".env").write_text("")
    answer = compose_config(FILE, env_file=tmp_path / ".env")
    assert answer.returncode != 0
    assert re.search("_PASSWORD.*make compose-env", answer.stderr, re.DOTALL)


def test_images_are_pinned_by_tag_and_name_no_registry(services):
    base = re.search(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE).group(1)
    for image in {base, *(service["image"] for service in services.values())}:
        name, _, tag = image.partition(":")
        assert re.match(r"\d+\.\d+", tag), image
        assert "." not in name.split("/")[0], image
    assert len({services[name]["image"] for name in OURS}) == 1


def test_nothing_is_published_but_the_two_pages_and_these_on_this_machine_only(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"flower": ["127.0.0.1:5555:5555"], "web": ["127.0.0.1:5000:5000"]}


def test_every_service_has_a_health_check_a_grace_period_and_no_root(services):
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD-SHELL", name
        assert int(service["stop_grace_period"].removesuffix("s")) >= 120, name
        assert service["user"].split(":")[0] not in ("0", "root"), name
        assert service["restart"] == "unless-stopped", name
    assert re.search(r"^USER (?!root|0)\w+$", DOCKERFILE, re.MULTILINE)


def test_no_password_is_part_of_a_command(services, secrets):
    for service in services.values():
        shown = json.dumps([service["command"], service["healthcheck"], service["image"]])
        assert not [name for name in PASSWORDS if secrets[name] in shown]


def test_the_image_gets_what_the_project_is_made_of_and_no_secrets():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert {"fer_core", "jobs", "requirements-image.lock", "models/shipped"} <= sources
    assert sources <= let_in
    assert [source for source in sources if not (PROJECT / source).exists()] == []
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    assert not {".env", "data", "history"} & let_in


@pytest.mark.parametrize("name", ["", "-jax", "-image", "-image-and-cuda", "-headless"])
def test_every_file_of_a_lock_has_a_hash(name):
    text = (PROJECT / f"requirements{name}.lock").read_text(encoding="utf-8").replace("\\\n", "")
    packages = text.splitlines()
    assert packages and all(
        re.fullmatch(r"[\w.-]+==\S+( ;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+", one) for one in packages
    )


def test_the_image_is_what_was_tested_without_the_tools_of_tests():
    tested, image, cuda = (_versions(name) for name in ("", "-image", "-image-and-cuda"))
    assert image.items() <= tested.items()
    assert image.items() <= cuda.items()
    assert {"tensorflow", "celery", "flower", "opencv-python"} <= set(image)
    assert not {"pytest", "playwright", "hypothesis", "schemathesis", "ruff", "jax"} & set(image | cuda)
    assert "requirements.lock" not in DOCKERFILE


def _versions(lock: str) -> dict[str, str]:
    text = (PROJECT / f"requirements{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def test_every_service_has_a_limit_of_memory(services):
    for name, service in services.items():
        assert re.fullmatch(r"\d+g", service["mem_limit"]), name
    for unit in UNITS.glob("*.service"):
        assert re.search(r"^MemoryMax=\d+[%G]$", unit.read_text(), re.MULTILINE), unit


@pytest.mark.parametrize(
    ("unit", "service"),
    [
        ("fer-worker@", "worker"),
        ("fer-cpu-worker", "worker"),
        ("fer-beat", "beat"),
        ("fer-flower", "flower"),
        ("fer-web", "web"),
    ],
)
def test_a_service_unit_runs_what_compose_runs(unit, service, services):
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str
    found.read_string((UNITS / f"{unit}.service").read_text(encoding="utf-8"))
    program, *words = found["Service"]["ExecStart"].replace("127.0.0.1", "0.0.0.0").split()
    expected = services[service]["command"]
    assert [Path(program).name, *words[: len(expected) - 1]] == expected
    assert found["Service"]["User"] != "root"
    if service == "worker":
        assert found["Service"]["KillMode"] == "mixed"
        assert int(found["Service"]["TimeoutStopSec"]) >= 120


@pytest.fixture(scope="module")
def stack(services, tmp_path_factory) -> Iterator[Stack]:
    """All services, healthy."""
    stack = Stack(tmp_path_factory.mktemp("stack"), services)
    try:
        stack.start("redis")
        stack.start(*OURS)
        yield stack
    finally:
        stack.stop()


def test_the_broker_asks_for_its_password_and_forgets_nothing(stack, secrets):
    port = str(stack.broker_port)
    ping = ["valkey-cli", "-p", port, "ping"]
    stranger = stack.environment("redis") | {"REDISCLI_AUTH": ""}
    answer = subprocess.run(ping, env=stranger, capture_output=True, text=True, timeout=10)
    assert "NOAUTH" in answer.stdout + answer.stderr
    for name, value in {"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"}.items():
        shown = stack.run("valkey-cli", "-p", port, "config", "get", name, service="redis").stdout
        assert shown.split("\n")[:2] == [name, value]
    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if command and secrets["REDIS_PASSWORD"] in " ".join(command)]


def test_flower_shows_workers_and_jobs_to_those_who_have_the_password(stack, secrets):
    password = secrets["FLOWER_PASSWORD"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stack.ask_flower("/api/workers", "wrong")
    sent = stack.run("celery", "-A", "jobs", "call", "gc", "--kwargs", '{"dry_run": true}')
    assert sent.returncode == 0, sent.stderr
    job = sent.stdout.strip()

    def is_shown() -> bool:
        return stack.ask_flower("/api/tasks", password).get(job, {}).get("state") == "SUCCESS"

    stack.until(is_shown, "the job is shown as done", "worker")
    assert stack.ask_flower("/api/tasks", password)[job]["name"] == "gc"
    assert f"celery@{socket.gethostname()}" in stack.ask_flower("/api/workers?refresh=1", password)


def test_the_web_page_asks_for_its_password_and_shows_the_jobs(stack, secrets):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stack.ask_web("/api/v1/jobs", "wrong")
    assert stack.ask_web("/api/v1/workers", secrets["WEB_PASSWORD"])["reachable"]
    assert isinstance(stack.ask_web("/api/v1/jobs", secrets["WEB_PASSWORD"])["jobs"], list)


def test_a_health_check_notices_that_nobody_answers(stack):
    _, script = stack.services["worker"]["healthcheck"]["test"]
    elsewhere = script.replace("$HOSTNAME", "nobody").replace("--timeout 10", "--timeout 1")
    assert stack.run("sh", "-c", elsewhere).returncode != 0


def test_all_services_end_when_they_are_asked_to(stack):
    assert stack.stop() == {"web": 0, "flower": 0, "beat": 0, "worker": 0, "redis": 0}


def test_the_passwords_are_random_and_readable_by_their_owner_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = os.umask(0)
    try:
        main([])
    finally:
        os.umask(old)
    assert stat.S_IMODE(Path(".env").stat().st_mode) == 0o600
    assert write_env(Path("other"), user=1, group=2)
    pattern = re.compile(r"^(\w+)=(.+)$", re.MULTILINE)
    mine, other = (dict(pattern.findall(Path(name).read_text())) for name in (".env", "other"))
    assert set(mine) == set(other) == {*PASSWORDS, "FER_UID", "FER_GID"}
    values = {one[name] for one in (mine, other) for name in PASSWORDS}
    assert len(values) == 2 * len(PASSWORDS)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in values)
    assert (other["FER_UID"], other["FER_GID"]) == ("1", "2")
    assert {path.name for path in tmp_path.iterdir()} == {".env", "other"}


def test_the_passwords_need_no_environment(tmp_path):
    bare = [sys.executable, "-S", "-m", "jobs.compose_env"]
    answer = subprocess.run(bare, cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "docker compose up" in answer.stdout
    assert (tmp_path / ".env").is_file()


def test_root_gets_containers_that_are_not_root(tmp_path):
    write_env(tmp_path / ".env", user=0, group=0)
    user = re.search(r"--uid (\d+)", DOCKERFILE).group(1)
    assert f"FER_UID={user}\nFER_GID={user}\n" in (tmp_path / ".env").read_text()


def test_an_env_file_that_is_there_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / ".env"
    main([str(path)])
    before = path.read_bytes()
    main([str(path)])
    assert path.read_bytes() == before
    assert "stays as it is" in capsys.readouterr().out


def test_an_env_file_that_lacks_a_password_is_named_and_left_alone(tmp_path):
    path = tmp_path / ".env"
    path.write_text("REDIS_PASSWORD=\nFLOWER_PASSWORD=abc\nWEB_PASSWORD=abc\nMY_OWN=1\n")
    with pytest.raises(JobError, match=r"does not set REDIS_PASSWORD\.") as error:
        main([str(path)])
    assert "REDIS_PASSWORD=" in error.value.hint
    assert path.read_text() == "REDIS_PASSWORD=\nFLOWER_PASSWORD=abc\nWEB_PASSWORD=abc\nMY_OWN=1\n"


def test_the_worker_of_slurm_is_told_before_its_time_is_over_and_ends_when_it_is_idle():
    script = (UNITS / "slurm.sh").read_text(encoding="utf-8")
    assert "--signal=B:TERM@120" in script
    assert re.search(r"^exec celery -A jobs worker .*--exit-when-idle", script.replace("\\\n", ""), re.MULTILINE)
    assert subprocess.run(["sh", "-n", UNITS / "slurm.sh"]).returncode == 0
    without = subprocess.run(
        ["sh", UNITS / "slurm.sh"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )
    assert without.returncode != 0 and "FER_BROKER_URL: names the Redis" in without.stderr


def test_kubernetes_runs_the_worker_of_compose_and_scales_it_by_a_number_that_the_api_has(services):
    worker, _, scaled = yaml.safe_load_all((UNITS / "kubernetes.yaml").read_text(encoding="utf-8"))
    container = worker["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][: len(services["worker"]["command"])] == services["worker"]["command"]
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 120
    assert scaled["spec"]["triggers"][0]["metadata"]["valueLocation"].split(".")[0] in WorkersAnswer.model_fields

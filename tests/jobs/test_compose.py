"""Jobs as services, as far as can be proved without a container engine: what the files say, and that it runs.

Commands and health checks run as written, but for hosts and ports: those are free ones of this machine. Where only
Debian's redis-server is installed, `valkey-server` and `valkey-cli` lead to it.
"""

import base64
import configparser
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fer_core.job.broker import Broker
from fer_core.job.lifecycle import create_job
from fer_core.web.answers import WorkersAnswer
from jobs.machine import find_server
from tests.conftest import PROJECT, paths_in
from tests.jobs.conftest import wait_until

FILE = PROJECT / "docker-compose.yml"
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
UNITS = PROJECT / "docs" / "services"
OURS = ("worker", "beat", "flower", "web")
ENV_LINE = re.compile(r"^(\w+)=(.+)$", re.MULTILINE)
PASSWORDS = ("REDIS_PASSWORD", "FLOWER_PASSWORD", "WEB_PASSWORD")
COMPOSE = shutil.which("docker-compose")
LISTENS = re.compile(r"Ready to accept|ready\.$|beat: Starting|Visit me at|http://", re.MULTILINE)
"""What a service says when it is worth while to ask for its health."""


def compose_env(folder: Path) -> subprocess.CompletedProcess:
    """Runs `make compose-env` there."""
    command = ["make", "-s", "-f", PROJECT / "Makefile", "compose-env"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, umask=0, check=False)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory) -> dict[str, str]:
    """What `make compose-env` writes."""
    folder = tmp_path_factory.mktemp("env")
    answer = compose_env(folder)
    assert (answer.returncode, answer.stderr) == (0, "") and "docker compose up" in answer.stdout
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()] == [(".env", 0o600)]
    return dict(ENV_LINE.findall((folder / ".env").read_text()))


def test_passwords_are_random_never_overwritten_and_one_that_is_missing_is_named(secrets, tmp_path):
    user = {} if os.getuid() == 0 else {"FER_UID": str(os.getuid()), "FER_GID": str(os.getgid())}
    assert secrets == user | {name: secrets[name] for name in PASSWORDS}  # with root's, the containers would be root
    compose_env(tmp_path)
    path = tmp_path / ".env"
    other = dict(ENV_LINE.findall(path.read_text()))
    values = {one[name] for one in (secrets, other) for name in PASSWORDS}
    assert len(values) == 2 * len(PASSWORDS) and all(re.fullmatch("[0-9a-f]{48}", value) for value in values)
    assert compose_env(tmp_path).returncode == 0 and dict(ENV_LINE.findall(path.read_text())) == other
    path.write_text("REDIS_PASSWORD=\nFLOWER_PASSWORD=abc\nWEB_PASSWORD=abc\nMY_OWN=1\n")
    answer = compose_env(tmp_path)
    assert answer.returncode and "does not set REDIS_PASSWORD." in answer.stderr
    assert path.read_text().endswith("MY_OWN=1\n")


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


@pytest.mark.skipif(
    COMPOSE is None,
    reason="docker-compose is NOT installed, so docker-compose.yml was not checked (apt-get install docker-compose).",
)
def test_docker_compose_accepts_the_file_also_with_a_gpu_and_asks_for_passwords(tmp_path, services):
    clean = {name: value for name, value in os.environ.items() if name not in (*PASSWORDS, "FER_UID", "FER_GID")}
    full, empty = tmp_path / ".env", tmp_path / "empty"
    full.write_text("".join(f"{name}=secret\n" for name in PASSWORDS) + "FER_UID=1234\nFER_GID=1234\n")
    empty.touch()
    files = ["-f", FILE, "-f", UNITS / "docker-compose.gpu.yml", "config"]
    answers = []
    for env_file in (full, empty):
        command = [COMPOSE, "--project-directory", PROJECT, "--env-file", env_file, *files]
        answers.append(subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60))
    assert answers[0].returncode == 0, answers[0].stderr
    shown = yaml.safe_load(answers[0].stdout)["services"]
    assert set(shown) == {"redis", *OURS} and shown["worker"]["user"] == "1234:1234"
    assert shown["redis"]["environment"]["REDISCLI_AUTH"] in shown["worker"]["environment"]["FER_BROKER_URL"]
    assert "deploy" in shown["worker"] and "deploy" not in services["worker"]
    assert answers[1].returncode != 0
    assert re.search("_PASSWORD.*make compose-env", answers[1].stderr, re.DOTALL)


def test_every_service_is_pinned_healthy_limited_not_root_and_published_on_this_machine_only(services, secrets):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"flower": ["127.0.0.1:5555:5555"], "web": ["127.0.0.1:5000:5000"]}
    for name, service in services.items():
        assert service["healthcheck"]["test"][0] == "CMD-SHELL", name
        assert int(service["stop_grace_period"].removesuffix("s")) >= 120, name
        assert service["user"].split(":")[0] not in ("0", "root"), name
        assert service["restart"] == "unless-stopped", name
        assert re.fullmatch(r"\d+g", service["mem_limit"]), name
        shown = json.dumps([service["command"], service["healthcheck"], service["image"]])
        assert not [password for password in PASSWORDS if secrets[password] in shown], name
    assert re.search(r"^USER (?!root|0)\w+$", DOCKERFILE, re.MULTILINE)
    base = re.search(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE).group(1)
    for image in {base, *(service["image"] for service in services.values())}:  # of no registry
        assert re.fullmatch(r"[^./:]+(/[^:]+)?:\d+\.\d+\S*", image), image
    assert len({services[name]["image"] for name in OURS}) == 1


def test_the_image_gets_what_the_project_is_made_of_and_no_secrets():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert {"fer_core", "jobs", "requirements-image.lock", "models/shipped"} <= sources <= let_in
    assert all((PROJECT / source).exists() for source in sources)
    assert next(line for line in ignored if not line.startswith("#")) == "*"
    assert not {".env", "data", "history"} & let_in


def test_every_file_of_a_lock_has_a_hash_and_the_image_is_what_was_tested_without_the_tools_of_tests():
    found = {}
    for name in ("", "-jax", "-image", "-image-and-cuda", "-headless"):
        text = (PROJECT / f"requirements{name}.lock").read_text(encoding="utf-8").replace("\\\n", "")
        for one in text.splitlines():
            assert re.fullmatch(r"[\w.-]+==\S+( ;.*?)?(\s+--hash=sha256:[0-9a-f]{64})+", one), one
        found[name] = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    tested, image, cuda = found[""], found["-image"], found["-image-and-cuda"]
    assert image.items() <= tested.items() and image.items() <= cuda.items()
    assert {"tensorflow", "celery", "flower", "opencv-python"} <= set(image)
    assert not {"pytest", "playwright", "hypothesis", "schemathesis", "ruff", "jax"} & set(image | cuda)
    assert "requirements.lock" not in DOCKERFILE


@pytest.mark.parametrize("unit", ["fer-worker@", "fer-cpu-worker", "fer-beat", "fer-flower", "fer-web"])
def test_a_service_unit_runs_what_compose_runs(unit, services):
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str
    found.read_string((UNITS / f"{unit}.service").read_text(encoding="utf-8"))
    program, *words = found["Service"]["ExecStart"].replace("127.0.0.1", "0.0.0.0").split()
    service = next(name for name in OURS if name in unit)
    expected = services[service]["command"]
    assert [Path(program).name, *words[: len(expected) - 1]] == expected
    assert found["Service"]["User"] != "root"
    assert re.fullmatch(r"\d+[%G]", found["Service"]["MemoryMax"])
    if service == "worker":
        assert found["Service"]["KillMode"] == "mixed" and int(found["Service"]["TimeoutStopSec"]) >= 120


class Stack:
    """The services of docker-compose.yml as processes of this machine."""

    def __init__(self, folder: Path, services: dict[str, dict], server: Path, client: str):
        self.folder, self.services = folder, services
        self.ports = {port: free_port() for port in ("6379", "5555", "5000")}
        self._processes: dict[str, subprocess.Popen] = {}
        (folder / "bin").mkdir()
        (folder / "bin" / "valkey-server").symlink_to(server)
        (folder / "bin" / "valkey-cli").symlink_to(client)

    def start(self, *names: str) -> None:
        """Starts the services' commands and waits until their health checks are content."""
        for name in names:
            command = [self._here(word) for word in self.services[name]["command"]]
            folder = self.folder if name == "redis" else PROJECT
            with (self.folder / f"{name}.txt").open("wb") as log:
                outputs = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
                self._processes[name] = subprocess.Popen(command, cwd=folder, env=self.environment(name), **outputs)
        for name in names:
            wait_until(lambda log=self.folder / f"{name}.txt": LISTENS.search(log.read_text(errors="replace")), 60)
            wait_until(lambda name=name: self.health(name).returncode == 0, 60, every=0.2)

    def health(self, name: str, script: str = "") -> subprocess.CompletedProcess:
        """Runs the service's health check once."""
        return self.run("sh", "-c", self._here(script or self.services[name]["healthcheck"]["test"][1]), service=name)

    def run(self, *command: str, service: str = "worker", **changed: str) -> subprocess.CompletedProcess:
        """Runs a command as in that service's container."""
        environment = self.environment(service) | changed
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)

    def ask(self, port: str, path: str, key: str) -> dict:
        """Returns a page's JSON. Raises HTTPError."""
        address = f"http://127.0.0.1:{self.ports[port]}{path}"
        request = urllib.request.Request(address, headers={"Authorization": key})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> dict[str, int]:
        """Asks all to stop, as `docker compose down` does, and returns their exit codes, -9 for who did not."""
        codes = {}
        for name, process in reversed(self._processes.items()):
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()
            codes[name] = process.wait()
        self._processes.clear()
        return codes

    def environment(self, name: str) -> dict[str, str]:
        """Returns the service's own variables, and those that the image and Docker set."""
        own = {key: self._here(value) for key, value in self.services[name]["environment"].items()}
        strange = ("FER_", "FLOWER_", "REDIS", "VALKEY")
        others = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        folders = {f"FER_{place.upper()}_DIR": str(self.folder / place) for place in ("models", "history", "cache")}
        return others | folders | {"PATH": path, "HOSTNAME": socket.gethostname()} | own

    def _here(self, text: str) -> str:
        text = text.replace("@redis:", "@127.0.0.1:").replace("0.0.0.0", "127.0.0.1")
        for written, port in self.ports.items():
            text = text.replace(written, str(port))
        return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def stack(services, tmp_path_factory, redis_server) -> Iterator[Stack]:
    """All services, healthy."""
    server = find_server(os.environ)
    folders = os.pathsep.join([os.environ["PATH"], str(server.parent)])
    client = shutil.which("valkey-cli", path=folders) or shutil.which("redis-cli", path=folders)
    if client is None:
        pytest.skip("Neither valkey-cli nor redis-cli is installed: NO command of docker-compose.yml was run.")
    stack = Stack(tmp_path_factory.mktemp("stack"), services, server, client)
    try:
        stack.start("redis")
        stack.start(*OURS)
        yield stack
    finally:
        print(*((stack.folder / f"{name}.txt").read_text(errors="replace")[-3000:] for name in OURS))
        stack.stop()


def test_the_broker_asks_for_its_password_and_forgets_nothing(stack, secrets):
    client = ("valkey-cli", "-p", str(stack.ports["6379"]))
    answer = stack.run(*client, "ping", service="redis", REDISCLI_AUTH="")
    assert "NOAUTH" in answer.stdout + answer.stderr
    for name, value in {"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"}.items():
        assert stack.run(*client, "config", "get", name, service="redis").stdout.split("\n")[:2] == [name, value]
    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if command and secrets["REDIS_PASSWORD"] in " ".join(command)]


def test_flower_and_the_web_page_show_the_jobs_to_those_who_have_the_password(stack, secrets):
    wrong, right = (base64.b64encode(f"fer:{word}".encode()).decode() for word in ("wrong", secrets["FLOWER_PASSWORD"]))
    for port, path, key in (("5555", "/api/workers", f"Basic {wrong}"), ("5000", "/api/v1/jobs", "Bearer wrong")):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            stack.ask(port, path, key)
    paths, bearer = paths_in(stack.folder), f"Bearer {secrets['WEB_PASSWORD']}"
    sent = create_job(paths, "gc", {"dry_run": True}, environ={})
    Broker(paths, stack.environment("worker")).send(sent)
    job = sent.order.message_id
    task = lambda: stack.ask("5555", "/api/tasks", f"Basic {right}").get(job, {})  # noqa: E731
    wait_until(lambda: task().get("state") == "SUCCESS", 60)
    assert task()["name"] == "gc"
    assert f"celery@{socket.gethostname()}" in stack.ask("5555", "/api/workers?refresh=1", f"Basic {right}")
    assert stack.ask("5000", "/api/v1/workers", bearer)["reachable"]
    assert isinstance(stack.ask("5000", "/api/v1/jobs", bearer)["jobs"], list)


def test_a_health_check_notices_that_nobody_answers_and_all_services_end_when_they_are_asked_to(stack):
    _, script = stack.services["worker"]["healthcheck"]["test"]
    script = script.replace("$HOSTNAME", "nobody").replace("--timeout 10", "--timeout 1")
    assert stack.health("worker", script).returncode
    assert stack.stop() == {"web": 0, "flower": 0, "beat": 0, "worker": 0, "redis": 0}


def test_the_worker_of_slurm_is_told_before_its_time_is_over_and_ends_when_it_is_idle():
    script = (UNITS / "slurm.sh").read_text(encoding="utf-8")
    assert "--signal=B:TERM@120" in script
    assert re.search(r"^exec celery -A jobs worker .*--exit-when-idle", script.replace("\\\n", ""), re.MULTILINE)
    bare = {"env": {"PATH": os.environ["PATH"]}, "capture_output": True, "text": True}
    assert subprocess.run(["sh", "-n", UNITS / "slurm.sh"], **bare).returncode == 0
    without = subprocess.run(["sh", UNITS / "slurm.sh"], **bare)
    assert without.returncode != 0 and "FER_BROKER_URL: names the Redis" in without.stderr


def test_kubernetes_runs_the_worker_of_compose_and_scales_it_by_a_number_that_the_api_has(services):
    worker, _, scaled = yaml.safe_load_all((UNITS / "kubernetes.yaml").read_text(encoding="utf-8"))
    pod = worker["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][: len(services["worker"]["command"])] == services["worker"]["command"]
    assert pod["terminationGracePeriodSeconds"] >= 120
    assert scaled["spec"]["triggers"][0]["metadata"]["valueLocation"].split(".")[0] in WorkersAnswer.model_fields

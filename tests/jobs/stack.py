"""The services of docker-compose.yml as processes of this machine."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_core.errors import JobError
from jobs.machine import find_server
from tests.conftest import PROJECT

START_SECONDS = 60


class Stack:
    """Commands and health checks as written, but for hosts and ports: those are free ones of this machine."""

    def __init__(self, folder: Path, services: dict[str, dict]):
        self.folder, self.services = folder, services
        self.broker_port, self.flower_port, self.web_port = free_port(), free_port(), free_port()
        self._processes: dict[str, subprocess.Popen] = {}
        self._programs = folder / "bin"
        self._programs.mkdir()
        server = _server_program()
        (self._programs / "valkey-server").symlink_to(server)
        (self._programs / "valkey-cli").symlink_to(_client_program(server))

    def start(self, *names: str) -> None:
        """Starts the services' commands and waits until their health checks are content."""
        for name in names:
            self._begin(name)
        for name in names:
            self.until(lambda name=name: self.health(name).returncode == 0, f"{name} is healthy", name)

    def _begin(self, name: str) -> None:
        with self.log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [self._here(word) for word in self.services[name]["command"]],
                cwd=self.folder if name == "redis" else PROJECT,
                env=self.environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def health(self, name: str) -> subprocess.CompletedProcess:
        """Runs the service's health check once."""
        _, script = self.services[name]["healthcheck"]["test"]
        return self.run("sh", "-c", self._here(script), service=name)

    def run(self, *command: str, service: str = "worker") -> subprocess.CompletedProcess:
        """Runs a command as in that service's container."""
        environment = self.environment(service)
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)

    def ask_flower(self, path: str, password: str) -> dict:
        """Returns Flower's JSON. Raises HTTPError."""
        key = base64.b64encode(f"fer:{password}".encode()).decode()
        return _json(f"http://127.0.0.1:{self.flower_port}{path}", f"Basic {key}")

    def ask_web(self, path: str, password: str) -> dict:
        """Returns the web page's JSON. Raises HTTPError."""
        return _json(f"http://127.0.0.1:{self.web_port}{path}", f"Bearer {password}")

    def until(self, is_so: Callable[[], bool], what: str, service: str) -> None:
        """Waits; fails with the end of the service's output."""
        deadline = time.monotonic() + START_SECONDS
        while not is_so():
            output = self.log(service).read_text(errors="replace")
            assert time.monotonic() < deadline, f"Waited for: {what}. {service} has said:\n{output[-3000:]}"
            time.sleep(0.2)

    def stop(self) -> dict[str, int]:
        """Asks all to stop, as `docker compose down` does, and returns their exit codes, -9 for who did not."""
        codes = {}
        for name, process in reversed(self._processes.items()):
            process.send_signal(signal.SIGTERM)
            try:
                codes[name] = process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self._processes.clear()
        return codes

    def environment(self, name: str) -> dict[str, str]:
        """Returns the service's own variables, and those that the image and Docker set."""
        own = {key: self._here(value) for key, value in self.services[name]["environment"].items()}
        strange = ("FER_", "FLOWER_", "REDIS", "VALKEY")
        others = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
        path = os.pathsep.join([str(self._programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        folders = {f"FER_{place.upper()}_DIR": str(self.folder / place) for place in ("models", "history", "cache")}
        return others | folders | {"PATH": path, "HOSTNAME": socket.gethostname()} | own

    def log(self, name: str) -> Path:
        """Returns where the service's output goes."""
        return self.folder / f"{name}.txt"

    def _here(self, text: str) -> str:
        text = text.replace("@redis:", "@127.0.0.1:").replace("0.0.0.0", "127.0.0.1")
        ports = {"6379": self.broker_port, "5555": self.flower_port, "5000": self.web_port}
        for written, port in ports.items():
            text = text.replace(written, str(port))
        return text


def _json(address: str, key: str) -> dict:
    request = urllib.request.Request(address, headers={"Authorization": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def free_port() -> int:
    """Returns a TCP port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _server_program() -> Path:
    try:
        return find_server(os.environ)
    except JobError as error:
        pytest.skip(f"{error} NO command of docker-compose.yml was run.")


def _client_program(server: Path) -> str:
    """Returns redis-cli under any of its names, or that of the package which brings the server."""
    folders = os.pathsep.join([os.environ["PATH"], str(server.parent)])
    found = shutil.which("valkey-cli", path=folders) or shutil.which("redis-cli", path=folders)
    if found is None:
        pytest.skip("Neither valkey-cli nor redis-cli is installed: NO command of docker-compose.yml was run.")
    return found

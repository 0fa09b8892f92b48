"""A real server with the project's own model, in a thread of the tests, and one in a process of its own."""

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from flask import Flask
from waitress.server import BaseWSGIServer

from fer_core.paths import SHIPPED, Paths
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.web.service import Service, service
from fer_core.web.serving import serving
from fer_core.web.settings import WebSettings
from tests.conftest import PROJECT, paths_in
from tests.jobs.conftest import (  # noqa: F401 - the broker and workers of the tests of the jobs
    job_environment,
    job_paths,
    redis_server,
    redis_url,
    worker,
)
from tests.script import clean_environment

TOKEN = "a-token-of-these-tests"


class Site(NamedTuple):
    """A server that answers."""

    url: str
    paths: Paths
    app: Flask | None = None
    process: subprocess.Popen | None = None
    warnings: str = ""
    """What the process said before it listened."""

    @property
    def service(self) -> Service:
        """What its views work with."""
        return service(self.app)

    def get(self, path: str, **options) -> requests.Response:
        return requests.get(self.url + path, timeout=30, **options)

    def post(self, path: str, **options) -> requests.Response:
        return requests.post(self.url + path, timeout=30, **options)

    def predict(self, *pictures: bytes, **fields: str) -> requests.Response:
        """Sends pictures to the API."""
        files = [("image", ("a.jpg", picture, "image/jpeg")) for picture in pictures]
        return self.post("/api/v1/predict", files=files, data=fields)

    def change(self, path: str, body: object, **headers: str) -> requests.Response:
        """Sends JSON to the API as a page of the server does."""
        return self.post(path, json=body, headers={"Origin": self.url} | headers)

    def submit(self, path: str, fields: dict | None = None, **options) -> requests.Response:
        """Sends a form as a new visitor."""
        return Visit(self).submit(path, fields, **options)


class Visit:
    """What a browser keeps between pages: cookies, and the token for forms."""

    def __init__(self, site: Site):
        self.site, self.session = site, requests.Session()

    def get(self, path: str, **options) -> requests.Response:
        return self.session.get(self.site.url + path, timeout=30, **options)

    def submit(self, path: str, fields: dict | None = None, *, start: str = "/", **options) -> requests.Response:
        """Sends a form, with the token that the page `start` has."""
        fields = (fields or {}) | {"csrf_token": csrf_token(self.get(start).text)}
        return self.session.post(self.site.url + path, data=fields, **{"timeout": 30} | options)


def csrf_token(page: str) -> str:
    """Returns the token that forms of a page send."""
    return page.partition('name="csrf-token" content="')[2].partition('"')[0]


@contextlib.contextmanager
def served(settings: WebSettings, paths: Paths, environ: dict[str, str] | None = None, **changed) -> Iterator[Site]:
    """Yields a server in a thread with these settings, some of them changed; it listens on a free port."""
    with serving(settings.model_copy(update=changed), paths, environ=environ or {}) as started:
        thread = threading.Thread(target=started.server.run, name="server", daemon=True)
        thread.start()
        try:
            yield Site(started.url, paths, started.app)
        finally:
            _stop(started.server)
            thread.join(10)
            started.server.task_dispatcher.shutdown()


def _stop(server: BaseWSGIServer) -> None:
    """Ends `server.run()` in another thread."""

    def close() -> None:
        for channel in list(server.active_channels.values()):
            channel.handle_close()
        server.close()

    # While the lock is held no other pull can have `close` run, which closes what this one writes to.
    with server.trigger.lock:
        server.trigger.thunks.append(close)
        server.trigger.pull_trigger()


@pytest.fixture(scope="session")
def web_settings(test_data) -> WebSettings:
    """The settings of the tests: yunet, a free port, one reader."""
    yunet = test_data / "face_detection_yunet_2026may.onnx"
    return WebSettings(port=0, detector="yunet", detector_model=yunet, readers=1)


@pytest.fixture(scope="module")
def site(web_settings, tmp_path_factory) -> Iterator[Site]:
    """A server for the tests of one file."""
    with served(web_settings, paths_in(tmp_path_factory.mktemp("web")), readers=2) as site:
        yield site


@pytest.fixture(scope="session")
def face(test_data) -> bytes:
    """A JPEG with one face that looks happy."""
    return (test_data / "faces" / "photo_happy.jpg").read_bytes()


def finished_run(paths: Paths, run_id: str, *, of: str = "best", **manifest: object) -> Run:
    """Returns a finished run of photographs: one of the project's own models under another id."""
    folder = paths.models / "runs" / run_id
    shutil.copytree(SHIPPED / of, folder)
    content = json.loads((folder / "manifest.json").read_text()) | {"run_id": run_id} | manifest
    (folder / "manifest.json").write_text(json.dumps(content))
    return open_run(paths, run_id)


@contextlib.contextmanager
def web_server(paths: Paths, test_data: Path, *flags: str, **environment: str) -> Iterator[Site]:
    """Yields `python -m fer_core.web` as users start it, on a free port, once it listens."""
    yunet = {"FER_YUNET": str(test_data / "face_detection_yunet_2026may.onnx"), "FER_INBOX": str(paths.inbox)}
    folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_core.web", "--port", "0", *folders, *flags],
        cwd=PROJECT,
        env=clean_environment(paths, yunet | environment),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = []
        while not (said and said[-1].startswith("Serving on ")):
            said.append(process.stderr.readline())
            assert said[-1], f"the server ended with {process.wait()}"
        yield Site(said[-1].split()[2], paths, process=process, warnings="".join(said[:-1]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def web_process(tmp_path, test_data) -> Iterator[Callable[..., Site]]:
    """Returns start(*flags, **environment), which starts a server process and returns it when it listens."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags, **more: stack.enter_context(web_server(paths_in(tmp_path), test_data, *flags, **more))


def folder_contents(*folders: Path) -> set[Path]:
    """Returns every file under these folders."""
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}

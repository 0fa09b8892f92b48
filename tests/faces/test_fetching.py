"""The one download, from a real HTTP server: right, wrong, cut off, refused."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fer_core.errors import SourceError
from fer_core.faces.yunet import YUNET, Published, download, find_file
from fer_core.store.files import file_sha256

CONTENT = bytes(range(256)) * 1000


class FileServer(ThreadingHTTPServer):
    """Answers every request with `content`, of which it says that it is `declared` bytes long."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.declared, self.status, self.requests = CONTENT, len(CONTENT), 200, []

    def publishes(self, content: bytes = CONTENT) -> Published:
        """Returns the file at this server as one whose content is known."""
        url = f"http://127.0.0.1:{self.server_port}/zoo/model.onnx"
        return Published("model.onnx", url, hashlib.sha256(content).hexdigest())


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        self.send_response(self.server.status)
        if self.server.declared is not None:
            self.send_header("Content-Length", str(self.server.declared))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[FileServer]:
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(monkeypatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as server:
        yield server


@pytest.fixture
def folder(paths) -> Path:
    return paths.cache / "detectors"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_it_is_downloaded_once_only_where_that_is_wanted_and_again_where_it_is_damaged(server, paths, folder, capfd):
    assert find_file(paths=paths, published=server.publishes()) is None
    assert server.requests == [] and not paths.cache.exists()
    for _ in range(3):
        assert find_file(paths=paths, may_download=True, published=server.publishes()) == folder / "model.onnx"
    assert server.requests == ["/zoo/model.onnx"]
    assert (folder / "model.onnx").read_bytes() == CONTENT and files_in(folder) == ["model.onnx"]
    assert capfd.readouterr() == ("", "")
    (folder / "model.onnx").write_bytes(CONTENT[:-1])
    assert find_file(paths=paths, may_download=True, published=server.publishes()).read_bytes() == CONTENT


def test_other_content_than_published_is_refused_and_not_kept(server, folder):
    with pytest.raises(
        SourceError, match=r"model\.onnx could not be downloaded: its content is not what was"
    ) as refusal:
        download(server.publishes(b"what the zoo has"), folder)
    assert_two_lines_and_nothing_kept(refusal.value, folder)


@pytest.mark.parametrize("declared", [len(CONTENT), None], ids=["with its length", "without its length"])
def test_a_download_that_is_cut_off_is_not_kept(server, folder, declared):
    server.content, server.declared = CONTENT[:100_000], declared
    with pytest.raises(SourceError, match=r"it was cut off|the checksum differs") as refusal:
        download(server.publishes(), folder)
    assert_two_lines_and_nothing_kept(refusal.value, folder)


def test_a_connection_that_is_refused_is_said_in_words(folder, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        published = Published("model.onnx", f"http://127.0.0.1:{taken.getsockname()[1]}/model.onnx", "0" * 64)
        with pytest.raises(SourceError, match="no connection to the server") as refusal:
            download(published, folder)
    assert_two_lines_and_nothing_kept(refusal.value, folder)


def test_a_failed_download_keeps_the_file_that_was_there_and_a_folder_that_cannot_be_made_is_named(server, folder):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"older")
    server.status = 500
    with pytest.raises(SourceError, match="the server answered 500"):
        download(server.publishes(), folder)
    assert (folder / "model.onnx").read_bytes() == b"older"
    assert files_in(folder) == ["model.onnx"]
    server.status = 200
    with pytest.raises(SourceError, match=r"(Not a directory|File exists)\."):
        download(server.publishes(), folder / "model.onnx" / "detectors")


def test_what_is_pinned_is_the_file_that_was_measured(yunet_file):
    assert file_sha256(yunet_file) == YUNET.sha256
    assert YUNET.url.endswith("/" + yunet_file.name)
    assert yunet_file.name == YUNET.name


def assert_two_lines_and_nothing_kept(error: SourceError, folder: Path) -> None:
    assert "\n" not in str(error) + error.hint
    assert "--detector haar" in error.hint
    assert files_in(folder) == []

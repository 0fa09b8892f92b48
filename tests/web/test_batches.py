"""Uploads in pieces: how they come in, survive kills, are read, kept and deleted; and what is left out of them."""

import io
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import pandas
import psutil
import pytest
import requests

from fer_core.errors import NotFoundError
from fer_core.paths import Paths
from fer_core.store.files import DiskFullError
from fer_core.web.batch import Batch, BatchFile, SentFile, folder_of, root_of, safe_name, size_of
from fer_core.web.batch_source import TooLargeError, prepare_source, put_in_place
from fer_core.web.batches import Batches
from fer_core.web.problems import RequestError
from fer_core.web.settings import WebSettings
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.jobs.parts import make_job
from tests.photographs import photograph
from tests.store.conftest import largest_file
from tests.study.test_study import save_video
from tests.web.conftest import Site, folder_contents, served, web_server

HOSTILE = f"../../evil\x1b/{'n' * 300}.png"
NEVER = "0" * 40


class Sent(NamedTuple):
    """An upload of a site."""

    site: Site
    token: str

    @property
    def api(self) -> str:
        return f"/api/v1/uploads/{self.token}"

    def state(self) -> dict:
        return self.site.get(self.api).json()

    def put(self, number: int | str, piece: bytes, offset: int = 0, **headers: str) -> requests.Response:
        headers = {"Origin": self.site.url, "Content-Type": "application/octet-stream"} | headers
        address = f"{self.site.url}{self.api}/{number}?offset={offset}"
        return requests.put(address, data=piece, headers=headers, timeout=30)

    def start(self) -> requests.Response:
        return self.site.change(f"{self.api}/start", {})

    def page(self, path: str = "", **options) -> requests.Response:
        return self.site.get(f"/uploads/{self.token}{path}", **options)

    @property
    def folder(self) -> Path:
        return folder_of(self.site.paths, self.token)


def new(site: Site, files: dict[str, int], **more: str) -> Sent:
    sizes = [{"name": name, "size": size} for name, size in files.items()]
    answer = site.change("/api/v1/uploads", {"files": sizes, **more})
    assert answer.status_code == 201, answer.text
    return Sent(site, answer.json()["upload"])


def png(number: int = 0, *at: tuple[int, int]) -> bytes:
    return cv2.imencode(".png", photograph(number, *at))[1].tobytes()


def zipped(files: dict[str, bytes], **options) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """What people send, and what they should not: the video is first."""
    walk = save_video(tmp_path_factory.mktemp("video") / "walk.mp4", 2).read_bytes()
    inside = {"b/two faces.png": png(1, (20, 60), (220, 60)), "../nobody.png": png(), ".DS_Store": b"x", "a.txt": b"x"}
    return {
        "walk.mp4": walk,
        "day 1/=one.png": png(0, (120, 60)),
        HOSTILE: png(2, (120, 60)),
        "more.zip": zipped(inside),
        "text.mp4": b"This is no video. " * 9,
        "picture.mp4": png(),
        "nothing.jpg": b"",
        "no.zip": b"PK\x03\x04 and no more",
    }


@pytest.fixture(scope="module")
def settings(web_settings) -> WebSettings:
    return web_settings.model_copy(update={"model": "tiny"})


@pytest.fixture(scope="module")
def read(settings, test_data, files, tmp_path_factory) -> Iterator[Sent]:
    """An upload whose server ended while it was sent; the next one was killed while it read it; another one goes on."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "somebody's").mkdir()
    (folder / "link").symlink_to(folder / "somebody's")
    paths = paths_in(folder / "link")
    sizes = {name: len(content) for name, content in files.items()}
    with served(settings, paths) as first:
        sent = new(first, sizes, keep="day")
        assert sent.put(0, files["walk.mp4"][:1000]).json() == {"there": 1000}
    with web_server(paths, test_data, "--model", "tiny") as second:
        sent = Sent(second, sent.token)
        assert [file["there"] for file in sent.state()["files"]][:2] == [1000, 0]
        assert sent.start().status_code == 409, "nothing is read before all is there"
        for number, content in enumerate(files.values()):
            there = 1000 if number == 0 else 0
            assert sent.put(number, content[there:], there).ok
        assert sent.start().json()["status"] == "reading"
        server = psutil.Process(second.process.pid)
        wait_until(server.children)
        (reader,) = server.children()
        second.process.kill()
        reader.wait(20)
    with served(settings, paths) as third:
        sent = Sent(third, sent.token)
        wait_until(lambda: sent.state()["status"] != "reading", seconds=240)
        yield sent


def test_what_was_sent_is_read_under_its_names_after_a_kill(read):
    assert read.state()["status"] == "done", read.state()
    table = pandas.read_csv(io.BytesIO(read.page("/readings.csv").content))
    long = f"evil_/{'n' * 116}.png"
    assert set(table["file"]) == {"walk.mp4", "day 1/_one.png", long, "b/two faces.png", "nobody.png"}
    assert set(table[table["file"] == "walk.mp4"]["person"]) == {1.0}
    assert table[table["file"] == "b/two faces.png"]["label"].notna().sum() == 2
    found = read.page("/readings.json").json()
    assert len(found["readings"]) == len(table)
    assert {file["file"]: file["faces"] for file in found["files"]}["nobody.png"] == 0
    page = read.page().text
    for sentence in (
        "It is neither a video nor a picture that can be read.",
        "It is a picture, though its name says that it is a video",
        "It is empty.",
        "It is no zip that can be read.",
        "It is neither a picture nor a video by its name (.txt).",
        "No face was found in 1 picture",
        "Person 1",
    ):
        assert sentence in page, sentence
    server = str(read.site.paths.models.parents[1])
    assert server not in page + read.page("/report.html").text + read.page("/readings.json").text
    assert "\x1b" not in page
    assert "4 faces in 4 pictures" in page


def test_a_video_is_sent_to_its_player_in_parts_and_pictures_are_shown_step_by_step(read, files):
    page = read.page().text
    (number,) = {int(part.partition('"')[0]) for part in page.split("/files/")[1:]}
    part = read.page(f"/files/{number}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, files["walk.mp4"][10:20])
    assert part.headers["Content-Type"] == "video/mp4"
    picture = page.partition("/pictures/")[2].partition('"')[0]
    assert "This is wrong" in read.page(f"/pictures/{picture}").text
    for wrong in (
        f"/pictures/{number}",
        "/files/99",
        "/annotated/batch.json",
        "/annotated/..%2fbatch.json",
        "/readings.xml",
    ):
        assert read.page(wrong).status_code == 404, wrong


def test_pictures_and_videos_are_drawn_with_what_was_read_when_somebody_asks(read):
    page = read.page().text
    number = page.partition('data-annotated="')[2].partition('"')[0]
    for what in (number, "pictures"):
        assert read.site.change(f"{read.api}/annotated", {"what": what}).json() == {"is_made": False, "problem": ""}
    torn = [file["file"] for file in read.page("/readings.json").json()["files"]].index("text.mp4")
    for what, status in (("99", 404), (str(torn), 404), (f"0{number}", 400)):
        assert read.site.change(f"{read.api}/annotated", {"what": what}).status_code == status, what

    def is_drawn(what: str) -> bool:
        return read.site.change(f"{read.api}/annotated", {"what": what}).json()["is_made"]

    wait_until(lambda: is_drawn(number) and is_drawn("pictures"), seconds=240)
    with zipfile.ZipFile(io.BytesIO(read.page("/annotated/pictures.zip").content)) as archive:
        assert {"b/two faces.png.jpg", "nobody.png.jpg"} < set(archive.namelist())
        drawn = cv2.imdecode(np.frombuffer(archive.read("b/two faces.png.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert np.ptp(drawn.astype(int), axis=2).max() > 60, "boxes have colours, the picture is gray"
    assert read.page(f"/annotated/{number}.mp4").content[4:8] == b"ftyp"


def test_it_is_kept_as_long_as_its_owner_says_and_deleted_for_good(read):
    assert read.state()["keep"] == "day"
    assert read.site.submit(f"/uploads/{read.token}/keep", {"keep": "for ever"}).status_code == 400
    assert read.site.submit(f"/uploads/{read.token}/keep", {"keep": "week"}).status_code == 200
    two_days_on = SimpleNamespace(_clock=lambda: datetime.now(UTC) + timedelta(days=2))
    with pytest.raises(RequestError, match="A day is over"):
        Batches.keep(two_days_on, read.site.service.batches.find(read.token), "day")
    days = datetime.fromisoformat(read.state()["expires_utc"]) - datetime.now(UTC)
    assert 6.9 < days.total_seconds() / 86400 <= 7
    assert "The upload and its result are deleted." in read.site.submit(f"/uploads/{read.token}/delete").text
    assert read.page().status_code == 404
    assert folder_contents(root_of(read.site.paths)) == set()


def test_pieces_that_do_not_fit_are_refused_and_nothing_comes_from_elsewhere(site):
    sent = new(site, {"a.png": 10, "b.png": 0})
    assert site.get("/api/v1/uploads/" + NEVER).status_code == 404
    assert site.get("/uploads/../../etc").status_code == 404
    assert sent.put(0, b"12345").json() == {"there": 5}
    assert sent.put(0, b"12345").status_code == 409
    assert sent.put(0, b"123456", 5).status_code == 413
    assert sent.put(2, b"1").status_code == sent.put("9" * 5000, b"1").status_code == 404
    assert sent.put(0, b"1", 5, Origin="http://elsewhere.example").status_code == 403
    assert sent.put(0, b"1", 5, **{"Content-Type": "text/plain"}).status_code == 415
    assert (
        requests.put(
            f"{site.url}{sent.api}/0?offset=5", data=b"1", headers={"Content-Type": "application/octet-stream"}
        ).status_code
        == 403
    )
    assert "5 bytes are missing" in sent.start().json()["error"]
    assert sent.page().text.count("the page that sends it must stay open") == 1
    assert sent.page("/readings.csv").status_code == 404
    assert requests.delete(site.url + sent.api, headers={"Origin": site.url}).json()["status"] == "deleted"
    assert sent.put(0, b"12345", 5).status_code == 404


def missing(*arguments: object) -> None:
    raise FileNotFoundError(2, "missing")


def test_one_that_is_deleted_while_somebody_asks_is_not_there(site, monkeypatch):
    sent = new(site, {"a.png": 10})
    with monkeypatch.context() as broken:
        broken.setattr(site.service.batches, "state", missing)
        assert site.get(sent.api).status_code == 500, "of an upload that is there it is a bug"
    found = site.service.batches.find(sent.token)
    site.service.batches.delete(found)
    monkeypatch.setattr(site.service.batches, "find", lambda token: found)
    assert sent.page().status_code == site.get(sent.api).status_code == 404
    assert "deleted already" in site.get(sent.api).json()["error"]


def test_an_upload_and_all_together_may_have_so_much(settings, tmp_path):
    with served(settings, paths_in(tmp_path), max_batch_gb=0.001, max_kept_gb=0.0015) as site:
        much = site.change("/api/v1/uploads", {"files": [{"name": "a.mp4", "size": 2_000_000}]})
        assert (much.status_code, "may have 0.001 GB" in much.json()["error"]) == (413, True)
        first = new(site, {"a.mp4": 900_000})
        assert site.change("/api/v1/uploads", {"files": [{"name": "b.mp4", "size": 900_000}]}).status_code == 507
        requests.delete(site.url + first.api, json={}, headers={"Origin": site.url})
        new(site, {"b.mp4": 900_000})


def test_what_has_run_out_is_not_found_and_removed_at_the_next_start_whatever_it_was(settings, tmp_path):
    paths = paths_in(tmp_path)
    with served(settings, paths) as site:
        old, young = (new(site, {"a.png": 5}) for _ in range(2))
        old.put(0, b"12345")
        (root_of(paths) / "torn").mkdir()
        long_ago = time.time() - 2 * 3600
        for path in (old.folder / "seen", root_of(paths) / "torn"):
            os.utime(path, (long_ago, long_ago))
        assert old.page().status_code == 404
    with served(settings, paths) as site:
        wait_until(lambda: len(list(root_of(paths).iterdir())) == 1)
        assert Sent(site, young.token).state()["status"] == "sending"


def test_a_full_disk_is_said_and_keeps_what_was_there(site):
    sent = new(site, {"a.mp4": 3_000_000})
    sent.put(0, b"x" * 1_000_000)
    batch = site.service.batches.find(sent.token)
    with largest_file(1_500_000), pytest.raises(DiskFullError, match="No room"):
        site.service.batches.put(batch, 0, 1_000_000, b"x" * 1_000_000)
    assert sent.state()["files"][0]["there"] == 1_000_000
    assert sent.put(0, b"x" * 1_000_000, 1_000_000).ok


def test_a_disk_that_fills_up_while_a_zip_is_unpacked_is_said_and_nothing_of_that_is_left(site):
    packed = zipped({"a.png": png(), "b.mp4": os.urandom(1_000_000)})
    sent = new(site, {"a.zip": len(packed)})
    sent.put(0, packed)
    with largest_file(500_000):
        sent.start()
        wait_until(lambda: sent.state()["status"] == "failed")
    assert "No room" in sent.page().text
    assert not [path for path in sent.folder.iterdir() if path.name in (".source", "source")]


def test_an_upload_in_which_nothing_can_be_read_says_so(site):
    sent = new(site, {"a.txt": 1, "b.jpg": 0})
    sent.put(0, b"x")
    sent.start()
    wait_until(lambda: sent.state()["status"] == "failed")
    page = sent.page().text
    assert "Nothing that was sent can be read." in page
    assert "2 files not read" in page


def test_an_upload_whose_server_was_killed_before_it_had_made_the_job_is_read(settings, tmp_path):
    paths = paths_in(tmp_path)
    with served(settings, paths) as site:
        sent = new(site, {"a.txt": 1})
        sent.put(0, b"x")
    about = json.loads((sent.folder / "batch.json").read_text())
    about |= {"started": about["created"], "job": "20260101-000000-read-aaaa"}
    (sent.folder / "batch.json").write_text(json.dumps(about))
    with served(settings, paths) as site:
        wait_until(lambda: Sent(site, sent.token).state()["status"] == "failed")


def test_a_full_disk_and_folders_that_vanish_stop_nobody_who_cleans_up(tmp_path):
    batches = Batches(paths_in(tmp_path), WebSettings(), None, lambda: datetime.now(UTC))
    batches.close()
    for number in range(50):
        (tmp_path / "many" / f"{number}" / "deep").mkdir(parents=True)
    gone = threading.Thread(target=shutil.rmtree, args=(tmp_path / "many",), kwargs={"ignore_errors": True})
    gone.start()
    while gone.is_alive():
        assert size_of(tmp_path / "many") == 0
    job = make_job(paths_in(tmp_path), "read", source=str(tmp_path))
    folder = root_of(paths_in(tmp_path)) / ".0"
    folder.mkdir(parents=True)
    about = BatchFile(files=(SentFile(name="a.png", size=1),), created=datetime.now(UTC), job=job.id)
    (folder / "batch.json").write_text(about.model_dump_json())
    (folder / "seen").touch()
    with largest_file(0):
        batches._sweep()
    assert folder.is_dir() and job.end is None
    batches._sweep()
    assert not folder.exists() and not job.folder.exists()


def test_a_job_that_reads_an_upload_is_shown_at_the_address_of_the_upload_alone(site):
    sent = new(site, {"a.png": 0})
    job = make_job(site.paths, "read", source=str((sent.folder / "source").resolve()))
    other = make_job(site.paths, "read", source=str(site.paths.models))
    assert [one["id"] for one in site.get("/api/v1/jobs").json()["jobs"]] == [other.id]
    for address in (f"/api/v1/jobs/{job.id}", f"/jobs/{job.id}", f"/jobs/{job.id}/files/report.html"):
        assert site.get(address).status_code == 404
    assert site.change(f"/api/v1/jobs/{job.id}/cancel", {}).status_code == 404


@pytest.fixture
def prepared(tmp_path):
    """Returns prepare(files, **limits): the files in the source folder, and what was left out."""

    def prepare(files: dict[str, bytes], **limits: int) -> tuple[set[str], dict[str, str]]:
        sizes = tuple(SentFile(name=name, size=len(content)) for name, content in files.items())
        batch = Batch(tmp_path / "batch", BatchFile(files=sizes, created=datetime.now(UTC)), Paths.from_environment({}))
        batch.incoming.mkdir(parents=True)
        for number, content in enumerate(files.values()):
            (batch.incoming / str(number)).write_bytes(content)
        left_out = prepare_source(batch, **({"most_bytes": 10_000_000, "most_pixels": 1_000_000} | limits))
        put_in_place(batch)
        assert not batch.incoming.exists()
        return {path.relative_to(batch.source).as_posix() for path in folder_contents(batch.source)}, left_out

    return prepare


def test_files_of_one_name_are_kept_apart_and_hidden_ones_are_no_files(prepared):
    small = png()
    inside = zipped({"a.png": small, "A.PNG": small, "__MACOSX/._a.png": b"x", "/etc/c.png": small})
    names, left_out = prepared({"a.png": small, "b/a.png": small, "x.zip": inside, ".hidden.png": small, "b": small})
    assert names == {"a.png", "a_2.png", "A_3.PNG", "b/a.png", "etc/c.png"}
    assert left_out == {"b_2": "It is neither a picture nor a video by its name (without suffix)."}


def test_a_folder_that_is_called_like_a_file_gets_another_place(prepared):
    names, _ = prepared({"a.png": png(), "x.zip": zipped({"a.png/b.png": png(), "_/a.png/b.png": png()})})
    assert names == {"a.png", "_/a.png/b.png", "_/a.png/b_2.png"}


def test_what_a_zip_must_not_have_is_left_out_of_it(prepared):
    bomb = zipped({"bomb.png": bytes(80_000_000)}, compression=zipfile.ZIP_DEFLATED)
    odd = zipped({"a.png": png()}, compression=zipfile.ZIP_LZMA)
    damaged = bytearray(zipped({"c.png": png(1, (120, 60))}))
    damaged[200] ^= 255
    names, left_out = prepared(
        {"bomb.zip": bomb, "odd.zip": odd, "d.zip": bytes(damaged), "z.zip": zipped({"y.zip": odd})}
    )
    assert names == set()
    assert left_out["bomb.zip"] == "It unpacks to more than 100 times its size."
    assert "compressed in a way that is not read here (lzma)" in left_out["odd.zip"]
    assert left_out["c.png"] == "It is damaged in the zip."
    assert left_out["y.zip"] == "It is a zip in a zip: send it by itself."


def test_a_picture_that_would_take_too_much_is_not_decoded(prepared):
    large = cv2.imencode(".png", np.zeros((2000, 2000), np.uint8))[1].tobytes()
    face = cv2.imencode(".jpg", photograph(0, (120, 60)))[1].tobytes()
    names, left_out = prepared({"large.png": large, "scans.jpg": face + b"\xff\xda" * 200, "face.jpg": face})
    assert names == {"face.jpg"}
    assert "2,000 x 2,000 pixels" in left_out["large.png"]
    assert "far too many scans" in left_out["scans.jpg"]


def test_zips_that_hold_more_than_an_upload_may_end_it(prepared):
    with pytest.raises(TooLargeError, match="unpack to more"):
        prepared({"a.zip": zipped({"a.png": bytes(2000)})}, most_bytes=1000)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("C:\\pictures\\me.jpg", "C_/pictures/me.jpg"),
        ("=cmd|'!A0.png", "_cmd_'!A0.png"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("...", "_"),
        ("\ud800.png", "_.png"),
        ("a\n\0b.png", "a__b.png"),
        (".profile", "_profile"),
        ("/".join("abcdefgh"), "c/d/e/f/g/h"),
    ],
)
def test_names_become_such_as_can_lie_in_a_folder(name, safe):
    assert safe_name(name) == safe


def test_a_token_that_is_none_never_becomes_a_path(tmp_path):
    for token in ("..", "0" * 39, "G" * 40, "0" * 40 + "/..", ""):
        with pytest.raises(NotFoundError):
            folder_of(paths_in(tmp_path), token)


def test_a_worker_is_seen_does_what_was_asked_and_reads_an_upload_whose_job_goes_with_it(
    settings, job_paths, redis_url, worker
):
    worker("-Q", "cpu")
    with served(settings, job_paths, {"FER_BROKER_URL": redis_url}) as site:
        state = site.get("/api/v1/workers").json()
        assert (state["reachable"], list(state["queues"])) == (True, ["cpu"])
        job_id = site.change("/api/v1/jobs", {"task": "gc", "arguments": {"dry_run": True}}).json()["id"]
        wait_until(lambda: site.get(f"/api/v1/jobs/{job_id}").json()["status"] == "SUCCEEDED", 60)
        assert "succeeded" in site.get(f"/jobs/{job_id}").text
        sent = new(site, {"a.png": len(png(0, (120, 60)))})
        assert sent.put(0, png(0, (120, 60))).ok
        sent.start()
        wait_until(lambda: sent.state()["status"] == "done", seconds=240)
        assert sent.page("/readings.csv").text.count("a.png") == 1
        studies = job_paths.models / "studies"
        assert len(list(studies.iterdir())) == 1
        site.submit(f"/uploads/{sent.token}/delete")
        assert not [*studies.iterdir(), *root_of(job_paths).iterdir()]

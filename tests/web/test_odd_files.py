"""Whatever stands in a state file or comes in, pages and API answer: an odd run is listed and hides no other."""

import contextlib
import json
import os
import shutil
from html import unescape

import pytest
import requests
from web_soak import malformed, send

from fer_core.store.promotion import promote
from tests.web.conftest import finished_run, folder_contents

ODD = "20260131-120000-odd-0000"
GOOD = "20260131-120000-good-0000"
PAGES = ("/", "/runs", "/model", "/jobs", "/api/v1/runs", f"/runs/{GOOD}", f"/compare?run={GOOD}&run=shipped-best")
PAGES_OF_IT = (f"/runs/{ODD}", f"/api/v1/runs/{ODD}", f"/compare?run={ODD}&run={GOOD}")
UPLOADS = 135


@pytest.fixture(scope="module")
def runs(site):
    """A run to be spoilt, beside one that stays good."""
    return {name: finished_run(site.paths, name, of="tiny") for name in (ODD, GOOD)}


@contextlib.contextmanager
def spoilt(path, content):
    """Puts something else in the place of a file for a time: bytes, fields of its JSON, or a maker of it."""
    kept, odd = path.with_name("kept"), path.with_name("odd")
    shutil.copy2(path, kept)
    if callable(content):
        content(odd)
    elif isinstance(content, dict):
        odd.write_text(json.dumps(json.loads(kept.read_text()) | content))
    else:
        odd.write_bytes(content)
    if odd.is_dir():
        path.unlink()
    odd.rename(path)  # in one instant: the server looks at any time
    try:
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        kept.replace(path)


def statuses(site, pages) -> set[int]:
    return {site.get(page).status_code for page in pages}


def loop(path):
    """Makes a link that leads to itself, by way of another."""
    other = path.with_name("loop")
    other.unlink(missing_ok=True)
    other.symlink_to(other)
    path.symlink_to(other)


SPOILT = {
    "empty": b"",
    "deep": b"[" * 100_000,
    "nested": b"[" * 300 + b"]" * 300,
    "list": b"[]",
    "folder": lambda path: path.mkdir(),
    "loop": loop,
    "pipe": os.mkfifo,
}
OF_ONE = [
    *((name, content) for name in ("state.json", "manifest.json") for content in SPOILT.values()),
    ("state.json", {"epoch": 10**18}),
    ("state.json", {"finished_utc": "never"}),
    ("manifest.json", {"created_utc": "never"}),
    ("manifest.json", {"scores": {"accuracy": "high", "macro_f1": [1], "accuracy_interval": "ab"}}),
    ("manifest.json", {"temperature": 1e-320}),
    ("manifest.json", {"history_csv": "../../x.csv"}),
]


@pytest.mark.parametrize(("name", "content"), OF_ONE, ids=lambda one: getattr(one, "__name__", str(one))[:60])
def test_an_odd_run_is_listed_with_its_reason_and_hides_no_other(site, runs, name, content):
    is_hidden = content is loop and name == "manifest.json"  # no file, so no run
    with spoilt(runs[ODD].folder / name, content):
        assert statuses(site, PAGES) == {200}
        assert statuses(site, PAGES_OF_IT) <= {400, 404}
        lines = {line["id"]: line for line in site.get("/api/v1/runs").json()["runs"]}
        assert lines[GOOD]["status"] == "SUCCEEDED"
        if not is_hidden:
            assert lines[ODD]["status"] == "UNREADABLE"
            assert name in lines[ODD]["message"]
            assert lines[ODD]["message"] in unescape(site.get("/runs").text)


EVALUATIONS = [
    {"confusion": "x", "per_class": {"a": 1}},
    {"per_class": [1, 2]},
    {"images": 10**400},
    {"analysis": {"confidently_wrong": "abc", "confused": 5}},
    {"analysis": {"confidently_wrong": 7}},
    b"[" * 100_000,
    b"null",
    os.mkfifo,
]


@pytest.mark.parametrize("content", EVALUATIONS, ids=lambda one: str(one)[:60])
def test_an_odd_evaluation_is_as_good_as_none(site, runs, content):
    with spoilt(runs[ODD].evaluation_json, content):
        assert statuses(site, (*PAGES, *PAGES_OF_IT)) == {200}


@pytest.mark.parametrize(
    "content",
    [
        b'{"kind":"epoch","epoch":1,"loss":"x"}\n[]\n{"kind":"epoch","epoch":2}',
        b'{"kind":"epoch","epoch":2}\n{"kind":"epoch","epo',
        b"[" * 9999,
    ],
)
def test_odd_metrics_are_left_out(site, runs, content):
    with spoilt(runs[ODD].metrics_jsonl, content):
        answer = site.get(f"/api/v1/runs/{ODD}")
        assert answer.status_code == 200
        assert [row["epoch"] for row in answer.json()["epochs"]] in ([2], [])


@pytest.mark.parametrize(
    "content", [{"run": "../../x"}, {"previous": ["x/../y"]}, b"[" * 9999], ids=lambda one: str(one)[:60]
)
def test_a_pointer_that_leads_elsewhere_ends_no_server(site, runs, content):
    promote(site.paths, runs[GOOD])
    site.service.pool.look()
    with spoilt(site.paths.models / "current.json", content):
        assert {page: site.get(page).status_code for page in PAGES} == dict.fromkeys(PAGES, 200) | {"/model": 400}
        assert "current.json" in site.get("/model").text
        assert site.service.pool.model.name == GOOD, site.service.pool.problem


def test_links_out_of_a_run_are_neither_shown_nor_sent_and_a_pipe_is_not_waited_for(site, runs, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    folder = runs[ODD].folder
    shutil.rmtree(folder / "plots", ignore_errors=True)
    (folder / "plots").mkdir()
    names = {"files/log.txt": "log.txt", "files/labels.json": "labels.json", "plots/x.png": "plots/x.png"}
    for make in (lambda path: path.symlink_to(secret), os.mkfifo):
        for name in names.values():
            (folder / name).unlink(missing_ok=True)
            make(folder / name)
        page = site.get(f"/runs/{ODD}")
        assert page.status_code == 200
        assert "the secret" not in page.text
        assert statuses(site, [f"/runs/{ODD}/{path}" for path in names]) == {404}
        assert site.get(f"/runs/{ODD}/files/model.h5").status_code == 200


def test_malformed_uploads_break_nothing_and_can_be_made_again(site, test_data, face):
    """benchmarks/web_soak.py sends thousands."""
    pictures = [(test_data / "faces" / name).read_bytes() for name in ("photo_happy.jpg", "mountain.jpg")]
    before = folder_contents(site.paths.models.parent)
    session = requests.Session()
    uploads = [malformed(number, pictures) for number in range(UPLOADS)]
    answers = [(number, one.kind, one.path, send(site.url, session, one)) for number, one in enumerate(uploads)]
    assert [answer for answer in answers if answer[3] >= 500] == []
    assert {answer[3] for answer in answers} >= {200, 400, 404, 413}
    assert folder_contents(site.paths.models.parent) == before
    assert site.predict(face).status_code == 200
    assert malformed(17, pictures) == uploads[17]
    assert len({one.kind for one in uploads[:8]}) == 8

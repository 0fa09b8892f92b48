"""Whatever stands in a state file, pages and API answer: an odd run is listed with its reason and hides no other."""

import contextlib
import json
import os
import shutil

import pytest

from tests.web.conftest import finished_run

ODD = "20260131-120000-odd-0000"
GOOD = "20260131-120000-good-0000"
PAGES = ("/", "/runs", "/model", "/jobs", "/api/v1/runs", f"/runs/{GOOD}", f"/compare?run={GOOD}&run=shipped-best")
PAGES_OF_IT = (f"/runs/{ODD}", f"/api/v1/runs/{ODD}", f"/compare?run={ODD}&run={GOOD}")


@pytest.fixture(scope="module")
def runs(site):
    """A run to be spoilt, beside one that stays good."""
    return {name: finished_run(site.paths, name) for name in (ODD, GOOD)}


@contextlib.contextmanager
def spoilt(path, content):
    """Puts something else in the place of a file for a time: bytes, fields of its JSON, or a maker of it."""
    kept = path.with_name("kept")
    path.rename(kept)
    if callable(content):
        content(path)
    else:
        fields = content if isinstance(content, dict) else None
        path.write_bytes(content if fields is None else json.dumps(json.loads(kept.read_text()) | fields).encode())
    try:
        yield
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.rename(path)


SPOILT = {
    "empty": b"",
    "deep": b"[" * 100_000,
    "nested": b"[" * 300 + b"]" * 300,
    "list": b"[]",
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
}
OF_ONE = [
    ("state.json", {"epoch": 10**18}),
    ("state.json", {"finished_utc": "never"}),
    ("manifest.json", {"created_utc": "never"}),
    ("manifest.json", {"scores": {"accuracy": "high", "macro_f1": [1], "accuracy_interval": "ab"}}),
    ("manifest.json", {"temperature": 1e-320}),
    ("manifest.json", {"history_csv": "../../x.csv"}),
]


@pytest.mark.parametrize("name", ["state.json", "manifest.json"])
@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
def test_an_odd_run_is_listed_with_its_reason_and_hides_no_other(site, runs, name, content):
    check_listed_as_unreadable(site, runs[ODD].folder / name, content)


@pytest.mark.parametrize(("name", "fields"), OF_ONE, ids=str)
def test_odd_values_are_listed_with_their_reason(site, runs, name, fields):
    check_listed_as_unreadable(site, runs[ODD].folder / name, fields)


def check_listed_as_unreadable(site, path, content):
    is_hidden = content in (SPOILT["loop"],) and path.name == "manifest.json"  # no file, so no run
    with spoilt(path, content):
        assert {page: site.get(page).status_code for page in PAGES} == dict.fromkeys(PAGES, 200)
        assert {page: site.get(page).status_code for page in PAGES_OF_IT}.keys() == set(PAGES_OF_IT)
        assert all(site.get(page).status_code in (400, 404) for page in PAGES_OF_IT)
        lines = {line["id"]: line for line in site.get("/api/v1/runs").json()["runs"]}
        assert lines[GOOD]["status"] == "SUCCEEDED"
        if not is_hidden:
            assert lines[ODD]["status"] == "UNREADABLE"
            assert path.name in lines[ODD]["message"]
            assert lines[ODD]["message"] in site.get("/runs").text.replace("&#39;", "'").replace("&#34;", '"').replace(
                "&lt;", "<"
            )


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


@pytest.mark.parametrize("content", EVALUATIONS, ids=str)
def test_an_odd_evaluation_is_as_good_as_none(site, runs, content):
    with spoilt(runs[ODD].evaluation_json, content):
        assert {page: site.get(page).status_code for page in (*PAGES, *PAGES_OF_IT)} == dict.fromkeys(
            (*PAGES, *PAGES_OF_IT), 200
        )


@pytest.mark.parametrize(
    "content", [b'{"kind":"epoch","epoch":1,"loss":"x"}\n[]\n{"kind":"epoch","epoch":2}', b"[" * 100_000], ids=str
)
def test_odd_metrics_are_left_out(site, runs, content):
    with spoilt(runs[ODD].metrics_jsonl, content):
        answer = site.get(f"/api/v1/runs/{ODD}")
        assert answer.status_code == 200
        assert [row["epoch"] for row in answer.json()["epochs"]] in ([2], [])


@pytest.mark.parametrize("content", [{"run": "../../x"}, {"previous": ["x/../y"]}, b"[" * 100_000], ids=str)
def test_a_pointer_that_leads_elsewhere_ends_no_server(site, runs, content):
    from fer_core.store.promotion import promote

    promote(site.paths, runs[GOOD])
    site.service.pool.look()
    path = site.paths.models / "current.json"
    with spoilt(path, content):
        answers = {page: site.get(page).status_code for page in PAGES}
        assert answers == dict.fromkeys(PAGES, 200) | {"/model": 400}
        assert "current.json" in site.get("/model").text
        assert site.service.pool.model.name == GOOD


def test_links_out_of_a_run_are_neither_shown_nor_sent(site, runs, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    folder = runs[ODD].folder
    for name in ("log.txt", "labels.json", "plots/x.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
    assert "the secret" not in site.get(f"/runs/{ODD}").text
    for path in ("files/log.txt", "files/labels.json", "plots/x.png"):
        assert site.get(f"/runs/{ODD}/{path}").status_code == 404
    assert site.get(f"/runs/{ODD}/files/model.h5").status_code == 200


@pytest.mark.parametrize("name", ["log.txt", "plots/pipe.png"])
def test_a_pipe_in_a_run_is_not_waited_for(site, runs, name):
    path = runs[ODD].folder / name
    shutil.rmtree(path.parent) if path.parent.name == "plots" else path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    assert site.get(f"/runs/{ODD}").status_code == 200

"""The list of the runs: its address says what it shows, it has pages, and people's own words are in it."""

import csv
import io
import json
import re
import shutil
import time

import pytest

from fer_core.paths import SHIPPED_BEST, shipped_models
from fer_core.store.runs import open_run
from tests.conftest import paths_in
from tests.web.conftest import Visit, served

COUNT = 300


def run_id(number: int) -> str:
    return f"202601{number % 28 + 1:02d}-{number % 24:02d}0000-compact-{number:04x}"


@pytest.fixture(scope="module")
def site(web_settings, tmp_path_factory):
    """A server with 300 finished runs and a history; each run learned at a rate of its own."""
    paths = paths_in(tmp_path_factory.mktemp("list"))
    paths.history.mkdir(exist_ok=True)
    manifest = json.loads((SHIPPED_BEST / "manifest.json").read_text())
    for number in range(COUNT):
        folder = paths.models / "runs" / run_id(number)
        folder.mkdir(parents=True)
        own = {"run_id": folder.name, "history_csv": f"{number}.csv", "kind": "trial" if number < 10 else "train"}
        config = manifest["config"] | {"learning_rate": 0.001 * (number + 1)}
        (folder / "manifest.json").write_text(json.dumps(manifest | own | {"config": config}))
        shutil.copy(SHIPPED_BEST / "state.json", folder)
    (paths.history / "classic.csv").write_text("epoch,acc,val_acc\n0,0.2,0.25\n")
    with served(web_settings, paths) as site:
        site.get("/api/v1/runs")
        yield site


def listed(page: str) -> list[str]:
    return re.findall(r'data-run="([^"]+)"', page)


def test_three_hundred_runs_are_pages_of_fifty_that_come_in_a_second_and_weigh_little(site):
    begun = time.perf_counter()
    page = site.get("/runs")
    assert time.perf_counter() - begun < 1
    assert len(page.content) <= 150_000
    assert "Page 1 of 7" in page.text
    pages = [listed(site.get(f"/runs?page={number}").text) for number in range(1, 9)]
    assert [len(one) for one in pages] == [50] * 6 + [COUNT + len(shipped_models()) - 300, 0]
    assert len({one for page in pages for one in page}) == COUNT + len(shipped_models())
    assert "classic.csv" in site.get("/runs?page=7").text
    assert "To the first page" in site.get("/runs?page=8").text
    assert listed(site.get("/runs?page=0").text) == pages[0]


def test_search_filters_order_and_columns_stand_in_the_address(site):
    found = listed(site.get("/runs?sort=learning_rate&order=rising&columns=learning_rate&kind=train").text)
    assert found[:3] == [run_id(number) for number in (10, 11, 12)]
    page = site.get("/runs?sort=learning_rate&order=falling&columns=learning_rate&columns=batch_size")
    assert listed(page.text)[0] == run_id(COUNT - 1)
    assert [word in page.text for word in ('data-label="Batch size"', 'data-label="Accuracy"')] == [True, False]
    assert 'aria-sort="descending"' in page.text
    assert "order=rising" in page.text, "a second click turns it round"
    assert listed(site.get("/runs?search=00ff compact").text) == [run_id(255)]
    assert len(listed(site.get("/runs?kind=trial").text)) == 10
    assert "Did you mean &#39;rising&#39;" in site.get("/runs?order=risin", headers={"Accept": "text/html"}).text


def test_a_name_tags_and_notes_are_shown_searched_and_saved_and_an_archived_run_is_left_out(site):
    own, visit = run_id(20), Visit(site)
    sent = {"name": "=Best <b>yet</b>", "tags": "=paper, ablation", "notes": "after the fix"}
    page = visit.submit(f"/runs/{own}/notes", sent).text
    assert "<h1>=Best &lt;b&gt;yet&lt;/b&gt;</h1>" in page
    assert "after the fix" in page
    for address in ("/runs?search=yet", "/runs?tag=ablation", "/runs?search=the+fix"):
        assert listed(site.get(address).text) == [own]
    (row,) = csv.DictReader(io.StringIO(site.get("/runs.csv?tag=%3Dpaper").text))
    assert (row["id"], row["tags"], row["learning_rate"]) == (own, "'=paper, ablation", "0.021")
    assert row["title"].startswith("'="), "no spreadsheet may take it for a formula"
    assert "lists leave it out" in visit.submit(f"/runs/{own}/notes", {"archived": "yes"}).text
    assert listed(site.get("/runs?tag=%3Dpaper").text) == []
    assert listed(site.get("/runs?tag=%3Dpaper&show=archived").text) == [own]
    assert site.get(f"/api/v1/runs/{own}").json()["run"]["is_archived"]
    visit.submit(f"/runs/{own}/notes", {"archived": ""})
    assert listed(site.get("/runs?tag=%3Dpaper").text) == [own]
    assert visit.submit(f"/runs/{own}/notes", {"name": "x" * 200}).status_code == 400
    assert visit.submit("/runs/shipped-best/notes", {"name": "mine"}).status_code == 404


def test_the_csv_has_all_pages_of_what_the_list_shows(site):
    rows = list(csv.DictReader(io.StringIO(site.get("/runs.csv?sort=accuracy").text)))
    assert len(rows) == COUNT + len(shipped_models())
    assert {"id", "title", "accuracy", "macro_f1", "split", "images", "optimizer", "seed"} <= set(rows[0])
    assert re.fullmatch(r"0\.\d{4} to 0\.\d{4}", rows[0]["accuracy_interval"])


def test_only_those_that_wait_or_run_are_given_to_who_asks_for_open_ones(site):
    assert site.get("/api/v1/runs?open=yes").json()["runs"] == []
    open_run(site.paths, run_id(30)).update_state(status="RUNNING")
    assert [run["id"] for run in site.get("/api/v1/runs?open=yes").json()["runs"]] == [run_id(30)]
    assert f'data-card="{run_id(30)}"' in site.get("/runs").text
    assert site.get("/api/v1/runs?open=perhaps").status_code == 400

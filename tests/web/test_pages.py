"""The pages, each with what it is for; how they look is looked at in a browser."""

import csv
import io
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.store import promotion
from fer_core.store.runs import create_run, open_run
from fer_core.web import pipeline
from tests.conftest import paths_in
from tests.shipped import ACCURACY, ACCURACY_WITHOUT_COPIES, EPOCHS
from tests.web.conftest import finished_run, served

FIRST, SECOND = "20260101-000000-compact-0001", "20260102-000000-compact-0002"


@pytest.fixture(scope="module")
def site(web_settings, tmp_path_factory):
    """A server with two finished runs, one that waits, and two histories of other programs."""
    paths = paths_in(tmp_path_factory.mktemp("pages"))
    finished_run(paths, FIRST, recipe="compact")
    finished_run(paths, SECOND, recipe="<script>alert(1)</script>")
    create_run(paths, TrainConfig(data="sample"), recipe="smoke")
    classic = "epoch,acc,loss,val_acc\n0,0.2,2.0,0.25\n1,0.4,1.5,0.35\n"
    others = {"broken.csv": "a,b\n1,2\n", "история.csv": classic, "it's, mine.csv": classic}
    for name, text in {"classic.csv": classic, **others}.items():
        (paths.history / name).write_text(text)
    with served(web_settings, paths) as site:
        yield site


def island(text: str, name: str) -> object:
    """Returns the data that a page holds for its script."""
    return json.loads(text.partition(f'id="{name}">')[2].partition("</script>")[0])


def test_the_result_shows_each_face_from_the_crop_to_the_answer(site, face, test_data, monkeypatch):
    crowd, mountain = ((test_data / "faces" / name).read_bytes() for name in ("multi_face.jpg", "mountain.jpg"))
    files = [("image", ("<i>our secret</i>.jpg", picture)) for picture in (face, crowd, mountain, b"no picture")]
    page = site.submit("/", files=files)
    assert page.status_code == 200
    assert page.text.count("data:image/jpeg;base64,") >= 6
    assert "No face was found" in page.text
    assert "5 faces" in page.text
    assert "not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture" in page.text
    assert "happy" in page.text
    assert "&lt;i&gt;our secret&lt;/i&gt;.jpg</span>: 5 faces" in page.text, "whoever sent it is told by its name"
    monkeypatch.setattr(pipeline, "MOST_FACES", 1)
    page = site.submit("/", files={"image": crowd}).text
    assert page.count('<article class="card face"') == 1
    assert re.search(r"The 1 largest of the \d+ faces are shown", page)


def test_a_picture_that_is_a_face_already_is_guessed_and_said(site):
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    files = {"image": cv2.imencode(".png", picture)[1].tobytes()}
    assert "was taken for one face" in site.submit("/", files=files).text
    assert "No face was found." in site.submit("/", {"faces": "find"}, files=files).text
    assert "No face was found" not in site.submit("/", {"faces": "given"}, files=files).text
    assert site.submit("/", {"faces": "maybe"}, files=files).status_code == 400
    without = site.submit("/", files={"image": ("", b"")})
    assert without.status_code == 400
    assert "There is no picture in the request." in without.text


def test_runs_are_sorted_filtered_and_read_again_when_they_have_changed(site):
    page = site.get("/runs").text
    assert FIRST in page
    assert "classic.csv" in page
    assert "has no column of a training history" in page
    assert "<script>alert" not in page
    assert FIRST not in site.get("/runs?recipe=smoke").text
    assert site.get("/runs?sort=accuracy").status_code == 200
    assert "Did you mean" in site.get("/runs?sort=accurac", headers={"Accept": "text/html"}).text

    def listed() -> dict[str, dict]:
        return {run["id"]: run for run in site.get("/api/v1/runs").json()["runs"]}

    assert listed()["shipped-best"]["is_in_use"]
    waiting = next(run_id for run_id, run in listed().items() if run["status"] == "QUEUED")
    open_run(site.paths, waiting).update_state(status="RUNNING", epoch=3)
    assert (listed()[waiting]["status"], listed()[waiting]["epoch"]) == ("RUNNING", 3)


def test_a_run_s_page_has_curves_scores_and_files(site):
    detail = island(site.get(f"/runs/{FIRST}").text, "run-data")
    assert len(detail["epochs"]) == EPOCHS
    assert {"epoch", "loss", "val_accuracy", "val_macro_f1", "learning_rate"} <= set(detail["epochs"][0])
    assert detail["evaluation"]["confusion"]
    assert detail["evaluation"]["accuracy_interval"]
    assert {"model.h5", "model_int8.tflite", "labels.json", "history.csv"} <= set(detail["files"])
    assert detail == site.get(f"/api/v1/runs/{FIRST}").json()
    saved = site.get(f"/runs/{FIRST}/files/model_int8.tflite")
    assert saved.headers["Content-Disposition"] == f"attachment; filename={FIRST}_model_int8.tflite"
    assert saved.content == (site.paths.models / "runs" / FIRST / "model_int8.tflite").read_bytes()
    assert site.get(f"/runs/{FIRST}/plots/confusion_matrix.png").headers["Content-Type"] == "image/png"
    assert site.get(f"/runs/{FIRST}/files/state.json").status_code == 404


def test_every_history_that_is_listed_is_shown_and_saved_with_our_columns(site):
    names = set(re.findall(r'href="(/histories/[^"]+)"', site.get("/runs").text))
    assert len(names) == 2
    for name in names:
        rows = island(site.get(name).text, "history-data")
        assert [row["val_accuracy"] for row in rows] == [0.25, 0.35]
        answer = site.get(f"{name}/csv")
        assert "attachment" in answer.headers["Content-Disposition"]
        saved = list(csv.DictReader(io.StringIO(answer.text)))
        assert (saved[0]["epoch"], saved[1]["accuracy"]) == ("1", "0.4")
    assert site.get("/histories/none.csv").status_code == 404
    assert site.get("/histories/broken.csv").status_code == 400


@pytest.mark.parametrize(
    ("parent", "leads_to"),
    [(f"{FIRST} {SECOND}", [FIRST, SECOND]), ("shipped/best", ["shipped-best"]), (FIRST, [FIRST]), ("model.h5", [])],
)
def test_a_run_s_page_leads_to_what_it_was_made_from(site, parent, leads_to):
    run = finished_run(site.paths, "20260111-000000-compact-0003", parent=parent)
    page = site.get(f"/runs/{run.id}").text
    origin = page.partition("<span>from ")[2].partition("</span>")[0]
    assert re.findall(r'href="/runs/([^"]+)"', origin) == leads_to
    assert all(site.get(f"/runs/{run_id}").status_code == 200 for run_id in leads_to)
    assert leads_to or parent in origin
    shutil.rmtree(run.folder)


def test_runs_and_histories_are_compared(site):
    page = site.get(f"/compare?run={FIRST}&run={SECOND}&run=csv:classic.csv")
    data = island(page.text, "compare-data")
    assert [one["id"] for one in data] == [FIRST, SECOND, "csv:classic.csv"]
    assert [len(one["epochs"]) for one in data] == [EPOCHS, EPOCHS, 2]
    assert data[0]["per_class"]["happy"]["f1"] > 0.8
    assert "recipe" in page.text
    assert "<script>alert" not in page.text
    many = "&".join(f"run={number}" for number in range(9))
    assert "too many to compare" in site.get(f"/compare?{many}").text
    assert site.get("/compare").status_code == 200


def test_the_model_card_says_data_figures_costs_limits_and_licence(site):
    page = site.get("/model").text
    words = ("PublicTest", ACCURACY, "An expression is not a feeling", "no licence for its pictures is known")
    costs = ("2,790,183", "376.5 million FLOPs", "Without copies of training images", ACCURACY_WITHOUT_COPIES)
    assert [part for part in (*words, *costs, f"Promote {FIRST}") if part not in page] == []
    assert re.search(r"[\d.]+ ms, measured on this server", page)
    assert "since" not in page.partition("</h1>")[2].partition("</div>")[0], "nothing was promoted here"


def test_a_model_that_is_fixed_does_not_take_the_date_of_the_promoted_one(web_settings, paths):
    promotion.promote(paths, finished_run(paths, FIRST))
    finished_run(paths, SECOND)
    for model, has_date in ((SECOND, False), (None, True)):
        with served(web_settings, paths, model=model) as site:
            assert ("<span>since " in site.get("/model").text) == has_date


def test_metrics_count_what_was_read(site, face):
    before = site.get("/metrics").text
    site.predict(face)
    site.get("/some/path/that/nobody/knows")
    after = site.get("/metrics").text
    assert 'fer_web_model{model="shipped/best"} 1.0' in after
    assert 'fer_web_faces_total{label="happy"}' in after
    assert 'endpoint="api.predict",method="POST",status="200"' in after
    assert "nobody" not in after
    assert after != before


def test_an_unknown_page_says_where_to_go(site):
    page = site.get("/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Check the address" in page.text
    as_json = site.get("/api/v1/nothing")
    assert as_json.json()["error"] == "Not Found."
    assert as_json.json()["hint"]

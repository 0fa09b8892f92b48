"""More requests than can be read, and a model that is promoted while they come."""

import concurrent.futures
import hashlib
import json
import threading
from itertools import pairwise

import pytest

from fer_core.live import classifier
from fer_core.store import promotion
from fer_core.store.run import Run
from fer_core.web.predictor_pool import PredictorPool
from tests.jobs.conftest import wait_until
from tests.web.conftest import Visit, finished_run, served


@pytest.fixture
def runs(paths) -> list[Run]:
    """Three finished runs."""
    return [finished_run(paths, f"2026010{day}-000000-tiny-000{day}", of="tiny") for day in (1, 2, 3)]


def test_who_is_too_many_is_told_when_to_come_again_and_who_waits_is_served(web_settings, paths, face):
    with served(web_settings, paths, waiting=1) as site, concurrent.futures.ThreadPoolExecutor(1) as threads:
        with site.service.pool.lent():
            answer = threads.submit(site.predict, face)
            wait_until(lambda: site.service.pool.waiting == 2)
            refused = site.predict(face)
            page = site.submit("/", files={"image": face})
            assert not answer.done()
        assert answer.result(10).status_code == 200
        assert refused.status_code == page.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "More pictures are waiting" in refused.json()["error"]
        assert refused.json()["hint"]
        assert site.predict(face).status_code == 200
        assert site.service.pool.waiting == 0


def test_a_model_promoted_under_load_loses_no_request(web_settings, paths, runs, face):
    first, second, _ = runs
    promotion.promote(paths, first)
    with served(web_settings, paths, readers=2) as site, concurrent.futures.ThreadPoolExecutor(3) as pool:
        ends = threading.Event()

        def client() -> list[tuple[int, str]]:
            answers = []
            while not ends.is_set():
                answer = site.predict(face)
                answers.append((answer.status_code, answer.json().get("model")))
            return answers

        clients = [pool.submit(client) for _ in range(3)]
        for run in (second, first, second):
            assert site.submit("/model/promote", {"run": run.id}).status_code == 200
            assert site.predict(face).json()["model"] == run.id
        assert site.submit("/model/rollback", {"from": second.id, "to": first.id}).status_code == 200
        assert promotion.current(paths).run == first.id
        ends.set()
        answers = [answer for one in clients for answer in one.result(30)]
    assert {status for status, _ in answers} == {200}
    assert {model for _, model in answers} == {first.id, second.id}


def without_model(run: Run) -> None:
    (run.folder / "model.h5").unlink()


def without_small_runtime(run: Run) -> None:
    content = b"no flat buffer" * 100
    (run.folder / "model.tflite").write_bytes(content)
    litert = {"sha256": hashlib.sha256(content).hexdigest(), "largest_difference": 0.0}
    manifest = json.loads((run.folder / "manifest.json").read_text()) | {"litert": litert}
    (run.folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("broken", [without_model, without_small_runtime])
def test_a_promoted_model_that_cannot_be_read_leaves_the_old_one_in_use(
    web_settings, paths, runs, face, broken, monkeypatch
):
    monkeypatch.setattr(classifier, "CHECK_SECONDS", 1000.0)  # it looks when the test does
    first, second, third = runs
    promotion.promote(paths, first)
    with served(web_settings, paths) as site:
        promotion.promote(paths, second)
        broken(second)
        site.service.pool.look()
        assert site.predict(face).json()["model"] == first.id
        assert "cannot be read with" in site.get("/model").text
        promotion.promote(paths, third)
        site.service.pool.look()
        assert site.service.pool.model.name == third.id
        assert "cannot be read with" not in site.get("/model").text


def test_what_was_promoted_while_the_first_model_was_loaded_is_read_with(web_settings, paths, runs, face, monkeypatch):
    load = PredictorPool._load

    def promoted_meanwhile(pool):
        generation = load(pool)
        if promotion.current(paths) is None:
            promotion.promote(paths, runs[0])
        return generation

    monkeypatch.setattr(PredictorPool, "_load", promoted_meanwhile)
    with served(web_settings, paths) as site:
        site.service.pool.look()
        assert site.predict(face).json()["model"] == runs[0].id


def test_trials_are_no_candidates_and_drawn_faces_do_not_take_the_place_of_photographs(web_settings, paths, runs):
    trial = finished_run(paths, "20260104-000000-compact-0004", kind="trial", parent="search_20260101-000000-x-0001")
    drawn = finished_run(paths, "20260104-000000-smoke-0004", data_name="sample")
    with served(web_settings, paths) as site:
        candidates = site.get("/model").text
        assert f"Promote {runs[0].id}" in candidates
        assert f"Promote {trial.id}" not in candidates
        assert "This is a trial of a search" in site.get(f"/model/promote?run={trial.id}").text
        assert promotion.current(paths) is None, "nothing is done before the answer"
        assert site.get("/model/promote?run=none").status_code == 404
        assert site.get("/model/rollback").status_code == 400
        assert site.submit("/model/promote", {"run": runs[0].id}).status_code == 200
        refused = site.submit("/model/promote", {"run": drawn.id})
        assert (refused.status_code, "drawn faces" in refused.text) == (400, True)
        assert site.submit("/model/promote", {"run": "none"}).status_code == 404


def test_going_back_takes_the_step_that_the_page_showed_or_none(web_settings, paths, runs):
    first, second, third = (run.id for run in runs)
    with served(web_settings, paths) as site:
        visit = Visit(site)
        assert "The button below goes back" in visit.submit("/model/promote", {"run": first}).text
        visit.submit("/model/promote", {"run": second})
        seen = {"from": second, "to": first}
        assert all(f'value="{run_id}"' in visit.get("/model/rollback").text for run_id in seen.values())
        promotion.promote(paths, runs[2])
        refused = visit.submit("/model/rollback", seen)
        assert refused.status_code == 400
        assert f"{third} is in use now" in refused.text
        assert promotion.current(paths).run == third
        for start, end in pairwise((third, second, first, "shipped/best")):
            page = visit.submit("/model/rollback", {"from": start, "to": end})
            assert page.status_code == 200
        assert "The model of the project itself is the model in use again" in page.text
        assert site.service.pool.model.name == "shipped/best"

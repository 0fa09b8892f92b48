"""More requests than can be read, and a model that is promoted while they come."""

import concurrent.futures
import hashlib
import json
import threading

import pytest

from fer_core.store import promotion
from fer_core.web.predictor_pool import PredictorPool
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.web.conftest import finished_run, served


def test_who_is_too_many_is_told_when_to_come_again_and_then_is_served(web_settings, tmp_path, face):
    settings = web_settings.model_copy(update={"readers": 1, "waiting": 0})
    with served(settings, paths_in(tmp_path)) as site:
        with site.service.pool.lent():
            refused = site.predict(face)
            page = site.visit().submit("/", files={"image": face})
        assert refused.status_code == page.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "More pictures are waiting" in refused.json()["error"]
        assert refused.json()["hint"]
        assert site.predict(face).status_code == 200
        assert site.service.pool.waiting == 0


def test_who_waits_is_served_when_a_reader_is_free(web_settings, tmp_path, face):
    settings = web_settings.model_copy(update={"readers": 1, "waiting": 1})
    with served(settings, paths_in(tmp_path)) as site, concurrent.futures.ThreadPoolExecutor(1) as pool:
        with site.service.pool.lent():
            answer = pool.submit(site.predict, face)
            wait_until(lambda: site.service.pool.waiting == 2)
            assert not answer.done()
        assert answer.result(10).status_code == 200


def test_a_model_promoted_under_load_loses_no_request(web_settings, tmp_path, face):
    paths = paths_in(tmp_path)
    first, second = (finished_run(paths, f"2026010{day}-000000-compact-000{day}") for day in (1, 2))
    promotion.promote(paths, first)
    with served(web_settings, paths) as site, concurrent.futures.ThreadPoolExecutor(6) as pool:
        ends = threading.Event()

        def client() -> list[tuple[int, str]]:
            answers = []
            while not ends.is_set():
                answer = site.predict(face)
                answers.append((answer.status_code, answer.json().get("model")))
            return answers

        clients = [pool.submit(client) for _ in range(6)]
        visit = site.visit()
        for run in (second, first, second):
            page = visit.submit("/model/promote", {"run": run.id}, start="/model")
            assert page.status_code == 200
            assert site.predict(face).json()["model"] == run.id
        step = {"from": second.id, "to": first.id}
        assert visit.submit("/model/rollback", step, start="/model").status_code == 200
        assert promotion.current(paths).run == first.id
        ends.set()
        answers = [answer for one in clients for answer in one.result(30)]
    assert {status for status, _ in answers} == {200}
    assert {model for _, model in answers} == {first.id, second.id}


def test_a_promoted_model_that_cannot_be_read_leaves_the_old_one_in_use(web_settings, tmp_path, face):
    paths = paths_in(tmp_path)
    first, second = (finished_run(paths, f"2026010{day}-000000-compact-000{day}") for day in (1, 2))
    promotion.promote(paths, first)
    with served(web_settings, paths) as site:
        promotion.promote(paths, second)
        (second.folder / "model.h5").unlink()
        site.service.pool.look()
        assert site.predict(face).json()["model"] == first.id
        assert "cannot be read with" in site.get("/model").text
        promotion.promote(paths, first)
        site.service.pool.look()
        assert "cannot be read with" not in site.get("/model").text


def test_a_model_of_drawn_faces_does_not_take_the_place_of_one_of_photographs(web_settings, tmp_path):
    paths = paths_in(tmp_path)
    photographs = finished_run(paths, "20260101-000000-compact-0001")
    drawn = finished_run(paths, "20260102-000000-smoke-0002", data_name="sample")
    promotion.promote(paths, photographs)
    with served(web_settings, paths) as site:
        answer = site.visit().submit("/model/promote", {"run": drawn.id}, start="/model")
        assert answer.status_code == 400
        assert "drawn faces" in answer.text
        assert site.visit().submit("/model/promote", {"run": "none"}, start="/model").status_code == 404


def test_what_was_promoted_while_the_first_model_was_loaded_is_read_with(web_settings, tmp_path, face, monkeypatch):
    paths = paths_in(tmp_path)
    run = finished_run(paths, "20260101-000000-compact-0001")
    load = PredictorPool._load

    def promoted_meanwhile(readers):
        generation = load(readers)
        if promotion.current(paths) is None:
            promotion.promote(paths, run)
        return generation

    monkeypatch.setattr(PredictorPool, "_load", promoted_meanwhile)
    with served(web_settings.model_copy(update={"readers": 1}), paths) as site:
        site.service.pool.look()
        assert site.predict(face).json()["model"] == run.id


def test_a_promoted_model_whose_small_runtime_is_broken_is_said_and_a_later_one_is_seen(web_settings, tmp_path, face):
    paths = paths_in(tmp_path)
    broken, good = (finished_run(paths, f"2026010{day}-000000-compact-000{day}") for day in (1, 2))
    content = b"no flat buffer" * 100
    (broken.folder / "model.tflite").write_bytes(content)
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "largest_difference": 0.0}
    manifest = json.loads((broken.folder / "manifest.json").read_text()) | {"litert": facts}
    (broken.folder / "manifest.json").write_text(json.dumps(manifest))
    with served(web_settings.model_copy(update={"readers": 1}), paths) as site:
        page = site.visit().submit("/model/promote", {"run": broken.id}, start="/model")
        assert page.status_code == 200
        assert "cannot be read with" in page.text
        assert site.predict(face).json()["model"] == "shipped/best"
        promotion.promote(paths, good)
        wait_until(lambda: site.service.pool.model.name == good.id)


def test_trials_are_no_candidates_and_promoting_one_says_what_it_is(web_settings, tmp_path):
    paths = paths_in(tmp_path)
    trained = finished_run(paths, "20260101-000000-compact-0001")
    trial = finished_run(paths, "20260102-000000-compact-0002", kind="trial", parent="search_20260101-000000-x-0001")
    with served(web_settings.model_copy(update={"readers": 1}), paths) as site:
        candidates = site.get("/model").text
        assert f"Promote {trained.id}" in candidates
        assert f"Promote {trial.id}" not in candidates
        question = site.get(f"/model/promote?run={trial.id}").text
        assert "This is a trial of a search" in question
        assert promotion.current(paths) is None, "nothing is done before the answer"
        assert site.get("/model/promote?run=none").status_code == 404
        assert site.get("/model/rollback").status_code == 400


def test_going_back_takes_the_step_that_the_page_showed_or_none(web_settings, tmp_path):
    paths = paths_in(tmp_path)
    first, second, third = (finished_run(paths, f"2026010{day}-000000-compact-000{day}") for day in (1, 2, 3))
    with served(web_settings.model_copy(update={"readers": 1}), paths) as site:
        visit = site.visit()
        assert "The button below goes back" in visit.submit("/model/promote", {"run": first.id}).text
        visit.submit("/model/promote", {"run": second.id})
        seen = {"from": second.id, "to": first.id}
        assert all(f'value="{run_id}"' in visit.get("/model/rollback").text for run_id in seen.values())
        promotion.promote(paths, third)
        refused = visit.submit("/model/rollback", seen)
        assert refused.status_code == 400
        assert f"{third.id} is in use now" in refused.text
        assert promotion.current(paths).run == third.id
        for start, end in ((third, second), (second, first)):
            assert visit.submit("/model/rollback", {"from": start.id, "to": end.id}).status_code == 200
        page = visit.submit("/model/rollback", {"from": first.id, "to": "shipped/best"})
        assert "The model of the project itself is the model in use again" in page.text
        assert site.service.pool.model.name == "shipped/best"


@pytest.mark.parametrize("detector", ["haar"])
def test_another_detector_is_used_where_it_is_asked_for(web_settings, tmp_path, face, detector):
    settings = web_settings.model_copy(update={"detector": detector, "detector_model": None, "readers": 1})
    with served(settings, paths_in(tmp_path)) as site:
        answer = site.predict(face).json()
        assert answer["detector"] == detector
        assert len(answer["images"][0]["faces"]) == 1

"""The jobs from the browser: forms that know the settings, a real queue, and what is said where there is none."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.datastructures import MultiDict

from fer_core import networks
from fer_core.errors import ConfigError
from fer_core.job.arguments import DEFAULT_RECIPE, train_config, validate
from fer_core.job.job import open_ids, open_job
from fer_core.recipes import RECIPES, starting_config
from fer_core.store.files import write_json
from fer_core.store.runs import create_run
from fer_core.study.settings import Part
from fer_core.tuning.space import with_settings
from fer_core.tuning.spec import space_of
from fer_core.tuning.state import changing
from fer_core.web.forms import FORMS, arguments_of, job_form
from fer_core.web.job_detail import SharedAnswer
from tests.jobs.parts import end_job, make_job, make_search
from tests.web.conftest import Visit, served


def untouched(form, **changed: str | None) -> MultiDict:
    """Returns what a browser sends for a form in which nothing but this was changed; None: unchecked."""
    sent = MultiDict()
    for one in form.fields.values():
        if one.kind == "checkbox":
            if one.value:
                sent.add(one.name, "on")
        elif one.kind == "space":
            for name in one.value:
                sent.add("space", name)
            for parameter in one.parameters:
                for choice in parameter.choices:
                    sent.add(f"left:{parameter.name}", str(choice))
                if not parameter.choices:
                    sent.add(f"low:{parameter.name}", str(parameter.low))
                    sent.add(f"high:{parameter.name}", str(parameter.high))
        else:
            sent.add(one.name, str(one.value))
    for name, value in changed.items():
        sent.pop(name, None)
        if value is not None:
            sent.add(name, value)
    return sent


@pytest.mark.parametrize(
    ("task", "chosen"),
    [
        *((task, {}) for task in FORMS),
        *(("train", {"recipe": recipe}) for recipe in RECIPES),
        *(("train", {"network": network}) for network in networks.names()),
    ],
)
def test_a_form_that_nobody_touched_sends_only_what_was_chosen(task, chosen):
    form = job_form(task, chosen, {})
    arguments = arguments_of(form, untouched(form))
    assert arguments.items() <= chosen.items()
    if task == "train":
        meant = chosen or {"recipe": DEFAULT_RECIPE}
        assert train_config(validate("train", arguments)) == train_config(validate("train", meant))


def test_what_is_changed_is_what_the_job_gets_and_an_emptied_field_switches_off_what_a_recipe_has():
    form = job_form("train", {"recipe": "compact"}, {})
    changed = {"epochs": "3", "flip": None, "step_epochs": "1, 2", "learning_rate": "0.01"}
    arguments = arguments_of(form, untouched(form, **changed))
    wanted = {"epochs": 3, "flip": False, "step_epochs": [1, 2], "learning_rate": 0.01}
    assert {name: arguments[name] for name in wanted} == wanted
    form = job_form("train", {"recipe": "resnet"}, {})
    assert form.fields["progressive_sizes"].value
    arguments = arguments_of(form, untouched(form, progressive_sizes=""))
    assert arguments == {"progressive_sizes": []}
    assert train_config(validate("train", arguments)).progressive_sizes == ()


def test_fields_have_the_choices_ranges_and_help_of_the_settings():
    fields = job_form("train", {"network": "attention"}, {"FER_QUEUES": "gpu.80gb"}).fields
    assert fields["optimizer"].choices == ("adam", "adamw", "sgd")
    assert (fields["epochs"].minimum, fields["epochs"].maximum, fields["epochs"].kind) == (1, 100_000, "integer")
    assert "gpu.80gb" in fields["queue"].choices
    assert "highest learning rate" in fields["learning_rate"].help
    assert fields["network"].reloads
    assert fields["recipe"].reloads
    assert [name for name in fields if name.startswith("network_options.")]
    assert [one.name for one in fields.values() if not one.help] == []
    search = job_form("tune", {"recipe": "attention"}, {}).fields
    assert "learning_rate" in [one.name for one in search["space"].parameters]
    assert search["oracle"].choices == ("random", "hyperband", "bayesian", "grid")


def test_the_help_in_a_form_calls_settings_as_the_form_does():
    helps = {name: one.help for task in FORMS for name, one in job_form(task, {}, {}).fields.items()}
    assert {name: text for name, text in helps.items() if "--" in text or "`" in text} == {}
    assert helps["step_factors"] == "One for each of “step epochs”."


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("epochs", "many", "epochs takes a whole number"),
        ("momentum", "x", "takes a number"),
        ("settings", "epochs 20", "'epochs 20' is no setting"),
        ("low:learning_rate", "tiny", "learning rate takes a number"),
    ],
)
def test_what_cannot_be_read_is_named(name, value, says):
    form = job_form("tune" if name in ("settings", "low:learning_rate") else "train", {}, {})
    with pytest.raises(ConfigError, match=says):
        arguments_of(form, untouched(form, **{name: value}))


def test_a_value_that_is_nested_without_end_is_text():
    form = job_form("tune", {}, {})
    deep = "[" * 100_000
    assert arguments_of(form, untouched(form, settings=f"optimizer = {deep}"))["settings"] == {"optimizer": deep}


def test_where_a_search_varies_a_setting_is_written_into_its_form():
    form = job_form("tune", {"recipe": "compact"}, {})
    sent = untouched(form, **{"low:learning_rate": "0.0005", "settings": "epochs = 4\nschedule = cosine"})
    sent.setlist("left:class_weights", ["balanced", "none"])
    arguments = arguments_of(form, sent)
    assert arguments == {"ranges": {"learning_rate": [0.0005, 0.01]}, "settings": {"epochs": 4, "schedule": "cosine"}}
    (varied,) = (one for one in space_of(validate("tune", arguments)) if one.name == "learning_rate")
    assert (varied.low, varied.high) == (0.0005, 0.01)
    sent.setlist("space", ["batch_size", "learning_rate"])
    sent.setlist("left:batch_size", ["32", "64"])
    arguments = arguments_of(form, sent)
    assert set(arguments["space"]) == {"batch_size", "learning_rate"}
    assert arguments["ranges"]["batch_size"] == [32, 64]
    assert [one.choices for one in space_of(validate("tune", arguments)) if one.name == "batch_size"] == [(32, 64)]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"recipe": "resnet", "epochs": 7, "learning_rate": 0.003, "mixup": 0.0, "progressive_sizes": ()},
        {"recipe": "compact", "epochs": 12, "network_options": {"dropout": 0.1}, "flip": False},
        {
            "recipe": None,
            "network": "resnet",
            "batch_size": 32,
            "schedule": "step",
            "step_epochs": (2, 4),
            "step_factors": (0.5, 0.1),
        },
    ],
)
def test_the_form_like_a_run_trains_the_same_once_more(paths, changed):
    recipe = changed.pop("recipe", "smoke")
    network = changed.pop("network", None)
    changed |= {"network": network} if network else {}
    config = with_settings(starting_config(recipe, network), {"data": "sample"} | changed)
    run = create_run(paths, config, recipe=recipe)
    form = job_form("train", {}, {}, like=run.manifest)
    sent = arguments_of(form, untouched(form))
    assert train_config(validate("train", sent)) == networks.with_all_options(config)
    again = arguments_of(form, untouched(form, batch_size="16"))
    assert train_config(validate("train", again)) == networks.with_all_options(config).model_copy(
        update={"batch_size": 16}
    )


@pytest.fixture(scope="module")
def site(web_settings, job_paths, redis_url):
    """A server beside a real Redis; no worker listens."""
    with served(web_settings, job_paths, {"FER_BROKER_URL": redis_url}) as site:
        yield site


def test_a_wrong_setting_is_said_on_the_form_which_keeps_the_others(site):
    page = site.submit("/jobs/new/train", {"recipe": "smoke", "epochs": "0", "seed": "77"})
    assert page.status_code == 400
    assert "epochs: input should be greater than or equal to 1" in page.text
    assert 'value="77"' in page.text
    assert site.get("/jobs/new/none").status_code == 400
    assert site.get("/jobs/new/train?recipe=none").status_code == 400


def test_images_that_the_server_does_not_see_are_refused_unless_the_sender_knows_better(site, tmp_path):
    before = len(open_ids(site.paths))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for data in (str(tmp_path / "fotos"), "x" * 5000, "~nobody-of-that-name/fotos", str(pipe)):
        for arguments in ({"data": data}, {"settings": {"data": data}}):
            refused = site.change("/api/v1/jobs", {"task": "train", "arguments": arguments})
            assert refused.status_code == 400
            assert "named pipe" in refused.text if data == str(pipe) else "on this server" in refused.json()["error"]
    for data, may_be_elsewhere in ((pipe, False), (tmp_path / "fotos", True)):
        refused = site.submit("/jobs/new/tune", {"data": str(data), "max_trials": "77"})
        assert (refused.status_code, 'value="77"' in refused.text) == (400, True)
        assert ("Send it all the same" in refused.text) == may_be_elsewhere
    assert len(open_ids(site.paths)) == before
    elsewhere = {"task": "train", "arguments": {"data": str(tmp_path / "fotos")}, "unchecked": True}
    sent = site.change("/api/v1/jobs", elsewhere)
    assert sent.status_code == 201
    site.change(f"/api/v1/jobs/{sent.json()['id']}/cancel", {})


def test_a_training_is_sent_watched_cancelled_and_resumed(site):
    visit = Visit(site)
    page = visit.submit("/jobs/new/train", {"recipe": "smoke", "data": "sample", "epochs": "2"})
    assert page.status_code == 200
    job_id = page.url.rpartition("/")[2]

    def job() -> dict:
        return site.get(f"/api/v1/jobs/{job_id}").json()

    assert (job()["status"], job()["queue"], job()["can_cancel"]) == ("QUEUED", "gpu", True)
    assert job()["arguments"]["epochs"] == 2
    assert job_id in site.get("/jobs").text
    question = visit.get(f"/jobs/{job_id}/cancel").text
    assert "Resume goes on from the last finished epoch." in question
    assert "Let it go on" in question
    assert job()["status"] == "QUEUED", "nothing is done before the answer"
    assert "It is cancelled." in visit.submit(f"/jobs/{job_id}/cancel").text
    assert job()["status"] == "CANCELLED"
    assert site.change(f"/api/v1/jobs/{job_id}/resume", {}).status_code == 202
    assert job()["status"] == "QUEUED"
    assert site.change(f"/api/v1/jobs/{job_id}/cancel", {}).status_code == 202
    again = site.change(f"/api/v1/jobs/{job_id}/cancel", {})
    assert again.status_code == 400
    assert "has ended" in again.json()["error"]


def test_the_api_takes_a_job_and_refuses_what_it_does_not_understand(site):
    sent = site.change("/api/v1/jobs", {"task": "gc", "arguments": {"dry_run": True}})
    assert sent.status_code == 201, sent.text
    assert sent.json()["task"] == "gc"
    assert open_job(site.paths, sent.json()["id"]).order.arguments == {"dry_run": True}
    wrong = site.change("/api/v1/jobs", {"task": "train", "arguments": {"epoch": 3}})
    assert wrong.status_code == 400
    assert "Did you mean 'epochs'" in wrong.json()["hint"]
    assert site.change("/api/v1/jobs", {"task": "dance"}).status_code == 400
    assert site.get("/api/v1/jobs/none").status_code == 404


def finished_study(site, folder, **arguments):
    """Returns a study that workers have read, with tables as they leave them."""
    job = make_job(site.paths, "read", source=str(folder), **arguments)
    (job.folder / "readings").mkdir()
    content = {"source": str(folder), "settings": {}, "format": "csv"}
    (job.folder / "study.json").write_text(json.dumps(content))
    (job.folder / "report.html").write_text("<style>h1 { color: red }</style><h1>What was read</h1>")
    for name in ("files.csv", "people.csv", "readings/a video.csv"):
        (job.folder / name).write_text("file,status\na,read\n")
    (job.folder / "elsewhere.csv").symlink_to("/etc/passwd")
    return end_job(job, "SUCCEEDED", files=1, failed=0)


def test_a_study_is_begun_by_a_form_and_what_is_not_there_is_said_on_it(site, tmp_path):
    (tmp_path / "clips").mkdir()
    refused = site.submit("/jobs/new/read", {"source": str(tmp_path / "clip" / "*.mp4")})
    assert (refused.status_code, "on this server" in refused.text) == (400, True)
    refused = site.submit("/jobs/new/read", {"source": str(tmp_path / "clips"), "markers": str(tmp_path / "none.csv")})
    assert (refused.status_code, "none.csv on this server" in refused.text) == (400, True)
    assert "it is not said what" in site.submit("/jobs/new/read", {}).text
    page = site.submit("/jobs/new/read", {"source": str(tmp_path / "clips" / "*.mp4"), "fps": "5"})
    job_id = page.url.rpartition("/")[2]
    assert open_job(site.paths, job_id).order.arguments == {"source": str(tmp_path / "clips" / "*.mp4"), "fps": 5.0}
    assert "Resume goes on with the rest" in site.get(f"/jobs/{job_id}/cancel").text
    folder = open_job(site.paths, job_id).folder  # a worker begins it, and has read one of two files
    parts = [Part(id=name, kind="video", files=((name, name),)).model_dump() for name in ("a", "b")]
    write_json(folder / "study.json", {"source": "clips", "settings": {}})
    (folder / "parts").mkdir()
    write_json(folder / "parts" / "plan.json", {"parts": parts, "files": 2})
    write_json(folder / "parts" / "a.json", [])
    shown = site.get(f"/api/v1/jobs/{job_id}").json()
    assert (shown["share"], shown["files"]) == (0.5, [])


def test_a_study_gives_its_report_under_a_policy_of_its_own_and_its_tables_as_files(site, tmp_path):
    job = finished_study(site, tmp_path)
    assert site.get(f"/api/v1/jobs/{job.id}").json()["files"] == [
        "report.html",
        "files.csv",
        "people.csv",
        "readings/a video.csv",
    ]
    page = site.get(f"/jobs/{job.id}").text
    assert "Read the report" in page
    report = site.get(f"/jobs/{job.id}/files/report.html")
    assert report.headers["Content-Security-Policy"].startswith(
        "sandbox; default-src 'none'; style-src 'unsafe-inline'"
    )
    assert "attachment" not in report.headers["Content-Disposition"]
    table = site.get(f"/jobs/{job.id}/files/readings/a video.csv")
    assert "attachment" in table.headers["Content-Disposition"]
    assert "unsafe-inline" not in table.headers["Content-Security-Policy"]
    for name in ("job.json", "elsewhere.csv", "../../../x", "readings/../job.json"):
        assert site.get(f"/jobs/{job.id}/files/{name}").status_code == 404


def test_a_study_reads_nothing_outside_the_folders_that_the_server_may_open(web_settings, job_paths, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    (inside / "list.csv").write_text(f"file\n{outside}/a.png\n")
    sources = (
        outside,
        f"{outside}/*.png",
        f"{inside}/*/../../outside/*.png",
        inside / "list.csv",
        f"{inside}/../outside",
    )
    with served(web_settings, job_paths, data_folder=(inside,)) as site:
        for source in map(str, sources):
            assert site.submit("/jobs/new/read", {"source": source, "unchecked": "yes"}).status_code == 400, source
        refused = site.change(
            "/api/v1/jobs", {"task": "read", "arguments": {"source": str(inside), "coding": str(outside)}}
        )
        assert refused.status_code == 400
        files = {"recognizer_model": f"{outside}/a.onnx", "model": "../a.h5", "labels": str(outside)}
        for name, file in files.items():
            job = {"task": "read", "arguments": {"source": str(inside), name: file}}
            assert "--data-folder" in site.change("/api/v1/jobs", job).json()["hint"], name
        job["arguments"] = {"source": str(inside), "model": "shipped/tiny"}
        assert site.change("/api/v1/jobs", job).status_code == 201
        job = {"task": "train", "arguments": {"data": "sample", "settings": {"more_images": str(outside)}}}
        assert "--data-folder" in site.change("/api/v1/jobs", job).json()["hint"]


def test_without_a_broker_the_page_says_how_to_start_one_and_all_else_works(web_settings, face, paths):
    nobody = {"FER_BROKER_URL": f"redis+socket://{paths.models}/none.sock?virtual_host=0"}
    with served(web_settings, paths, nobody) as site:
        state = site.get("/api/v1/workers").json()
        assert not state["reachable"]
        assert "`python -m jobs up`" in state["hint"]
        assert "python -m jobs up" in site.get("/jobs").text
        assert site.predict(face).status_code == 200
        sent = site.change("/api/v1/jobs", {"task": "gc"})
        assert sent.status_code == 201, "it is written down: whoever sends it again has two"
        assert sent.json()["waits_for_broker"]
        job_id = sent.json()["id"]
        assert "The job is stored." in site.get(f"/jobs/{job_id}").text
        assert site.change(f"/api/v1/jobs/{job_id}/cancel", {}).status_code == 202
        resumed = site.change(f"/api/v1/jobs/{job_id}/resume", {})
        assert (resumed.status_code, resumed.json()["waits_for_broker"]) == (202, True)
        assert site.get("/runs").status_code == 200


def test_a_search_says_which_settings_mattered_once_enough_trials_have_ended(site):
    few = make_search(site.paths, [0.5] * 3)
    assert site.get(f"/api/v1/searches/{few.id}/settings").json()["settings"] == []
    search = make_search(site.paths, [0.1 * number for number in range(1, 10)])
    found = site.get(f"/api/v1/searches/{search.id}/settings").json()
    assert ([one["name"] for one in found["settings"]], found["trials"]) == (["learning_rate"], 9)
    assert site.get(f"/api/v1/searches/{search.id}/settings?x=momentum").status_code == 400


def test_a_failed_search_says_why_on_its_job_and_in_the_list_and_its_trials_do(site):
    search = make_search(site.paths, [0.2, None], status="FAILED")
    why = "3 trials failed one after the other; the last one: There is no /data/fotos."
    with changing(search) as state:
        state.change(1, status="FAILED", message="There is no /data/fotos.")
    job = make_job(site.paths, "tune")
    with changing(job.search) as state:
        state.status, state.message = "FAILED", why
    page = site.get(f"/jobs/{job.id}").text
    assert (why in page, "Nothing yet." in page) == (True, False)
    assert why in site.get("/jobs").text.partition("Ended")[2]
    trials = site.get(f"/api/v1/searches/{search.id}").json()["trials"]
    assert trials[1]["message"] == "There is no /data/fotos."


def test_while_trials_are_confirmed_a_search_is_not_said_to_be_done(site):
    search = make_search(site.paths, [0.5, 0.4], status="RUNNING", confirm_top=2)
    assert site.get(f"/api/v1/searches/{search.id}").json()["done"] == pytest.approx(2 / 8)


def test_many_who_ask_the_broker_at_once_ask_once_and_an_older_answer_serves_meanwhile():
    now, answers, is_slow, may_answer = [0.0], iter("abc"), threading.Event(), threading.Event()

    def ask() -> str:
        is_slow.set()
        may_answer.wait(10)
        return next(answers)

    shared = SharedAnswer(ask, fresh_seconds=2, clock=lambda: now[0])
    with ThreadPoolExecutor(20) as pool:
        first = [pool.submit(shared.get) for _ in range(80)]
        may_answer.set()
        assert {answer.result(10) for answer in first} == {"a"}
        for event in (is_slow, may_answer):
            event.clear()
        now[0] = 3.0
        slow = pool.submit(shared.get)
        assert is_slow.wait(10)
        assert shared.get() == "a"
        may_answer.set()
        assert slow.result(10) == "b"
    assert shared.get() == "b"

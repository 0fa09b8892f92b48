"""The jobs from the browser: forms that know the settings, a real queue, and what is said where there is none."""

import pytest
from werkzeug.datastructures import MultiDict

from fer_core import networks
from fer_core.errors import ConfigError
from fer_core.job.arguments import DEFAULT_RECIPE, train_config, validate
from fer_core.job.job import open_job
from fer_core.recipes import RECIPES
from fer_core.web.forms import FORMS, arguments_of, job_form
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.web.conftest import Site, served


def untouched(form) -> MultiDict:
    """Returns what a browser sends for a form that nobody has touched."""
    sent = MultiDict()
    for one in form.fields.values():
        if one.kind == "checkbox":
            if one.value:
                sent.add(one.name, "on")
        elif one.kind != "checks":
            sent.add(one.name, str(one.value))
    return sent


@pytest.mark.parametrize("task", FORMS)
def test_a_form_that_nobody_touched_sends_only_what_was_chosen(task):
    form = job_form(task, {}, {})
    assert arguments_of(form, untouched(form)) == {}
    validate(task, {})


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_form_of_a_training_begins_with_the_recipe_s_own_settings(recipe):
    form = job_form("train", {"recipe": recipe}, {})
    arguments = arguments_of(form, untouched(form))
    assert arguments == ({} if recipe == DEFAULT_RECIPE else {"recipe": recipe})
    assert train_config(validate("train", arguments)) == train_config(validate("train", {"recipe": recipe}))


@pytest.mark.parametrize("network", networks.names())
def test_the_form_of_a_training_sends_another_network_with_that_network_s_own_settings(network):
    form = job_form("train", {"network": network}, {})
    arguments = arguments_of(form, untouched(form))
    assert set(arguments) <= {"network"}
    assert train_config(validate("train", arguments)).network == network


def test_what_a_recipe_has_is_switched_off_by_emptying_its_field():
    form = job_form("train", {"recipe": "resnet"}, {})
    has = {name: one.value for name, one in form.fields.items() if one.kind == "json" and one.empty == []}
    assert has["progressive_sizes"]
    sent = untouched(form)
    sent["progressive_sizes"] = ""
    arguments = arguments_of(form, sent)
    assert arguments == {"progressive_sizes": []}
    assert train_config(validate("train", arguments)).progressive_sizes == ()


def test_what_is_changed_is_what_the_job_gets():
    form = job_form("train", {"recipe": "compact"}, {})
    sent = untouched(form)
    for name, value in {"epochs": "3", "flip": None, "step_epochs": "[1, 2]", "learning_rate": "0.01"}.items():
        sent.pop(name, None)
        if value is not None:
            sent[name] = value
    arguments = arguments_of(form, sent)
    assert arguments["epochs"] == 3
    assert arguments["flip"] is False
    assert arguments["step_epochs"] == [1, 2]
    assert arguments["learning_rate"] == 0.01


def test_fields_have_the_choices_ranges_and_help_of_the_settings():
    form = job_form("train", {"network": "attention"}, {"FER_QUEUES": "gpu.80gb"})
    fields = form.fields
    assert fields["optimizer"].choices == ("adam", "adamw", "sgd")
    assert (fields["epochs"].minimum, fields["epochs"].maximum, fields["epochs"].step) == (1, 100_000, "1")
    assert "gpu.80gb" in fields["queue"].choices
    assert "highest learning rate" in fields["learning_rate"].help
    assert fields["network"].reloads
    assert fields["recipe"].reloads
    assert [name for name in fields if name.startswith("network_options.")]
    assert [one.name for one in fields.values() if not one.help] == []
    search = job_form("tune", {"recipe": "attention"}, {}).fields
    assert search["space"].kind == "checks"
    assert "learning_rate" in search["space"].choices
    assert search["oracle"].choices == ("random", "hyperband", "bayesian", "grid")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("epochs", "many", "epochs takes a whole number"),
        ("momentum", "x", "takes a number"),
        ("step_epochs", "[", "no JSON"),
    ],
)
def test_what_cannot_be_read_is_named(name, value, says):
    form = job_form("train", {}, {})
    sent = untouched(form)
    sent[name] = value
    with pytest.raises(ConfigError, match=says):
        arguments_of(form, sent)


@pytest.fixture(scope="module")
def site(web_settings, job_paths, redis_url):
    """A server beside a real Redis; no worker listens."""
    environ = {"FER_BROKER_URL": redis_url}
    with served(web_settings.model_copy(update={"readers": 1}), job_paths, environ) as site:
        yield site


def test_a_wrong_setting_is_said_on_the_form_which_keeps_the_others(site):
    page = site.visit().submit("/jobs/new/train", {"recipe": "smoke", "epochs": "0", "seed": "77"}, start="/jobs")
    assert page.status_code == 400
    assert "epochs: input should be greater than or equal to 1" in page.text
    assert 'value="77"' in page.text
    assert site.get("/jobs/new/none").status_code == 400
    assert site.get("/jobs/new/train?recipe=none").status_code == 400


def test_a_training_is_sent_watched_cancelled_and_resumed(site):
    visit = site.visit()
    form = {"recipe": "smoke", "data": "sample", "epochs": "2"}
    page = visit.submit("/jobs/new/train", form, start="/jobs/new/train")
    assert page.status_code == 200
    job_id = page.url.rpartition("/")[2]
    job = site.get(f"/api/v1/jobs/{job_id}").json()
    assert (job["status"], job["queue"], job["can_cancel"]) == ("QUEUED", "gpu", True)
    assert job["arguments"]["epochs"] == 2
    assert job_id in site.get("/jobs").text
    assert "It is cancelled." in visit.submit(f"/jobs/{job_id}/cancel").text
    assert site.get(f"/api/v1/jobs/{job_id}").json()["status"] == "CANCELLED"
    assert site.change(f"/api/v1/jobs/{job_id}/resume", {}).status_code == 202
    assert site.get(f"/api/v1/jobs/{job_id}").json()["status"] == "QUEUED"
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


def test_a_worker_is_seen_and_does_what_was_asked(site, worker):
    worker("-Q", "cpu")
    state = site.get("/api/v1/workers").json()
    assert state["reachable"]
    assert list(state["queues"]) == ["cpu"]
    job_id = site.change("/api/v1/jobs", {"task": "gc", "arguments": {"dry_run": True}}).json()["id"]

    def is_done() -> bool:
        return site.get(f"/api/v1/jobs/{job_id}").json()["status"] == "SUCCEEDED"

    wait_until(is_done, 60)
    page = site.get(f"/jobs/{job_id}").text
    assert "succeeded" in page


def test_without_a_broker_the_page_says_how_to_start_one_and_all_else_works(web_process, face, tmp_path):
    server = web_process(FER_BROKER_URL=f"redis+socket://{tmp_path}/none.sock?virtual_host=0")
    site = Site(server.url, paths_in(tmp_path), None)
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

"""Jobs in a real browser: a search that is sent over a real broker and grows, and what is said without one."""

import json
import re

from playwright.sync_api import expect

from fer_core.job.job import open_ids, open_job
from fer_core.tuning.results import end_if_over
from fer_core.tuning.state import changing
from tests.jobs.conftest import redis_server, redis_url  # noqa: F401
from tests.jobs.parts import fill_search, make_search
from tests.web.browser.conftest import go_back
from tests.web.conftest import served


def test_without_a_broker_the_page_says_how_to_start_one_and_a_job_is_stored(page, site):
    page.goto("/jobs")
    expect(page.get_by_role("heading", name="How to start broker and workers")).to_be_visible()
    expect(page.locator("#how-to").get_by_text("python -m jobs up", exact=True)).to_be_visible()
    page.get_by_role("link", name="Search Tries settings").click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="The job is stored.")).to_contain_text("python -m jobs up")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#doing")).to_have_text("stored, waits for the broker")
    assert len(open_ids(site.paths)) == 1


def test_the_chart_of_a_search_shows_the_score_first_and_no_axis_without_values(page, site):
    settings = [f"a_setting_with_a_long_name_{number}" for number in range(14)]
    search = make_search(site.paths, [0.2, 0.5, 0.4])
    known = page.request.get(f"{site.url}/api/v1/searches/{search.id}").json()
    known["parameters"] = [{"name": name, "log": False} for name in settings]
    for trial in known["trials"]:
        trial["settings"] = dict.fromkeys(settings[:-1], trial["number"] + 0.5)

    def with_data(route) -> None:
        start, _, rest = route.fetch().text().partition('id="search-data">')
        route.fulfill(body=f'{start}id="search-data">{json.dumps(known)}</script>{rest.partition("</script>")[2]}')

    page.route(f"**/searches/{search.id}", with_data)
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"/searches/{search.id}")
        names = page.locator("#parallel .axis-name")
        expect(names).to_have_count(14)  # the score, and thirteen settings that have values
        expect(names.first).to_contain_text("val macro f1")
        box = names.first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert not re.search("Infinity|NaN", page.locator("#parallel").inner_html())


def test_a_form_takes_the_settings_of_another_recipe_after_asking_where_something_was_changed(page):
    page.goto("/jobs/new/train")
    recipe = page.get_by_label("recipe")
    begun, asked = recipe.input_value(), []
    recipe.select_option("attention")
    expect(page).to_have_url(re.compile("recipe=attention"))
    page.get_by_label("Find a setting").fill("learning rate")
    expect(page.get_by_label("learning rate")).to_have_value("5e-05")
    expect(page.get_by_label("batch size")).to_be_hidden()
    go_back(page)
    expect(page).not_to_have_url(re.compile("recipe="))
    expect(recipe).to_have_value(begun)
    page.locator("summary", has_text="The training").click()
    page.get_by_label("epochs", exact=True).fill("7")
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    recipe.select_option("attention")
    expect(recipe).to_have_value(begun)
    expect(page.get_by_label("epochs", exact=True)).to_have_value("7")
    assert "another recipe; what you have changed is lost" in asked[0]
    page.once("dialog", lambda dialog: dialog.accept())
    recipe.select_option("attention")
    expect(page).to_have_url(re.compile("recipe=attention"))


def test_who_is_signed_out_meanwhile_is_asked_to_sign_in_again(page):
    page.route("**/api/v1/jobs", lambda route: route.fulfill(status=401, json={"error": "x", "hint": "y"}))
    page.goto("/jobs")
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    expect(page.get_by_role("link", name="Sign in again")).to_have_attribute("href", "/login?next=%2Fjobs")


def test_a_search_is_started_and_watched_until_it_ends(page, paths, redis_url, web_settings):  # noqa: F811
    """Its trials are written as workers write them; that workers do so is shown in tests/jobs/test_cluster.py."""
    fields = {"max trials": "3", "confirm top": "0", "data": "sample"}
    with served(web_settings, paths, {"FER_BROKER_URL": redis_url}) as site:
        page.goto(f"{site.url}/jobs/new/tune?recipe=smoke")
        for label, value in fields.items():
            page.get_by_label(label).fill(value)
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.get_by_role("status").first).to_contain_text("Sent: ")
        (job_id,) = open_ids(paths)
        search = open_job(paths, job_id).search
        page.get_by_role("link", name="View search").click()
        fill_search(search, [0.4, None, None])
        expect(page.locator("#progress-words")).to_contain_text("1 of 3 trials, 2 running")
        with changing(search) as state:
            state.change(1, status="FAILED", message="There is no /data/fotos.")
            state.change(2, status="COMPLETED", score=0.5)
        assert end_if_over(search).status == "SUCCEEDED"
        expect(page.locator(".badge.succeeded")).to_have_text("succeeded")
        expect(page.locator("#trials tbody tr")).to_have_count(3)
        expect(page.locator("#trials tbody tr").nth(1)).to_contain_text("There is no /data/fotos.")
        expect(page.get_by_role("img", name=re.compile("^2 trials from their val"))).to_be_visible()
        expect(page.get_by_role("heading", name="The winner's settings")).to_be_visible()

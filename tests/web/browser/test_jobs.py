"""Jobs in a real browser: a search that a real worker carries out over a real broker, and what is said without one."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.jobs.conftest import (  # noqa: F401
    TINY_TRAINING,
    job_environment,
    job_places,
    redis_server,
    redis_url,
    worker,
)
from tests.web.browser.conftest import watched, web_server

SEARCH_MS = 200_000
"""Some 25 s on two cores of its own."""


def test_without_a_broker_the_page_says_how_to_start_one(page):
    page.goto("/jobs")
    expect(page.get_by_role("heading", name="How to start broker and workers")).to_be_visible()
    expect(page.locator("#how-to").get_by_text("python -m jobs up", exact=True)).to_be_visible()
    page.get_by_role("link", name="Search Tries settings").click()
    page.get_by_role("button", name="Start it").click()
    expect(page.get_by_role("alert")).to_contain_text("broker")


def test_a_form_takes_the_settings_of_another_recipe_and_finds_one_by_name(page):
    page.goto("/jobs/new/train")
    page.get_by_label("recipe").select_option("attention")
    expect(page).to_have_url(re.compile("recipe=attention"))
    page.get_by_label("Find a setting").fill("learning rate")
    expect(page.get_by_label("learning rate")).to_have_value("5e-05")
    expect(page.get_by_label("batch size")).to_be_hidden()


def test_another_recipe_is_taken_only_after_asking_where_something_was_changed(page):
    page.goto("/jobs/new/train")
    page.locator("summary", has_text="The training").click()
    page.get_by_label("epochs", exact=True).fill("7")
    asked = []

    def answer(dialog):
        asked.append(dialog.message)
        dialog.accept() if len(asked) > 1 else dialog.dismiss()

    page.on("dialog", answer)
    recipe = page.get_by_label("recipe")
    begun = recipe.input_value()
    recipe.select_option("attention")
    expect(recipe).to_have_value(begun)
    expect(page.get_by_label("epochs", exact=True)).to_have_value("7")
    assert "another recipe; what you have changed is lost" in asked[0]
    recipe.select_option("attention")
    expect(page).to_have_url(re.compile("recipe=attention"))


def test_who_is_signed_out_meanwhile_is_asked_to_sign_in_again(page):
    page.route("**/api/v1/jobs", lambda route: route.fulfill(status=401, json={"error": "x", "hint": "y"}))
    page.goto("/jobs")
    expect(page.get_by_role("alert")).to_contain_text("You are signed out")
    expect(page.get_by_role("link", name="Sign in again")).to_have_attribute("href", "/login?next=%2Fjobs")


def test_what_a_form_has_wrong_is_said_and_the_rest_is_still_there(page):
    page.goto("/jobs/new/tune")
    page.get_by_label("max trials").fill("7")
    page.get_by_label("settings", exact=True).fill("{no json")
    page.get_by_role("button", name="Start it").click()
    expect(page.get_by_role("alert")).to_contain_text("no JSON")
    expect(page.get_by_label("max trials")).to_have_value("7")


@pytest.fixture
def site_with_worker(job_places, redis_url, worker, test_data):  # noqa: F811
    worker("-c", "1", "-Q", "gpu,cpu,gpu.high")
    with web_server(job_places, test_data, FER_BROKER_URL=redis_url) as site:
        yield site


def test_a_search_is_started_and_watched_until_it_ends(browser, site_with_worker):
    context = browser.new_context(base_url=site_with_worker.url)
    context.set_default_timeout(SEARCH_MS)
    page = context.new_page()
    settings = {name: value for name, value in TINY_TRAINING.items() if name not in ("recipe", "data")} | {"epochs": 1}
    with watched(page):
        page.goto("/jobs")
        expect(page.locator("#broker-words")).to_contain_text("1 worker,", timeout=SEARCH_MS)
        page.goto("/jobs/new/tune?recipe=smoke")
        page.get_by_label("max trials").fill("2")
        page.get_by_label("confirm top").fill("0")
        page.get_by_label("data").fill("sample")
        page.get_by_label("settings", exact=True).fill(json.dumps(settings))
        page.get_by_role("button", name="Start it").click()
        expect(page.get_by_role("status").first).to_contain_text("Sent: tune-")
        page.get_by_role("link", name="Its search").click()
        expect(page.locator("#progress-words")).to_contain_text("of 2 trials", timeout=SEARCH_MS)
        expect(page.locator(".badge.succeeded")).to_have_text("succeeded", timeout=SEARCH_MS)
        expect(page.locator("#trials tbody tr")).to_have_count(2)
        expect(page.get_by_role("img", name=re.compile("^2 trials from their settings"))).to_be_visible()
        expect(page.get_by_role("heading", name="The winner's settings")).to_be_visible()
    context.close()

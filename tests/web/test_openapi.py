"""The OpenAPI document: what it says is what the running server does, tried by schemathesis with made-up requests."""

import hypothesis
import pytest
from flask import Flask

from fer_core.web.app import add_views
from fer_core.web.openapi import openapi_document
from fer_core.web.settings import WebSettings
from tests.conftest import paths_in
from tests.web.conftest import TOKEN, served

EXAMPLES = 6
UNSAID = ("/api/v1/predict", "/api/v1/live", "/api/v1/jobs", "/api/v1/data", "/api/v1/uploads")
"""No schema can say which bytes are a picture, which arguments a job takes, which folders there are, or how
much an upload may have."""
VIEWS = Flask("fer_core.web")
add_views(VIEWS)
DOCUMENT = openapi_document(VIEWS, WebSettings(max_megapixels=30, max_upload_mb=5), is_locked=True)
MODES = ("positive", "negative")
"""Whether the requests are as the document wants them; schemathesis is imported by who runs this file alone."""
CALLS = [
    (verb, path, mode)
    for path, calls in DOCUMENT["paths"].items()
    for verb, call in calls.items()
    for mode in (MODES if {"parameters", "requestBody"} & set(call) else MODES[:1])  # else nothing could be wrong
]


def test_every_call_of_the_api_is_described_with_the_limits_of_this_server(site):
    ours = {
        (str(rule.rule).replace("<", "{").replace(">", "}"), verb.lower())
        for rule in site.app.url_map.iter_rules()
        for verb in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.rule.endswith("openapi.json")
    }
    described = site.get("/api/v1/openapi.json").json()
    assert ours | {("/healthz", "get"), ("/metrics", "get")} == {
        (path, verb) for path, calls in described["paths"].items() for verb in calls
    }
    assert "security" in DOCUMENT
    assert "security" not in described
    assert "32 pictures, 5 MB and 60 megapixels in all, 30 in each picture" in DOCUMENT["info"]["description"]


@pytest.fixture(scope="module")
def schema(site):
    """The document as a running server without a lock gives it: with one, most made-up calls would end at the lock."""
    import schemathesis

    return schemathesis.openapi.from_url(f"{site.url}/api/v1/openapi.json")


@pytest.mark.parametrize(("verb", "path", "mode"), CALLS)
def test_the_server_does_what_the_document_says(schema, site, verb, path, mode):
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    requests = schema[path][verb.upper()].as_strategy(generation_mode=GenerationMode(mode))

    @hypothesis.given(case=requests)
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    def check(case) -> None:
        excluded = [positive_data_acceptance] if path in UNSAID else []
        response = case.call_and_validate(headers={"Origin": site.url}, timeout=30, excluded_checks=excluded)
        assert response.status_code not in (401, 429), "the call itself was not reached"

    check()


def test_every_call_needs_the_token_but_the_one_that_says_the_server_answers(web_settings, tmp_path):
    with served(web_settings, paths_in(tmp_path), token=TOKEN) as locked:
        client = locked.app.test_client()
        for place, (verb, path, _) in enumerate(CALLS):
            for given in ({}, {"Authorization": "Bearer of-another-server"}, {"Authorization": "Basic eDp5"}):
                address = {"REMOTE_ADDR": f"10.0.0.{place}"}  # one address is refused after five wrong tokens
                answer = client.open(
                    path.replace("{", "").replace("}", ""), method=verb, headers=given, environ_base=address
                )
                assert answer.status_code == (200 if path == "/healthz" else 401), path

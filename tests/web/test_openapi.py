"""The OpenAPI document: what it says is what the running server does, tried by schemathesis with made-up requests."""

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fer_core.web.api.openapi import openapi_document
from tests.conftest import places_in
from tests.web.conftest import TOKEN, served

EXAMPLES = 15
SIGNED_IN = {"Authorization": f"Bearer {TOKEN}"}


def test_every_call_of_the_api_is_described(site):
    rules = {(str(rule.rule), verb) for rule in site.app.url_map.iter_rules() for verb in rule.methods or ()}
    ours = {
        (path.replace("<", "{").replace(">", "}"), verb.lower())
        for path, verb in rules
        if path.startswith("/api/") and verb not in ("HEAD", "OPTIONS") and not path.endswith("openapi.json")
    }
    described = {
        (path, verb) for path, calls in site.get("/api/v1/openapi.json").json()["paths"].items() for verb in calls
    }
    assert ours | {("/healthz", "get")} == described
    assert "security" in openapi_document(is_locked=True)


@pytest.fixture(scope="module")
def schema(web_settings, tmp_path_factory):
    """The document as the running server gives it."""
    settings = web_settings.model_copy(update={"token": TOKEN})
    with served(settings, places_in(tmp_path_factory.mktemp("schema"))) as site:
        yield schemathesis.openapi.from_url(f"{site.url}/api/v1/openapi.json", headers=SIGNED_IN)


MODES = list(schemathesis.GenerationMode)
CALLS = [
    (verb, path, mode)
    for path, calls in openapi_document(is_locked=True)["paths"].items()
    for verb in calls
    for mode in (MODES if path != "/healthz" else MODES[:1])  # it takes nothing that could be wrong
]


@pytest.mark.parametrize(("verb", "path", "mode"), CALLS)
def test_the_server_does_what_the_document_says(schema, verb, path, mode):
    @hypothesis.given(case=schema[path][verb.upper()].as_strategy(generation_mode=mode))
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    def check(case) -> None:
        # No schema can say which bytes are a picture, or which arguments a job takes.
        case.call_and_validate(headers=SIGNED_IN, timeout=30, excluded_checks=[positive_data_acceptance])

    check()

"""Uploads that are wrong in every way that we could think of; benchmarks/web_soak.py sends thousands."""

import pytest
import requests
from web_soak import malformed, send

from tests.web.conftest import folder_contents

UPLOADS = 270


@pytest.fixture(scope="module")
def pictures(test_data) -> list[bytes]:
    """What is spoilt."""
    return [(test_data / "faces" / name).read_bytes() for name in ("photo_happy.jpg", "mountain.jpg")]


def test_nothing_that_is_sent_breaks_anything(site, pictures, face):
    before = folder_contents(site.paths.models.parent)
    session = requests.Session()
    answers = []
    for number in range(UPLOADS):
        upload = malformed(number, pictures)
        answers.append((number, upload.kind, upload.path, send(site.url, session, upload)))
    assert [answer for answer in answers if answer[3] >= 500] == []
    assert {answer[3] for answer in answers} >= {200, 400, 404, 413}
    assert folder_contents(site.paths.models.parent) == before
    assert site.predict(face).status_code == 200


def test_an_upload_of_the_soak_can_be_made_again(pictures):
    assert malformed(17, pictures) == malformed(17, pictures)
    assert len({malformed(number, pictures).kind for number in range(9)}) == 9

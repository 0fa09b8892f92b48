"""The forms of a model that the page of its run writes and gives away."""

import pytest

from fer_core.paths import SHIPPED
from fer_core.store.files import file_sha256
from fer_core.store.runtimes import ONNXModel
from fer_core.web import exports
from tests.conftest import paths_in
from tests.web.conftest import served

for needed in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def site(web_settings, tmp_path_factory):
    with served(web_settings, paths_in(tmp_path_factory.mktemp("exports"))) as site:
        yield site


def test_the_page_writes_an_export_says_how_it_compares_and_gives_it(site, tmp_path):
    page = site.submit("/runs/shipped-tiny/exports", {"form": "onnx"}, timeout=200)
    assert page.status_code == 200
    assert "model.onnx is written: it differs from Keras by at most" in page.text
    saved = site.get("/runs/shipped-tiny/exports/model.onnx")
    assert "shipped-tiny_model.onnx" in saved.headers["Content-Disposition"]
    (tmp_path / "model.onnx").write_bytes(saved.content)
    assert ONNXModel(tmp_path / "model.onnx").source_sha256() == file_sha256(SHIPPED / "tiny" / "model.h5")
    assert site.get("/runs/shipped-tiny/exports/..%2F..%2Fcurrent.json").status_code == 404
    assert site.get("/runs/shipped-best/exports/model.onnx").status_code == 404


def test_a_form_that_there_is_not_is_refused_and_a_second_one_waits_for_the_first(site):
    assert site.submit("/runs/shipped-tiny/exports", {"form": "savedmodel"}).status_code == 400
    with exports._ONE_AT_A_TIME:
        answer = site.submit("/runs/shipped-tiny/exports", {"form": "onnx"})
    assert (answer.status_code, "Another export is being written" in answer.text) == (503, True)

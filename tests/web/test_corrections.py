"""What a person corrects is kept, on that click only, reaches the next retraining, and is deleted again."""

import os
import re
import shutil

import cv2
import numpy as np
import pytest

from fer_core.training.begin_retraining import begin_retraining
from fer_core.training.retraining import RetrainSpec
from fer_core.web.views import corrections
from tests.web.conftest import Visit, folder_contents


def uploaded(site, face: bytes, **fields: str) -> tuple[Visit, str]:
    """Returns a visit that has seen the result of an upload, and its page."""
    visit = Visit(site)
    page = visit.submit("/", fields, files={"image": ("happy.jpg", face)})
    assert page.status_code == 200
    return visit, page.text


def crop_in(page: str) -> str:
    """Returns the signed crop on a result page."""
    return re.search(r'name="crop" value="([^"]+)"', page)[1]


def test_a_corrected_face_is_kept_shown_retrained_on_and_deleted(site, face, monkeypatch):
    before = folder_contents(site.paths.inbox.parent)
    visit, page = uploaded(site, face)
    assert folder_contents(site.paths.inbox.parent) == before, "a result alone keeps nothing"
    page = visit.submit("/corrections", {"label": "surprise", "crop": crop_in(page)})
    assert page.status_code == 200
    (path,) = folder_contents(site.paths.inbox)
    assert path.parent.name == "surprise"
    assert "happy" not in path.name
    kept = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert kept.ndim == 2
    assert 48 <= max(kept.shape) <= 256

    address = f"/corrections/surprise/{path.name}"
    assert address in page.text
    assert address in visit.get("/corrections").text
    assert visit.get(address).content == path.read_bytes()

    reports: list[str] = []
    run = begin_retraining(
        RetrainSpec(data="sample", settings={"sample_per_class": 20}),
        site.paths,
        say=reports.append,
        report=lambda text: None,
    )
    assert "1 new images, 0 known ones, 0 refused" in reports[0]
    (copied,) = (run.folder / "new_images").rglob("*.png")
    assert copied.parent.name == "surprise"
    assert np.array_equal(cv2.imread(str(copied), cv2.IMREAD_UNCHANGED), kept)

    assert visit.submit(f"{address}/delete").status_code == 200
    assert folder_contents(site.paths.inbox) == set()
    assert visit.submit(f"{address}/delete").status_code == 404


def test_a_face_is_kept_once_under_the_label_that_was_said_last(site, face):
    visit, page = uploaded(site, face)
    for label in ("sad", "sad", "angry"):
        answer = visit.submit("/corrections", {"label": label, "crop": crop_in(page)})
        assert answer.url.endswith("/corrections"), "reloading the page must not keep it again"
        (path,) = folder_contents(site.paths.inbox)
        assert path.parent.name == label
    path.unlink()


def test_many_kept_faces_are_shown_a_page_at_a_time(site, monkeypatch):
    folder = site.paths.inbox / "sad"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(5):
        (folder / f"{number}.png").write_bytes(b"")
        os.utime(folder / f"{number}.png", (number, number))
    monkeypatch.setattr(corrections, "SHOWN", 2)
    shown = []
    address = "/corrections"
    while address:
        text = site.get(address).text
        shown += re.findall(r'src="/corrections/sad/(\d)\.png"', text)
        address = next(iter(re.findall(r'href="([^"]+)">Older ones', text)), None)
    assert shown == ["4", "3", "2", "1", "0"]
    assert site.get("/corrections?from=-3").status_code == site.get("/corrections?from=x").status_code == 200
    shutil.rmtree(folder)


def test_of_a_picture_that_is_one_face_the_page_says_that_all_of_it_is_kept(site, face):
    (_, given), (_, found) = uploaded(site, face, faces="given"), uploaded(site, face, faces="find")
    assert "the whole picture, since it was taken for one face" in given
    assert "Not the rest of the picture" not in given
    assert "Not the rest of the picture" in found


@pytest.mark.parametrize(
    "change",
    [lambda crop: crop[:-1] + ("E" if crop.endswith("A") else "A"), lambda crop: "x" + crop[1:], lambda crop: ""],
)
def test_what_this_server_has_not_cut_out_is_not_kept(site, face, change):
    visit, page = uploaded(site, face)
    answer = visit.submit("/corrections", {"label": "sad", "crop": change(crop_in(page))})
    assert answer.status_code == 400
    assert "was not cut out by this server" in answer.text
    assert folder_contents(site.paths.inbox) == set()


def test_only_the_model_s_own_labels_are_kept(site, face):
    visit, page = uploaded(site, face)
    for label in ("bored", "../evil", "", "/etc", "<script>"):
        answer = visit.submit("/corrections", {"label": label, "crop": crop_in(page)})
        assert answer.status_code == 400
        assert "There is no label" in answer.text
    assert folder_contents(site.paths.inbox) == set()

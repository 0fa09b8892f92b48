"""The pages of data sets: what is said of one, its images, corrections that train, and what is not opened."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import requests

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.sample import draw_face
from fer_core.evaluation.audit_report import SuspiciousLabel, audit_folder, save_suspicious
from fer_core.web.data_choice import DataChoice
from fer_core.web.data_sets import DataSets
from fer_core.web.run_list import RunList
from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.web.conftest import Site, Visit, folder_contents, served

SIDE = 64
"""Of the pictures on disk: what is shown is smaller, and what is kept is not."""


def drawn(label: str, number: int) -> np.ndarray:
    return draw_face(label, np.random.default_rng(number), side=SIDE)


def write(folder: Path, name: str, picture: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), picture)


def make_faces(folder: Path) -> Path:
    """Makes a data set with something of everything, of drawn faces."""
    for part, count in (("train", 6), ("test", 3)):
        for place, (name, label) in enumerate((("Anger", "angry"), ("happiness", "happy"), ("sad", "sad"))):
            for number in range(count):
                write(
                    folder, f"{part}/{name}/{number}.png", drawn(label, 1000 * (part == "test") + 100 * place + number)
                )
    shutil.copy(folder / "train/sad/0.png", folder / "test/sad/copy.png")
    shutil.copy(folder / "train/sad/1.png", folder / "train/Anger/wrong.png")
    write(folder, "train/sad/blank.png", np.full((SIDE, SIDE), 90, np.uint8))
    write(folder, "docs/screenshot.png", drawn("happy", 7))
    (folder / "train/sad/broken.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def faces(site, tmp_path_factory) -> Path:
    return make_faces(tmp_path_factory.mktemp("pictures") / "faces")


@pytest.fixture(scope="module")
def address(site, faces) -> str:
    """The address of the data set, opened by the form and read."""
    return opened(site, faces)


def opened(site: Site, data: Path | str, **fields: str) -> str:
    page = site.submit("/data", {"data": str(data)} | fields)
    assert page.status_code == 200
    return read(site, page.url.removeprefix(site.url))


def read(site: Site, address: str) -> str:
    def is_read() -> bool:
        return not site.get(f"/api/v1{address}").json()["progress"]

    wait_until(is_read)
    return address


def images(site: Site, address: str, **query: str) -> dict:
    return site.get(f"/api/v1{address}/images", params=query).json()


def position_of(site: Site, address: str, name: str) -> tuple[str, int]:
    """Returns the mark of the data set, and where an image is in it."""
    found = images(site, address)
    return found["mark"], next(one["position"] for one in found["images"] if one["name"].endswith(name))


def test_the_page_says_how_a_data_set_was_read_and_what_is_wrong_with_it(site, address):
    known = site.get(f"/api/v1{address}").json()
    assert (known["data_set"]["status"], known["data_set"]["images"]) == ("read", 30)
    assert known["report"]["read_as"] == {"anger": "angry", "happiness": "happy"}
    assert known["counts"]["train"] == {"angry": 7, "happy": 6, "sad": 7}
    assert [one["place"] for one in known["report"]["left_out"]] == ["docs"]
    assert [one["name"] for one in known["unreadable"]] == ["train/sad/broken.png"]
    found = {name: count for name, count in known["findings"].items() if count}
    assert found == {"conflicting": 2, "across": 2, "copies": 4, "blank": 1}
    page = site.get(address).text
    for said in ("anger → angry", "1 in docs", "broken.png", "--audit-labels", "class folders", "cannot be relabelled"):
        assert said in page
    assert "faces" in site.get("/data").text


def test_images_are_found_by_split_class_and_finding(site, address):
    happy = images(site, address, split="test", label="happy")
    assert {one["name"] for one in happy["images"]} == {f"test/happiness/{number}.png" for number in range(3)}
    assert not any(one["may_be_relabelled"] for one in happy["images"])
    across = images(site, address, finding="across")["images"]
    assert [(one["name"], one["note"]) for one in across] == [
        ("test/sad/copy.png", "1 more in train"),
        ("train/sad/0.png", "1 more in test"),
    ]
    assert "a copy is called sad" in [one["note"] for one in images(site, address, finding="conflicting")["images"]]
    assert images(site, address, start=29)["count"] == 30
    for query, status in (
        ({"label": "hapy"}, 404),
        ({"finding": "../x"}, 404),
        ({"start": "-1"}, 400),
        ({"x": "1"}, 400),
    ):
        assert site.get(f"/api/v1{address}/images", params=query).status_code == status
        assert site.get(address, params=query).status_code == status


def test_the_pictures_of_a_page_come_in_one_file_each_at_its_place(site, address, faces):
    mark, first = position_of(site, address, "train/Anger/0.png")
    _, last = position_of(site, address, "test/sad/2.png")
    answer = site.get(f"{address}/sheet.png", params={"mark": mark, "at": f"{last},{first}"})
    assert answer.headers["Cache-Control"] == "no-store"
    sheet = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    for place, name in enumerate(("test/sad/2.png", "train/Anger/0.png")):
        picture = cv2.imread(str(faces / name), cv2.IMREAD_GRAYSCALE)
        shown = sheet[2:50, 2 + 52 * place : 50 + 52 * place]
        assert np.abs(shown.astype(int) - cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)).mean() < 3
    for query in ({"mark": "other", "at": "0"}, *({"mark": mark, "at": at} for at in ("9999", "9" * 5000, "../x"))):
        assert site.get(f"{address}/sheet.png", params=query).status_code == 404


def test_a_relabelled_training_image_trains_under_its_new_label_alone(site, address, faces):
    mark, position = position_of(site, address, "train/happiness/2.png")
    visit = Visit(site)
    page = visit.submit(f"{address}/labels", {"mark": mark, "image": str(position), "to": "sad"}, start=address)
    assert "1 waits in the inbox" in page.text
    (kept,) = folder_contents(site.paths.inbox)
    original = cv2.imread(str(faces / "train/happiness/2.png"), cv2.IMREAD_GRAYSCALE)
    assert kept.parent.name == "sad"
    assert np.array_equal(cv2.imread(str(kept), cv2.IMREAD_UNCHANGED), original), "at its own size"
    (shown,) = images(site, address, finding="kept")["images"]
    assert (shown["name"], shown["kept_as"]) == ("train/happiness/2.png", "sad")
    assert f"/corrections/sad/{kept.name}" in site.get("/corrections").text

    config = TrainConfig(data=str(faces), more_images=str(site.paths.inbox), validation="none", skip_bad_images=True)
    train = load_dataset(config, site.paths, side=48).train
    content = int(kept.stem, 16)
    assert [("angry", "happy", "sad")[label] for label in train.labels[train.hashes == content]] == ["sad"]

    back = {"mark": mark, "images": [position], "label": "happy"}
    assert site.change(f"/api/v1{address}/labels", back).json() == {"kept": 0, "taken_back": 1}
    assert folder_contents(site.paths.inbox) == set()


@pytest.mark.parametrize(
    ("name", "label", "says"),
    [
        ("test/sad/1.png", "happy", "Only training images can be relabelled"),
        ("train/sad/1.png", "../../x", "no class"),
        ("train/sad/1.png", "", "Nothing suggests a label"),
    ],
)
def test_test_images_keep_their_labels_and_no_other_class_is_made(site, address, name, label, says):
    mark, position = position_of(site, address, name)
    answer = site.change(f"/api/v1{address}/labels", {"mark": mark, "images": [position], "label": label})
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    stale = site.change(f"/api/v1{address}/labels", {"mark": "of before", "images": [position], "label": "happy"})
    assert "has changed since" in stale.json()["error"]
    assert folder_contents(site.paths.inbox) == set()


def test_suspicious_labels_are_those_of_these_very_images_and_can_be_taken_as_they_look(site, address, faces):
    fingerprint = site.get(f"/api/v1{address}").json()["report"]["fingerprint"]
    folder = audit_folder(site.paths, str(faces))
    folder.mkdir(parents=True)
    found = [SuspiciousLabel("train/Anger/3.png", "angry", 0.01, "sad", 0.9)]
    save_suspicious(folder, found, fingerprint="of another data set called faces")
    assert site.get(f"/api/v1{address}").json()["findings"]["suspicious"] == 0
    save_suspicious(folder, found, fingerprint=fingerprint)
    listed = images(site, address, finding="suspicious")
    (shown,) = listed["images"]
    assert (shown["suggestion"], shown["note"]) == ("sad", "sad 90%, angry 1%")
    asked = {"mark": listed["mark"], "images": [shown["position"]], "label": ""}
    assert site.change(f"/api/v1{address}/labels", asked).json()["kept"] == 1
    (kept,) = folder_contents(site.paths.inbox)
    assert kept.parent.name == "sad"
    kept.unlink()


def test_other_labels_are_another_data_set(site, faces, address):
    mapped = opened(site, faces, label_map="angry=bad,sad=bad")
    assert mapped != address
    report = site.get(f"/api/v1{mapped}").json()["report"]
    assert report["labels"] == ["bad", "happy"]
    assert report["flags"] == f"--data {faces} --label-map angry=bad,sad=bad"
    refused = site.submit("/data", {"data": str(faces), "label_map": "/etc/passwd"})
    assert refused.status_code == 400
    assert "root:" not in refused.text
    assert "There is no map of labels" in refused.text


def test_no_label_of_a_map_leads_out_of_the_inbox(site, faces, tmp_path):
    address = opened(site, faces, label_map=f"angry={tmp_path}/evil,sad=../evil")
    mark, position = position_of(site, address, "train/happiness/2.png")
    for label in (f"{tmp_path}/evil", "../evil"):
        asked = {"mark": mark, "images": [position], "label": label}
        assert "No face can be kept as" in site.change(f"/api/v1{address}/labels", asked).json()["error"]
    assert folder_contents(site.paths.inbox, tmp_path, site.paths.inbox.parent / "evil") == set()


def test_what_has_vanished_changed_or_is_no_data_set_ends_in_a_sentence(site, faces, tmp_path):
    folder = Path(shutil.copytree(faces, tmp_path / "moving"))
    address = opened(site, folder)
    mark, position = position_of(site, address, "train/happiness/2.png")
    (folder / "train/happiness/2.png").unlink()
    asked = {"mark": mark, "images": [position], "label": "sad"}
    gone = site.change(f"/api/v1{address}/labels", asked)
    assert gone.status_code == 400
    assert "not in moving any more" in gone.json()["error"]
    site.submit(f"{address}/again")
    read(site, address)
    assert site.get(f"/api/v1{address}").json()["data_set"]["images"] == 29
    shutil.rmtree(folder)
    page = site.get(address)
    assert page.status_code == 200
    assert "It is not where it was" in page.text
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("a")
    page = site.get(opened(site, tmp_path / "letters"))
    assert "holds no pictures" in page.text
    site.submit(f"{address}/forget")
    assert site.get(address).status_code == 404


def test_an_odd_line_of_the_list_costs_no_other(tmp_path):
    paths = paths_in(tmp_path)
    paths.models.mkdir(parents=True)
    (paths.models / "data_sets.json").write_text('[{"data": "/a"}, {"data": "/b", "of_a_later_version": 1}]')
    DataSets(paths, RunList(paths), {}).register(DataChoice(data="/c"))
    assert [line.source for line in DataSets(paths, RunList(paths), {}).lines()][:2] == ["/c", "/a"]


def test_devices_missing_paths_and_other_folders_are_not_opened(web_settings, site, faces, tmp_path):
    for data in ("/dev/zero", "/nowhere", "a\0b", ""):
        answer = site.submit("/data", {"data": data})
        assert answer.status_code == 400, data
    allowed = tmp_path / "allowed"
    make_faces(allowed / "own")
    (allowed / "link").symlink_to(faces)
    paths = paths_in(tmp_path)
    with served(web_settings, paths, data_folder=(allowed,)) as narrow:
        opened(narrow, allowed / "own")
        for data in (faces, allowed / "link", f"{allowed}/../../{faces.name}", "/etc"):
            answer = narrow.change("/api/v1/data", {"data": str(data)})
            assert answer.status_code == 400, data
        for unchecked in (False, True):
            job = {"task": "train", "arguments": {"data": str(faces)}, "unchecked": unchecked}
            assert "--data-folder" in narrow.change("/api/v1/jobs", job).json()["hint"]
        assert {line["name"] for line in narrow.get("/api/v1/data").json()["data_sets"]} == {"own", "sample"}
    with served(web_settings, paths, data_folder=(tmp_path / "models",)) as narrower:
        assert [line["name"] for line in narrower.get("/api/v1/data").json()["data_sets"]] == ["sample"]


def test_nothing_is_changed_without_the_form_or_from_elsewhere(site, address):
    without_token = requests.post(f"{site.url}{address}/labels", data={"image": "0", "to": "sad"}, timeout=30)
    assert without_token.status_code == 400
    elsewhere = site.post("/api/v1/data", json={"data": "sample"}, headers={"Origin": "http://elsewhere.example"})
    assert elsewhere.status_code == 403

"""POST /api/v1/predict, as programs call it."""

import base64
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from fer_core.live.prediction import EmotionPredictor
from fer_core.web.problems import RequestError
from fer_core.web.uploads import decoded, from_base64
from tests.web.conftest import Visit, finished_run, served

SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"


def png_that_declares(width: int, height: int) -> bytes:
    """Returns a PNG whose header names any size, padded to 1 MB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(900_000_000 // 1024), 9).ljust(1_000_000, b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_face_is_read_as_from_python(site, face, web_settings):
    predictor = EmotionPredictor.open(
        detector="yunet", detector_model=web_settings.detector_model, detection_width=320, paths=site.paths
    )
    (expected,) = predictor.read(face)
    answer = site.predict(face)
    assert answer.status_code == 200
    assert (answer.json()["model"], answer.json()["detector"]) == ("shipped/best", "yunet")
    (picture,) = answer.json()["images"]
    (read,) = picture["faces"]
    assert (picture["width"], picture["height"]) == (512, 512)
    assert read["label"] == expected.label == "happy"
    assert read["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    assert sum(read["probabilities"].values()) == pytest.approx(1, abs=0.001)
    assert set(read["box"]) == {"x", "y", "width", "height"}
    assert "person" not in read


def test_several_pictures_are_answered_in_their_order(site, face, test_data):
    mountain, crowd = ((test_data / "faces" / name).read_bytes() for name in ("mountain.jpg", "multi_face.jpg"))
    images = site.predict(mountain, face, crowd).json()["images"]
    counts = [len(picture["faces"]) for picture in images]
    assert counts[:2] == [0, 1]
    assert counts[2] > 1


def test_base64_in_json_is_read_like_a_file(site, face):
    text = base64.b64encode(face).decode()
    as_json = site.post("/api/v1/predict", json={"images": [text, f"data:image/jpeg;base64,{text}"]})
    assert as_json.status_code == 200, as_json.text
    assert as_json.json()["images"] == site.predict(face).json()["images"] * 2


@pytest.mark.parametrize(
    "written",
    [
        lambda plain, face: base64.encodebytes(face).decode(),
        lambda plain, face: base64.encodebytes(face).decode().replace("\n", "\r\n"),
        lambda plain, face: base64.urlsafe_b64encode(face).decode(),
        lambda plain, face: plain.rstrip("="),
        lambda plain, face: f"DATA:IMAGE/JPEG;BASE64,{plain}",
        lambda plain, face: f"data:image/jpeg;name=a.jpg;base64,{base64.encodebytes(face).decode()}",
    ],
    ids=["lines", "lines of Windows", "URL-safe", "unpadded", "capitals", "lines after data:"],
)
def test_base64_is_read_however_it_is_written(face, written):
    padded = face + bytes(3 - len(face) % 3 + 1)  # what ends with "==", and has bytes that URL-safe writes otherwise
    plain = base64.b64encode(padded).decode()
    assert plain.endswith("==")
    assert {"+", "/"} & set(plain)
    assert from_base64(written(plain, padded)) == padded


@pytest.mark.parametrize("text", ["face.jpg", "data:image/jpeg;base64,@@@", "A", "AA=A", "Ä"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(RequestError, match="no base64"):
        from_base64(text)


def test_many_large_pictures_are_refused_together_before_any_is_decoded(site, face):
    deep = png_that_declares(4990, 4990)[:24] + bytes([16, 6])  # 16 bits, four channels: counts as twice the pixels
    began = time.perf_counter()
    answer = site.predict(face, deep, deep, deep)
    assert answer.status_code == 413
    assert "The 4 pictures have 150 megapixels together" in answer.json()["error"]
    assert "at most 100 are read at a time" in answer.json()["error"]
    assert site.submit("/", files=[("image", ("a.png", deep))] * 3).status_code == 413
    assert time.perf_counter() - began < 5
    assert site.predict(*[face] * 32).status_code == 200


def test_a_picture_that_is_a_face_already_is_read_as_a_whole(site):
    picture = cv2.imencode(".png", np.full((48, 48), 90, np.uint8))[1].tobytes()
    assert site.predict(picture).json()["images"][0]["faces"] == []
    (read,) = site.predict(picture, faces="given").json()["images"][0]["faces"]
    assert read["box"] == {"x": 0.0, "y": 0.0, "width": 48.0, "height": 48.0}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"files": {"image": b"GIF89a no picture"}}, "not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture"),
        ({"files": {"image": b""}}, "empty file"),
        ({"files": {"other": b"x"}}, "no picture in the request"),
        ({"data": {"image": "face.jpg"}}, "came as text, not as a file"),
        ({"data": b"hello", "headers": {"Content-Type": "text/plain"}}, "no picture in the request"),
        ({"json": {"images": ["@@@"]}}, "no base64"),
        ({"json": {"images": []}}, "images: List should have at least 1 item"),
        ({"json": {"images": ["eA=="], "face": "find"}}, "face: Extra inputs are not permitted"),
        ({"json": {"images": 5}}, "images: Input should be a valid array"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, "Invalid JSON"),
        ({"files": {"image": b"x"}, "data": {"faces": "maybe"}}, "faces: Input should be 'find' or 'given'"),
        ({"files": [("image", b"x")] * 33}, "33 pictures in the request"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(site, body, says):
    answer = site.post("/api/v1/predict", **body)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]
    assert answer.json()["hint"]
    assert "as text" not in says or "-F image=@face.jpg" in answer.json()["hint"], "the sign that has curl send a file"


def test_a_bomb_is_refused_before_it_is_decoded(site, face):
    began = time.perf_counter()
    large = site.predict(png_that_declares(30_000, 30_000))
    assert large.status_code == 413
    assert "30,000 x 30,000 pixels" in large.json()["error"]
    of_scans = site.predict(face[:-2] + SCAN * 5000 + face[-2:])
    assert of_scans.status_code == 400
    assert "too many scans" in of_scans.json()["error"]
    assert time.perf_counter() - began < 5


def test_a_large_picture_of_many_scans_or_of_wide_pixels_is_refused(face):
    pixels = 512 * 512
    assert decoded(face, most_pixels=pixels).shape[:2] == (512, 512)
    with pytest.raises(RequestError, match="too many scans"):
        decoded(face[:-2] + SCAN * 20 + face[-2:], most_pixels=pixels)
    deep = cv2.imencode(".png", np.full((300, 400, 4), 40_000, np.uint16))[1].tobytes()
    with pytest.raises(RequestError, match="megapixels"):
        decoded(deep, most_pixels=400 * 300)
    assert decoded(deep, most_pixels=2 * 400 * 300).shape[:2] == (300, 400)


def test_a_request_that_is_too_large_is_refused(web_settings, paths, face):
    with served(web_settings, paths, max_upload_mb=0.1) as site:
        answer = site.predict(bytes(300_000))
        assert answer.status_code == 413
        assert answer.json() == {
            "error": "Request Entity Too Large.",
            "hint": "Send at most 0.1 MB at a time, or smaller pictures.",
        }
        assert site.predict(face[:20_000]).status_code == 400


def test_other_methods_are_refused_with_those_that_there_are(site):
    answer = site.get("/api/v1/predict")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert answer.json()["error"] == "Method Not Allowed."


def test_labels_with_markup_are_only_text(web_settings, paths, face):
    labels = ["<script>alert(1)</script>", "b", "c", "d", "e", "f", "g"]
    run = finished_run(paths, "20260101-000000-x-0000", labels=labels)
    with served(web_settings, paths, model=run.id) as site:
        visit = Visit(site)
        page = visit.submit("/", files={"image": ("a.jpg", face)})
        assert page.status_code == 200
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
        pages = [page, *(visit.get(path) for path in ("/live", "/model", "/runs", f"/runs/{run.id}"))]
        assert not any("<script>alert" in page.text for page in pages)
        assert set(site.predict(face).json()["images"][0]["faces"][0]["probabilities"]) == set(labels)

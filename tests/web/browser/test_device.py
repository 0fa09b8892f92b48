"""Reading in the browser itself: the same answers as Python, on both pages, with nothing sent."""

import base64
import json
import re
import zipfile

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from fer_core.data.face_picture import decode_picture
from fer_core.live.prediction import EmotionPredictor
from tests.conftest import paths_in
from tests.live.rules import cases
from tests.study.test_study import save_video
from tests.web.browser.conftest import visitor, watched
from tests.web.browser.test_live import AGREE
from tests.web.conftest import finished_run, served

RUN = "20261130-000000-tiny-aaaa"
FACES = 100
PER_PICTURE = 5
PRIOR = {"angry": 0.14, "disgust": 0.02, "fear": 0.14, "happy": 0.25, "neutral": 0.17, "sad": 0.17, "surprise": 0.11}
PREDICT = """async ({pictures, finding, addresses}) => {
    const { Device } = await import("/static/device/device.js");
    const device = new Device();
    await device.load(addresses);
    const answers = [];
    for (const picture of pictures) {
        const bytes = Uint8Array.from(atob(picture), (one) => one.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
        const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        pen.drawImage(bitmap, 0, 0);
        const { faces } = await device.readPicture(pen.getImageData(0, 0, bitmap.width, bitmap.height), finding);
        answers.push(faces.map(({ seen, ...face }) => face));
    }
    device.close();
    return answers;
}"""
KEEP_RULES = """async (cases) => {
    const names = ["tracker", "steady", "classifier", "pixels"];
    const [{ Tracker }, steady, { calibrated }, { squareOf }] = await Promise.all(
        names.map((name) => import(`/static/device/${name}.js`)));
    const boxOf = ([x, y, width, height]) => ({ x, y, width, height });
    const plain = ({ x, y, width, height }) => [x, y, width, height];
    const rules = {
        tracker: (steps) => {
            const tracker = new Tracker();
            return steps.map(({ seconds, boxes }) => {
                tracker.find(boxes.map((box) => ({ box: boxOf(box), roll: 0 })), seconds);
                return tracker.people.map((track) => [track.person, track.isFound, ...plain(track.box)]);
            });
        },
        probabilities: ({ smoothing, steps }) => {
            const one = new steady.SteadyProbabilities(smoothing);
            return steps.map(([seconds, row]) => one.update(row, seconds));
        },
        label: (steps) => {
            const one = new steady.SteadyLabel();
            return steps.map(([seconds, label, isUnsure]) => {
                const shown = one.update({ label, isUnsure }, seconds);
                return [shown.label, shown.isUnsure];
            });
        },
        box: (steps) => {
            const one = new steady.SteadyBox();
            return steps.map(([seconds, box]) => plain(one.update(boxOf(box), seconds)));
        },
        calibrated: ({ answer, ...model }) => calibrated(answer, model),
        square: ({ box, framing, roll }) => plain(squareOf(boxOf(box), framing, roll)),
    };
    return cases.map(({ rule, given }) => rules[rule](given));
}"""


@pytest.fixture(scope="module")
def reads_on(runtime) -> str:
    return "device"


def flat(value: object) -> list:
    """Returns every number in a nested list."""
    return [number for one in value for number in flat(one)] if isinstance(value, list | tuple) else [value]


def read_here(page, pictures: list[bytes], finding: str, site: str = "") -> list[list[dict]]:
    """Returns what the browser reads in pictures."""
    page.goto(f"{site}/live")
    known = json.loads(page.locator("#live-settings").text_content())
    given = {"pictures": [base64.b64encode(one).decode() for one in pictures], "finding": finding}
    return page.evaluate(PREDICT, given | {"addresses": known["device"]})


def test_the_browser_keeps_the_rules_that_python_keeps(page):
    known = list(cases())
    page.goto("/live")
    results = page.evaluate(KEEP_RULES, [{"rule": rule, "given": given} for rule, given, _ in known])
    for (rule, _, expected), found in zip(known, results, strict=True):
        found, expected = (np.array(flat(numbers), float) for numbers in (found, expected))
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=rule)


@pytest.fixture(scope="module")
def test_faces(test_data) -> list[bytes]:
    """JPEGs of the test images, from all emotions."""
    with zipfile.ZipFile(test_data / "fer2013.zip") as archive:
        names = sorted(name for name in archive.namelist() if "test/" in name and name.endswith(".jpg"))
        return [archive.read(name) for name in names[:: len(names) // FACES][:FACES]]


@pytest.fixture(scope="module")
def predictor(test_data) -> EmotionPredictor:
    return EmotionPredictor.open(detector="yunet", detector_model=test_data / "face_detection_yunet_2026may.onnx")


def differences(found: list[dict], expected: list) -> tuple[float, int]:
    """Returns the largest difference of a probability, and how many labels differ that were above 0.5."""
    pairs = list(zip(found, expected, strict=True))
    most = max(
        abs(one["probabilities"][name] - share) for one, own in pairs for name, share in own.probabilities.items()
    )
    return most, sum(one["label"] != own.label for one, own in pairs if own.confidence > 0.5)


def test_faces_that_are_given_have_the_probabilities_that_python_gives(page, predictor, test_faces):
    expected = [predictor.read(one, faces="given")[0] for one in test_faces]
    most, other_labels = differences([faces[0] for faces in read_here(page, test_faces, "given")], expected)
    print(f"{len(expected)} faces as they are: largest difference {most:.2g}, other labels {other_labels}")
    assert most <= 0.01
    assert other_labels == 0


def group_pictures(faces: list[bytes]) -> list[bytes]:
    """Returns PNGs of 640 x 480 with five faces each, in different sizes."""
    pictures = []
    for first in range(0, len(faces), PER_PICTURE):
        picture = np.full((480, 640, 3), (96, 120, 110), np.uint8)
        for place, data in enumerate(faces[first : first + PER_PICTURE]):
            side = 110 + 20 * ((first + place) % 5)
            face = cv2.resize(decode_picture(data), (side, side), interpolation=cv2.INTER_CUBIC)
            x, y = 8 + 213 * (place % 3), 15 + 235 * (place // 3)
            picture[y : y + side, x : x + side] = face[:, :, np.newaxis]
        pictures.append(cv2.imencode(".png", picture)[1].tobytes())
    return pictures


def test_faces_that_are_found_lie_where_python_finds_them_and_have_its_probabilities(page, test_faces, test_data):
    quick = test_data / "face_detection_yunet_2026may.onnx"
    predictor = EmotionPredictor.open(detector="yunet", detector_model=quick, detection_width=320)
    pictures = group_pictures(test_faces[::4])
    own = [predictor.read(one) for one in pictures]
    found = read_here(page, pictures, "find")
    assert [len(faces) for faces in found] == [len(faces) for faces in own]
    found, expected = ([face for faces in both for face in faces] for both in (found, own))
    boxes = [[one["box"][name] for name in ("x", "y", "width", "height")] for one in found]
    np.testing.assert_allclose(boxes, [one.box for one in expected], atol=0.05)
    most, other_labels = differences(found, expected)
    print(f"{len(expected)} faces found: largest difference {most:.2g}, other labels {other_labels}")
    assert len(expected) > FACES / 8
    assert most <= 0.01
    assert other_labels == 0


def turned_pictures(faces: list[bytes]) -> list[bytes]:
    """Returns PNGs with one face each, turned by up to 40 degrees."""
    pictures = []
    for place, data in enumerate(faces):
        picture = np.full((480, 640), 110, np.uint8)
        picture[120:360, 200:440] = cv2.resize(decode_picture(data), (240, 240), interpolation=cv2.INTER_CUBIC)
        matrix = cv2.getRotationMatrix2D((320, 240), -40 + 10 * (place % 9), 1)
        pictures.append(cv2.imencode(".png", cv2.warpAffine(picture, matrix, (640, 480), borderValue=110))[1].tobytes())
    return pictures


@pytest.fixture(scope="module")
def small_site(web_settings, tmp_path_factory):
    """A server with a small model of aligned faces, with the frequencies that it was trained on."""
    paths = paths_in(tmp_path_factory.mktemp("small"))
    finished_run(paths, RUN, of="tiny", aligned=True, temperature=0.8, prior=PRIOR)
    with served(web_settings, paths, model=RUN, prior=0.5) as site:
        yield site


def test_turned_faces_are_aligned_and_the_prior_is_taken_out_as_python_does_it(page, small_site, test_faces, test_data):
    yunet = {"detector": "yunet", "detector_model": test_data / "face_detection_yunet_2026may.onnx"}
    predictor = EmotionPredictor.open(model=RUN, paths=small_site.paths, prior=0.5, detection_width=320, **yunet)
    pictures = turned_pictures(test_faces[::6])
    expected = [predictor.read(one) for one in pictures]
    found = read_here(page, pictures, "find", site=small_site.url)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    found, expected = ([face for faces in both for face in faces] for both in (found, expected))
    assert sum(abs(one.roll) > 15 for one in expected) > 4
    most, other_labels = differences(found, expected)
    print(f"{len(expected)} turned faces: largest difference {most:.2g}, other labels {other_labels}")
    assert most <= 0.02  # the roll is measured twice, and a pixel may be rounded the other way
    assert other_labels == 0


def test_the_live_page_reads_here_and_sends_nothing(page):
    sent = []
    page.goto("/live")
    expect(page.get_by_text("nothing leaves it.").first).to_be_visible()
    page.context.grant_permissions(["camera"])
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.get_by_role("button", name=AGREE).click()
    expect(page.get_by_role("heading", name="Person 1: ")).to_be_visible()
    expect(page.locator("#figures")).to_contain_text("readings/s")
    expect(page.locator("#strips li").first).to_be_visible()
    assert not sent


def test_where_the_device_cannot_read_the_page_says_so_and_sends_nothing_unasked(page):
    page.route("**/litert/*.wasm", lambda route: route.abort())
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/live")
    expect(page.locator("#where-said")).to_contain_text("This device cannot read by itself")
    expect(page.get_by_label("Read", exact=True)).to_have_value("server")
    expect(page.get_by_text("each frame is sent to this server")).to_be_visible()
    assert not sent


def test_what_was_agreed_to_for_this_device_is_not_sent_to_the_server_when_it_fails(page):
    held, sent = [], []
    page.route("**/litert/*.wasm", lambda route: held.append(route))
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.context.grant_permissions(["camera"])
    page.goto("/live")
    page.get_by_role("button", name=AGREE).click()
    expect(page.get_by_text("The models are being loaded")).to_be_visible()
    while not held:
        page.wait_for_timeout(50)
    page.route("**/litert/*.wasm", lambda route: route.abort())  # it is asked for twice
    held[0].abort()
    expect(page.get_by_text("“Start again” has the server read")).to_be_visible()
    assert page.locator("#camera").evaluate("video => video.srcObject") is None
    assert not sent
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("heading", name="Person 1: ")).to_be_visible()
    assert sent


def test_pictures_are_read_here_with_their_steps_nothing_is_sent_and_what_cannot_be_opened_is_said(
    page, test_data, tmp_path
):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    (tmp_path / "no.png").write_bytes(b"no picture")
    page.goto("/")
    files = [test_data / "faces" / "photo_happy.jpg", test_data / "faces" / "mountain.jpg", tmp_path / "no.png"]
    page.locator("#image").set_input_files(files)
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name="photo_happy.jpg: 1 face")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("happy, [89]"))).to_be_visible()
    expect(page.get_by_role("heading", name="mountain.jpg: No face")).to_be_visible()
    expect(page.get_by_role("heading", name="no.png could not be opened")).to_be_visible()
    expect(page.get_by_text("Read on this device: nothing left it.")).to_be_visible()
    assert not sent


ON_GPU = """async (addresses) => {
    if (!(await navigator.gpu?.requestAdapter())) return null;
    const { Model, quickest, startRuntime } = await import("/static/device/runtime.js");
    const litert = await startRuntime(new URL(addresses.runtime, location.href));
    const model = await (await fetch(addresses.description)).json();
    const address = new URL(model.weights, new URL(addresses.description, location.href));
    const { side } = model;
    const data = Float32Array.from({ length: side * side }, (_, i) => (i * 7919) % 256);
    const input = { data, shape: [1, side, side, 1] };
    const [own, there] = [await Model.open(litert, address), await Model.open(litert, address, "webgpu")];
    const chosen = await quickest(litert, address, own, input, { slow: 0, tolerance: -1 });
    return [Array.from(await own.run(input)), Array.from(await there.run(input)), chosen === own];
}"""


def test_the_graphics_processor_is_taken_only_where_it_answers_the_same(playwright, chromium, small_site, runtime):
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *flags])
    with visitor(browser, small_site) as context, watched(context) as page:
        page.goto("/live")
        answers = page.evaluate(ON_GPU, json.loads(page.locator("#live-settings").text_content())["device"])
    browser.close()
    if answers is None:
        pytest.skip("NOT TESTED on a graphics processor: this browser has no WebGPU.")
    own, there, is_kept = answers
    np.testing.assert_allclose(there, own, atol=0.002)
    assert is_kept


def test_a_video_is_sent_only_after_a_click_that_says_so(page, tmp_path):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if "/uploads" in request.url else None)
    page.goto("/")
    page.set_input_files("#image", str(save_video(tmp_path / "clip.mp4", 1)))
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_text("are not read on this device, but on the server")).to_be_visible()
    assert not sent
    page.get_by_role("button", name="Send them to the server").click()
    page.wait_for_url("**/uploads/*")
    page.get_by_role("button", name=re.compile("[Dd]elete")).click()
    expect(page.get_by_text("The upload and its result are deleted.")).to_be_visible()

"""The live page in a real browser, with a camera that plays a clip of a face."""

import csv
import json
import re
import time
from pathlib import Path

import cv2
from playwright.sync_api import BrowserContext, Page, expect

from tests.web.browser.conftest import visitor

AGREE = "I agree, start the camera"
STOPPED = "Stopped. The camera is off."
NOTE_SMOOTHING = """
window.smoothings = new Set();
const set = FormData.prototype.set;
FormData.prototype.set = function (name, ...rest) {
    if (name === "smoothing") smoothings.add(rest[0]);
    return set.call(this, name, ...rest);
};
"""
ALLOW_LATER = """
window.tracks = [];
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    tracks.push(...stream.getTracks());
    await new Promise((resolve) => { window.allow = resolve; });
    return stream;
};
"""
FRAMES_LATER = """
(count) => new Promise((resolve) => {
    const camera = document.getElementById("camera");
    const next = () => (count-- > 0 ? camera.requestVideoFrameCallback(next) : resolve());
    next();
})
"""
NOTE_DRAWING = """
window.panels = [];
window.boxes = [];
window.fonts = [];
const { fillRect, fillText, strokeRect } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.strokeRect = function (...rect) {
    if (this.canvas.id === "stage") boxes.push(rect[0]);
    return strokeRect.apply(this, rect);
};
CanvasRenderingContext2D.prototype.fillRect = function (...rect) {
    if (this.canvas.id === "stage" && this.fillStyle === "rgba(5, 8, 12, 0.72)") panels.push(rect);
    return fillRect.apply(this, rect);
};
CanvasRenderingContext2D.prototype.fillText = function (...all) {
    const { id, clientWidth, width } = this.canvas;
    if (id === "stage") fonts.push((Number(this.font.match(/([\\d.]+)px/)[1]) * clientWidth) / width);
    return fillText.apply(this, all);
};
"""
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
COLOURS = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"


def start(page: Page, context: BrowserContext, script: str = ";") -> None:
    """Starts the camera of a page on which a script has run before its own."""
    context.grant_permissions(["camera"])
    with page.add_init_script(script):
        page.goto("/live")
    page.get_by_role("button", name=AGREE).click()


def answering(page: Page, *faces: dict, **size: int) -> None:
    """Has the server's answers to frames be this one from now on."""
    page.route("**/api/v1/live", lambda route: route.fulfill(json=answer(*faces, **size)))


def answer(*faces: dict, width: int = 640, height: int = 480) -> dict:
    return {"model": "m", "width": width, "height": height, "milliseconds": 1.0, "faces": list(faces)}


def person(number: int, x: float, y: float, *, size: float = 90, **prediction: object) -> dict:
    box = {"x": x, "y": y, "width": size, "height": size}
    shares = {"angry": 0.1, "disgust": 0.1, "fear": 0.1, "happy": 0.45, "neutral": 0.1, "sad": 0.1, "surprise": 0.05}
    read = {"label": "happy", "confidence": 0.45, "unsure": False, "held": False, "probabilities": shares}
    return {"person": number, "box": box} | read | prediction


def frames_in_flight(page: Page) -> list[int]:
    """Returns a list that grows by the number of frames on their way each time that one is sent."""
    in_flight, counts = set(), []

    def began(request):
        if "/api/v1/live" in request.url:
            in_flight.add(request)
            counts.append(len(in_flight))

    page.on("request", began)
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: in_flight.discard(request))
    return counts


def wait_for(page: Page, expression: str) -> None:
    """Waits until it is true. Playwright's own way asks again from within the page, which the policy forbids."""
    until = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < until, expression
        page.wait_for_timeout(50)


def test_bars_are_of_the_nearest_person_hide_nobody_and_are_left_out_where_there_is_no_room(page, context):
    answering(page, person(1, 80, 0, size=480))
    start(page, context, NOTE_DRAWING)
    expect(page.get_by_role("heading", name="Person 1: happy")).to_be_visible()
    assert page.evaluate("panels") == []
    people = [person(n, x, y) for n, (x, y) in enumerate([(20, 40), (150, 40), (280, 40), (150, 300)], 1)]
    people.append(person(5, 400, 150, size=140))
    page.get_by_role("button", name="Mirror").click()
    answering(page, *people)
    expect(page.locator("#people h3")).to_have_count(5)
    page.evaluate("panels.length = 0")
    wait_for(page, "panels.length > 3")
    ((left, top, width, height),) = {tuple(panel) for panel in page.evaluate("panels")}  # one person's only
    for box in (one["box"] for one in people):
        beside = left >= box["x"] + box["width"] or box["x"] >= left + width
        assert beside or top >= box["y"] + box["height"] or box["y"] >= top + height


def test_what_lags_behind_is_marked_and_the_picture_takes_the_size_of_the_camera(page, context):
    answering(page, person(1, 20, 40, label="sad", confidence=0.1, unsure=True, held=True))
    start(page, context)
    expect(page.get_by_role("heading", name="Person 1: sad (unsure)")).to_be_visible()
    answering(page, person(1, 20, 40, label="sad", confidence=0.42, held=True))
    expect(page.get_by_role("heading", name="Person 1: sad (changing)")).to_be_visible()
    assert page.evaluate("document.getElementById('stage').height") == 480
    answering(page, width=640, height=360)
    wait_for(page, "document.getElementById('stage').height === 360")


def test_on_a_phone_the_button_is_seen_and_the_words_over_the_picture_can_be_read(page, context):
    page.set_viewport_size({"width": 390, "height": 844})
    context.grant_permissions(["camera"])
    with page.add_init_script(NOTE_DRAWING):
        page.goto("/live")
    button = page.get_by_role("button", name=AGREE)
    box, menu = button.bounding_box(), page.get_by_role("navigation", name="Pages").bounding_box()
    assert box["y"] + box["height"] <= menu["y"]
    answering(page, person(1, 20, 100))
    button.click()
    wait_for(page, "fonts.length > 2")
    assert min(page.evaluate("fonts")) >= 12


def test_the_camera_starts_only_after_consent_and_what_is_read_is_drawn_and_is_in_a_snapshot(page, context, tmp_path):
    counts = frames_in_flight(page)
    context.grant_permissions(["camera"])
    with page.add_init_script(NOTE_SMOOTHING):
        page.goto("/live")
    expect(page.get_by_text("No picture is kept.")).to_be_visible()
    expect(page.locator("#stage")).to_be_hidden()
    assert not counts
    page.get_by_role("button", name=AGREE).click()
    expect(page.get_by_role("heading", name=re.compile("Person 1: "))).to_be_visible()
    expect(page.locator("#figures")).to_have_text(re.compile(r"\d+ readings/s"))
    expect(page.locator("#timeline-legend")).to_have_text(re.compile("100%|[1-9]%"))
    assert page.locator("#stage").evaluate(COLOURS) > 50
    assert page.locator("#timeline").evaluate(COLOURS) > 10
    page.get_by_label("Smoothing").fill("2")
    expect(page.locator("#smoothing-value")).to_have_text("2.0 s")
    wait_for(page, "smoothings.has('0.5') && smoothings.has('2')")
    assert max(counts) == 1, "one frame is on its way at a time"
    with page.expect_download() as saving:
        page.get_by_role("button", name="Snapshot").click()
    saving.value.save_as(tmp_path / "snapshot.png")
    assert cv2.imread(str(tmp_path / "snapshot.png")).shape == (480, 640, 3)


def saved(page: Page, button: str, path: Path) -> str:
    """Returns what the page gives to save."""
    with page.expect_download() as saving:
        page.get_by_role("button", name=button, exact=True).click()
    saving.value.save_as(path)
    assert saving.value.suggested_filename.endswith(path.suffix)
    return path.read_text()


def test_a_session_is_saved_as_csv_and_json_with_its_markers_not_mirrored_and_deleted(page, context, tmp_path):
    answering(page, person(1, 20, 40), person(2, 300, 40, label="sad", confidence=0.6))
    start(page, context, NOTE_DRAWING)
    expect(page.locator("#strips li")).to_have_count(2)
    wait_for(page, f"boxes.includes({640 - 20 - 90})")
    assert not page.evaluate("boxes.includes(20)"), "the picture is mirrored"
    page.get_by_label("Note for the marker").fill("the joke")
    page.get_by_role("button", name="Mark this moment").click()
    expect(page.locator("#markers")).to_have_text(re.compile("0:0[0-9] the joke"))
    wait_for(page, "Number(document.getElementById('session-time').textContent.at(-1)) >= 2")
    page.get_by_role("button", name="Mirror").click()
    wait_for(page, "boxes.includes(20)")
    page.get_by_role("button", name="Stop the camera").click()
    rows = list(csv.DictReader(saved(page, "CSV", tmp_path / "readings.csv").splitlines()))
    assert {(row["person"], row["label"], row["x"]) for row in rows} == {("1", "happy", "20"), ("2", "sad", "300")}
    assert all(float(row["happy"]) == 0.45 for row in rows)
    assert "the joke" in {row["marker"] for row in rows}
    known = json.loads(saved(page, "JSON", tmp_path / "readings.json"))
    assert len(known["readings"]) == len(rows)
    assert [one["note"] for one in known["markers"]] == ["the joke"]
    assert {one["person"]: one["shares"] for one in known["people"]} == {1: [["happy", 1]], 2: [["sad", 1]]}
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("button", name="CSV", exact=True)).to_be_disabled()
    expect(page.locator("#strips li")).to_have_count(0)
    expect(page.locator("#markers li")).to_have_count(0)


def test_it_pauses_while_the_page_is_hidden_and_the_stop_button_ends_the_camera_until_it_starts_again(page, context):
    counts = frames_in_flight(page)
    start(page, context)
    expect(page.locator("#figures")).to_be_visible()
    page.evaluate(HIDE, True)
    expect(page.get_by_text("Paused while this page is hidden.")).to_be_visible()
    before = len(counts)
    page.evaluate(FRAMES_LATER, 20)
    # Of these frames of the camera at most the one that was on its way is sent.
    assert len(counts) <= before + 1
    page.evaluate(HIDE, False)
    expect(page.get_by_text("Paused while this page is hidden.")).to_be_hidden()
    with page.expect_response("**/api/v1/live"):
        pass
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.get_by_text(STOPPED)).to_be_visible()
    assert page.locator("#camera").evaluate("video => video.srcObject") is None
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#figures")).to_be_visible()
    for _ in range(5):
        with page.expect_response("**/api/v1/live") as response:
            pass
        assert response.value.status == 200
    assert max(counts) == 1, "the first visit must not go on beside the second"


def test_a_camera_that_is_stopped_before_it_is_allowed_stays_off(page, context):
    counts = frames_in_flight(page)
    start(page, context, ALLOW_LATER)
    wait_for(page, "typeof window.allow === 'function'")
    page.get_by_role("button", name="Stop the camera").click()
    page.evaluate("allow()")
    wait_for(page, "tracks.every((track) => track.readyState === 'ended')")
    assert page.locator("#camera").evaluate("video => video.srcObject") is None
    assert not counts
    expect(page.get_by_text(STOPPED)).to_be_visible()


def test_another_camera_can_be_chosen(playwright, chromium, site):
    two = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=2"]
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *two])
    with visitor(browser, site) as context:
        page = context.new_page()
        answering(page, person(1, 20, 40))
        start(page, context)
        expect(page.locator("#strips li")).to_have_count(1)
        used = "document.getElementById('camera').srcObject?.getVideoTracks()[0].getSettings().deviceId"
        first = page.evaluate(used)
        page.get_by_label("Camera", exact=True).select_option(index=1)
        wait_for(page, f"![undefined, {first!r}].includes({used})")
        expect(page.locator("#figures")).to_be_visible()
    browser.close()


def test_a_camera_that_is_not_allowed_or_not_there_is_said_in_words(page, playwright, chromium, site):
    page.goto("/live")
    page.get_by_role("button", name=AGREE).click()
    expect(page.get_by_text("The camera was not allowed.")).to_be_visible()
    expect(page.get_by_role("button", name="Start again")).to_be_focused()
    no_camera = ["--no-sandbox", "--use-fake-ui-for-media-stream"]
    browser = playwright.chromium.launch(executable_path=chromium, args=no_camera)
    without = browser.new_page()
    without.goto(f"{site.url}/live")
    without.get_by_role("button", name=AGREE).click()
    expect(without.get_by_text("No camera was found.")).to_be_visible()
    browser.close()

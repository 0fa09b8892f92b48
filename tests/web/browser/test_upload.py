"""Upload in a real browser: by file, drop, paste and camera; the result; a correction that is kept and deleted."""

import base64
import re
import shutil

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import go_back

ADD = """([picture, name, carrier]) => {
    const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], `${name}.jpg`, { type: "image/jpeg" }));
    const event = carrier === "clipboardData"
        ? new ClipboardEvent(name, { clipboardData: transfer, bubbles: true })
        : new DragEvent(name, { dataTransfer: transfer, bubbles: true });
    document.getElementById("drop").dispatchEvent(event);
}"""


@pytest.fixture
def happy(test_data):
    return test_data / "faces" / "photo_happy.jpg"


def choose(page: Page, *pictures) -> None:
    page.goto("/")
    page.set_input_files("#image", [str(picture) for picture in pictures])


def read(page: Page) -> None:
    page.get_by_role("button", name="Read the faces").click()


def upload(page: Page, *pictures) -> None:
    choose(page, *pictures)
    read(page)
    expect(page.get_by_role("heading", name="Results")).to_be_visible()


def test_a_file_is_previewed_and_read_step_by_step_and_after_back_the_page_shows_what_its_form_holds(page, happy):
    choose(page, happy)
    expect(page.locator("#previews img")).to_have_count(1)
    expect(page.get_by_text("1 picture is ready")).to_be_visible()
    read(page)
    expect(page.get_by_role("heading", name=re.compile(r"happy, \d+\.\d%"))).to_be_visible()
    for step in ("cut out of the picture", "in gray", "the network saw"):
        expect(page.get_by_role("img", name=step)).to_be_visible()
    expect(page.get_by_role("table", name="Probability of each emotion").get_by_role("row")).to_have_count(7)
    switch = page.get_by_role("button", name="Heat map")
    expect(page.get_by_role("img", name="Heat map")).to_be_hidden()
    switch.press("Enter")
    expect(switch).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("img", name="Heat map")).to_be_visible()
    expect(page.get_by_role("img", name="the network saw")).to_be_hidden()
    go_back(page)
    expect(page.locator("#faces")).to_be_visible()
    held = page.locator("#image").evaluate("input => input.files.length")
    expect(page.locator("#previews img")).to_have_count(held)
    expect(page.get_by_text("The faces are being read")).to_have_count(0)


def test_a_pasted_picture_and_a_dropped_one_are_added_and_one_is_left_out_again(page, test_data):
    page.goto("/")
    picture = base64.b64encode((test_data / "faces" / "photo_surprise.jpg").read_bytes()).decode()
    for name, carrier in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(ADD, [picture, name, carrier])
    expect(page.locator("#previews li")).to_have_count(2)
    page.get_by_role("button", name="Leave drop.jpg out").click()
    read(page)
    expect(page.get_by_role("heading", name=re.compile("surprise"))).to_be_visible()
    expect(page.get_by_text("1 picture.")).to_be_visible()


def test_a_picture_is_taken_with_the_camera(page, context):
    context.grant_permissions(["camera"])
    page.goto("/")
    page.get_by_role("button", name="Take one").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#previews img")).to_have_count(1)
    read(page)
    expect(page.get_by_role("heading", name="1 face")).to_be_visible()


def test_faces_are_kept_in_place_under_another_label_undone_refused_and_listed(page, site, test_data):
    upload(page, test_data / "faces" / "multi_face.jpg")
    expect(page.get_by_role("article")).to_have_count(5)
    first, second, third = page.get_by_role("article").all()[:3]
    for card in (first, second, third):
        card.get_by_text("This is wrong").click()
    choice, keep = first.get_by_label("It is …"), first.get_by_role("button", name="Keep for retraining")
    expect(choice).to_have_value("")
    rejected = first.get_by_role("heading").first.inner_text().partition(",")[0]
    assert rejected not in choice.locator("option").all_text_contents(), "what was rejected is no choice"
    keep.click()
    assert not site.paths.inbox.exists(), "nothing is kept before a label is chosen"
    label = choice.locator("option").nth(1).inner_text()
    choice.select_option(label)
    expect(first.get_by_text("until you delete it")).to_be_visible()
    keep.click()
    expect(first.get_by_role("status").filter(has_text=f"Kept as “{label}”.")).to_be_visible()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    assert [path.parent.name for path in site.paths.inbox.rglob("*.png")] == [label]
    first.get_by_role("button", name="Undo").click()
    expect(first.get_by_text("Deleted again")).to_be_visible()
    assert not list(site.paths.inbox.rglob("*.png"))

    third.locator("input[name=crop]").evaluate("input => { input.value = 'x' + input.value; }")
    for card, said in ((first, "Kept as"), (second, "Kept as"), (third, "was not cut out by this server")):
        card.get_by_label("It is …").select_option(index=1)
        card.get_by_role("button", name="Keep for retraining").click()
        expect(card.get_by_role("status")).to_contain_text(said)
    assert len(list(site.paths.inbox.rglob("*.png"))) == 2
    page.get_by_role("link", name="Kept faces").click()
    expect(page.get_by_role("listitem").filter(has=page.get_by_role("img"))).to_have_count(2)
    page.get_by_role("button", name="Delete the face kept as").first.click()
    expect(page.get_by_text("The picture is deleted.")).to_be_visible()
    assert len(list(site.paths.inbox.rglob("*.png"))) == 1
    shutil.rmtree(site.paths.inbox)


def test_what_is_too_much_for_step_by_step_becomes_a_table_before_anything_is_sent(page, happy, tmp_path):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    face = happy.read_bytes()

    def choose_copies(count: int, content: bytes) -> None:
        paths = [tmp_path / f"{len(content)}-{number}.png" for number in range(count)]
        for path in paths:
            path.write_bytes(content)
        choose(page, *paths)

    page.goto("/")
    read(page)
    expect(page.get_by_text("Choose, drop or paste a picture first.")).to_be_visible()
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    limits = "Up to 32 pictures, with 20 MB and 100 megapixels together, can be shown step by step"
    expect(page.locator("#limits")).to_contain_text(limits)
    choose_copies(3, face)
    expect(page.get_by_label("Result")).to_have_value("steps")
    for count, content in (
        (50, face),
        (3, face + bytes(8_000_000)),
        (3, cv2.imencode(".png", np.zeros((6000, 6000), np.uint8))[1].tobytes()),
    ):
        choose_copies(count, content)
        expect(page.get_by_text(f"{count} pictures are ready to be read, into a table.")).to_be_visible()
        expect(page.get_by_label("Result")).to_have_value("table")
    assert not sent

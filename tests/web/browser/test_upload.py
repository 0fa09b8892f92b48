"""Upload in a real browser: by file, drop, paste and camera; the result; a correction that is kept and deleted."""

import base64
import re

from playwright.sync_api import expect


def upload(page, *pictures):
    page.goto("/")
    page.set_input_files("#image", [str(picture) for picture in pictures])
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name="What was read")).to_be_visible()


def test_a_file_is_previewed_and_read_step_by_step(page, test_data):
    page.goto("/")
    page.set_input_files("#image", str(test_data / "faces" / "photo_happy.jpg"))
    expect(page.locator("#previews img")).to_have_count(1)
    expect(page.get_by_text("1 picture is ready")).to_be_visible()
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name=re.compile(r"happy, \d+\.\d%"))).to_be_visible()
    for step in ("cut out of the picture", "in gray", "the network saw"):
        expect(page.get_by_role("img", name=step)).to_be_visible()
    expect(page.get_by_role("table", name="Probability of each emotion").get_by_role("row")).to_have_count(7)


def test_the_heat_map_takes_the_place_of_what_the_network_saw(page, test_data):
    upload(page, test_data / "faces" / "photo_happy.jpg")
    switch = page.get_by_role("button", name="Heat map")
    expect(page.get_by_role("img", name="Heat map")).to_be_hidden()
    switch.press("Enter")
    expect(switch).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("img", name="Heat map")).to_be_visible()
    expect(page.get_by_role("img", name="the network saw")).to_be_hidden()


def test_several_faces_no_face_and_what_is_no_picture_stand_side_by_side(page, test_data, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    upload(page, *(test_data / "faces" / name for name in ("multi_face.jpg", "mountain.jpg")), broken)
    expect(page.get_by_role("heading", name="5 faces")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(5)
    expect(page.get_by_role("heading", name="No face was found.")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("JPEG")


def test_a_pasted_picture_and_a_dropped_one_are_added_and_one_is_left_out_again(page, test_data):
    page.goto("/")
    picture = base64.b64encode((test_data / "faces" / "photo_surprise.jpg").read_bytes()).decode()
    for name, carrier in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            """([picture, name, carrier]) => {
                const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], `${name}.jpg`, { type: "image/jpeg" }));
                const event = carrier === "clipboardData"
                    ? new ClipboardEvent(name, { clipboardData: transfer, bubbles: true })
                    : new DragEvent(name, { dataTransfer: transfer, bubbles: true });
                document.getElementById("drop").dispatchEvent(event);
            }""",
            [picture, name, carrier],
        )
    expect(page.locator("#previews li")).to_have_count(2)
    page.get_by_role("button", name="Leave drop.jpg out").click()
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name=re.compile("surprise"))).to_be_visible()
    expect(page.get_by_text("1 picture.")).to_be_visible()


def test_a_picture_is_taken_with_the_camera(page, context):
    context.grant_permissions(["camera"])
    page.goto("/")
    page.get_by_role("button", name="Take one").click()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#previews img")).to_have_count(1)
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name="1 face")).to_be_visible()


def test_a_correction_keeps_that_face_alone_until_it_is_deleted(page, site, test_data):
    upload(page, test_data / "faces" / "photo_happy.jpg")
    assert not site.places.inbox.exists()
    page.get_by_text("This is wrong").click()
    page.get_by_label("It is …").select_option("surprise")
    expect(page.get_by_text("until you delete it")).to_be_visible()
    page.get_by_role("button", name="Keep for retraining").click()
    expect(page.get_by_role("heading", name="Kept as “surprise”")).to_be_visible()
    assert [path.parent.name for path in site.places.inbox.rglob("*.png")] == ["surprise"]
    page.locator("#main").get_by_role("link", name="Kept faces").click()
    page.get_by_role("button", name="Delete the face kept as surprise").click()
    expect(page.get_by_text("The picture is deleted.")).to_be_visible()
    assert not list(site.places.inbox.rglob("*.png"))


def test_nothing_is_sent_without_a_picture(page):
    page.goto("/")
    page.locator("#image").evaluate("input => input.removeAttribute('required')")
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_text("Choose, drop or paste a picture first.")).to_be_visible()

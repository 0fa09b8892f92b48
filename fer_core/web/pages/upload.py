"""The upload page and its result: the picture with boxes, and each face from the crop to the answer."""

from typing import get_args

from flask import Blueprint, render_template, request

from fer_core.emotions import colour
from fer_core.errors import ConfigError, FerError, did_you_mean
from fer_core.web.pipeline import Finding, PictureView, view
from fer_core.web.predictor_pool import LentPredictor
from fer_core.web.service import service
from fer_core.web.uploads import (
    LARGEST_TOGETHER,
    MOST_PICTURES,
    BadUploadError,
    TooLargeError,
    check_together,
    decoded,
    sent_files,
)

pages = Blueprint("upload", __name__)


@pages.get("/")
def index() -> str:
    """The form that takes pictures."""
    settings = service().settings
    together = LARGEST_TOGETHER * settings.max_megapixels
    return render_template("index.html", settings=settings, most_pictures=MOST_PICTURES, together=together)


@pages.post("/")
def results() -> str:
    """What is read in the pictures of the form. Nothing of them is kept."""
    finding = request.form.get("faces", "auto")
    if finding not in get_args(Finding):
        raise ConfigError(f"faces cannot be {finding[:40]!r}.", hint=did_you_mean(finding[:40], get_args(Finding)))
    files = sent_files()
    check_together(files, most_pixels=service().settings.pixels)
    with service().readers.lent() as lent:
        pictures = [_shown(data, finding, lent) for data in files]
    labels = lent.model.labels
    return render_template(
        "results.html",
        pictures=pictures,
        labels=labels,
        colours={label: colour(label, labels) for label in labels},
        threshold=service().settings.threshold,
    )


def _shown(data: bytes, finding: Finding, lent: LentPredictor) -> PictureView | FerError:
    """Returns the picture, or what is wrong with it: one bad picture of several must not hide the others."""
    held = service()
    try:
        picture = decoded(data, most_pixels=held.settings.pixels)
        return view(lent.for_picture(picture), picture, finding=finding, signer=held.signer)
    except (BadUploadError, TooLargeError) as error:
        return error

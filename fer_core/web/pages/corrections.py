"""What was kept of uploads on a person's click, and how it is deleted again."""

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for

from fer_core.web import corrections
from fer_core.web.service import service

pages = Blueprint("corrections", __name__)


@pages.get("/corrections")
def page() -> str:
    """All pictures that are kept for the next retraining."""
    inbox = service().places.inbox
    return render_template("corrections.html", kept=corrections.kept(inbox), inbox=inbox.resolve())


@pages.post("/corrections")
def keep() -> Response | str:
    """Keeps the crop of a face under the label that the person names."""
    held = service()
    one = corrections.keep(
        held.places.inbox,
        request.form.get("label", ""),
        request.form.get("crop", ""),
        labels=held.readers.model.labels,
        signer=held.signer,
        clock=held.clock,
    )
    return render_template("corrected.html", one=one)


@pages.get("/corrections/<label>/<name>")
def picture(label: str, name: str) -> Response:
    """One picture that is kept."""
    return send_file(corrections.find(service().places.inbox, label, name).path.resolve())


@pages.post("/corrections/<label>/<name>/delete")
def delete(label: str, name: str) -> Response:
    """Deletes a picture."""
    corrections.remove(service().places.inbox, label, name)
    flash("The picture is deleted.")
    return redirect(url_for("corrections.page"))

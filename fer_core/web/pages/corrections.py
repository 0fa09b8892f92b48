"""What was kept of uploads on a person's click, and how it is deleted again."""

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, send_file, url_for

from fer_core.web import corrections
from fer_core.web.problems import wants_json
from fer_core.web.service import service

SHOWN = 100
"""Pictures at a time."""

pages = Blueprint("corrections", __name__)


@pages.get("/corrections")
def page() -> str:
    """The pictures that are kept for the next retraining, the newest first. `?from=` says how many are passed over."""
    inbox = service().paths.inbox
    kept = corrections.kept(inbox)
    start = min(max(0, request.args.get("from", 0, int)), len(kept))
    shown = kept[start : start + SHOWN]
    return render_template(
        "corrections.html", kept=shown, count=len(kept), start=start, step=SHOWN, inbox=inbox.resolve()
    )


@pages.post("/corrections")
def keep() -> Response:
    """Keeps the crop of a face under the label that the person names. A script gets JSON, and stays on its page."""
    held = service()
    kept = corrections.keep(
        held.paths.inbox,
        request.form.get("label", ""),
        request.form.get("crop", ""),
        labels=held.readers.model.labels,
        signer=held.signer,
    )
    where = {"label": kept.label, "name": kept.name}
    if wants_json():
        return jsonify(where | {"delete": url_for("corrections.delete", **where)})
    return redirect(url_for("corrections.one", **where))


@pages.get("/corrections/<label>/<name>/kept")
def one(label: str, name: str) -> str:
    """What was kept just now, and how it is deleted again."""
    return render_template("corrected.html", one=corrections.find(service().paths.inbox, label, name))


@pages.get("/corrections/<label>/<name>")
def picture(label: str, name: str) -> Response:
    """One picture that is kept."""
    return send_file(corrections.find(service().paths.inbox, label, name).path.resolve())


@pages.post("/corrections/<label>/<name>/delete")
def delete(label: str, name: str) -> Response:
    """Deletes a picture."""
    corrections.remove(service().paths.inbox, label, name)
    if wants_json():
        return jsonify(label=label, name=name)
    flash("The picture is deleted.")
    return redirect(url_for("corrections.page"))

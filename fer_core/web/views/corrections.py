"""Corrected faces: kept in the inbox, <label>/….png, only when a person says so, until somebody deletes them."""

import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, send_file, url_for
from itsdangerous import BadSignature

from fer_core.errors import ConfigError, NotFoundError, did_you_mean
from fer_core.web import data_detail
from fer_core.web.problems import wants_json
from fer_core.web.service import service

SHOWN = 100
"""Pictures at a time."""
SIGNED_HOURS = 24
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}\.(png|jpg|jpeg|bmp|webp)")

pages = Blueprint("corrections", __name__)


@pages.get("/corrections")
def page() -> str:
    """The pictures that are kept for the next retraining, the newest first. `?from=` says how many are passed over."""
    inbox = service().paths.inbox
    found = [_picture(path) for path in inbox.glob("[!.]*/[!.]*") if _is_ours(path)]
    found.sort(key=lambda one: (one["kept_utc"], one["name"]), reverse=True)
    start = min(max(0, request.args.get("from", 0, int)), len(found))
    known = {"kept": found[start : start + SHOWN], "count": len(found), "start": start, "step": SHOWN}
    return render_template("corrections.html", inbox=inbox.resolve(), **known)


@pages.post("/corrections")
def keep() -> Response:
    """Keeps the crop of a face under the label that the person names. A script gets JSON, and stays on its page.

    Its name says what is in it: the same crop is kept once, however often it is sent, under the label named last.
    """
    inbox, labels, label = service().paths.inbox, service().pool.model.labels, request.form.get("label", "")
    if label not in labels:
        raise ConfigError(f"There is no label {label[:120]!r}.", hint=did_you_mean(label, labels))
    crop = _crop(request.form.get("crop", ""))
    path = data_detail.keep(inbox, label, f"{hashlib.sha256(crop).hexdigest()[:32]}.png", crop)
    where = {"label": label, "name": path.name}
    if wants_json():
        return jsonify(where | {"delete": url_for("corrections.delete", **where)})
    flash(f"Kept as “{label}”: only this picture, small and in gray, until somebody deletes it here.")
    return redirect(url_for("corrections.page"))


@pages.get("/corrections/<label>/<name>")
def picture(label: str, name: str) -> Response:
    """One picture that is kept."""
    return send_file(_find(label, name).resolve())


@pages.post("/corrections/<label>/<name>/delete")
def delete(label: str, name: str) -> Response:
    """Deletes a picture."""
    _find(label, name).unlink(missing_ok=True)
    if wants_json():
        return jsonify(label=label, name=name)
    flash("The picture is deleted.")
    return redirect(url_for("corrections.page"))


def _crop(signed: str) -> bytes:
    try:
        return base64.b64decode(service().signer.unsign(signed, max_age=SIGNED_HOURS * 3600))
    except BadSignature:
        hint = "Upload the picture again: after a restart of the server, too."
        raise ConfigError("This face was not cut out by this server, or too long ago.", hint=hint) from None


def _find(label: str, name: str) -> Path:
    """Returns a picture of the inbox. Raises NotFoundError: neither label nor name becomes a path unchecked."""
    path = service().paths.inbox / label / name
    if not data_detail.LABEL.fullmatch(label) or not _is_ours(path):
        hint = "The page of the kept faces lists them."
        raise NotFoundError(f"There is no picture {name[:60]!r} under {label[:120]!r}.", hint=hint)
    return path


def _is_ours(path: Path) -> bool:
    return bool(data_detail.LABEL.fullmatch(path.parent.name) and _NAME.fullmatch(path.name)) and path.is_file()


def _picture(path: Path) -> dict[str, Any]:
    kept = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return {"label": path.parent.name, "name": path.name, "kept_utc": kept.isoformat()}

"""The page of the model in use: what it is, what it is not for, and which others could take its place."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from fer_core.errors import ArtifactError
from fer_core.store import promotion
from fer_core.store.promotion import Pointer
from fer_core.store.runs import open_run
from fer_core.web.looks.model_card import model_card
from fer_core.web.looks.run_list import SHIPPED
from fer_core.web.service import service

pages = Blueprint("model", __name__)


@pages.get("/model")
def page() -> str:
    """The model in use and the ones before."""
    held = service()
    pointer = promotion.current(held.places)
    lines = held.runs.lines()
    before = _before(pointer)
    return render_template(
        "model.html",
        card=model_card(held.readers.model),
        pointer=pointer,
        before=[line for run_id in before for line in lines if line.id == run_id],
        candidates=[line for line in lines if _can_be_promoted(line)],
        fixed=held.settings.model,
        detector=held.readers.detector_name,
    )


@pages.post("/model/promote")
def promote() -> Response:
    """Puts a finished run into use."""
    held = service()
    result = promotion.promote(held.places, open_run(held.places, request.form.get("run", "")), clock=held.clock)
    if not result.promoted:
        raise ArtifactError(result.sentence, hint="Train on photographs first.")
    held.readers.look()
    flash(f"{result.sentence} The button below goes back to the one before.")
    return redirect(url_for("model.page"))


@pages.post("/model/rollback")
def rollback() -> Response:
    """Puts the model before into use again."""
    held = service()
    pointer = promotion.rollback(held.places, clock=held.clock)
    held.readers.look()
    flash(f"Run {pointer.run} is the model in use again.")
    return redirect(url_for("model.page"))


def _before(pointer: Pointer | None) -> tuple[str, ...]:
    return pointer.previous if pointer else ()


def _can_be_promoted(line) -> bool:
    return line.status == "SUCCEEDED" and not line.is_in_use and line.id != SHIPPED

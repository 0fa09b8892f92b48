"""The page of the model in use: what it is, what it is not for, and which others could take its place."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from fer_core.errors import ArtifactError
from fer_core.store import promotion
from fer_core.store.promotion import Step
from fer_core.store.runs import open_run
from fer_core.web.looks.model_card import model_card
from fer_core.web.looks.run_list import SHIPPED, is_shipped, page_id
from fer_core.web.service import service

pages = Blueprint("model", __name__)


@pages.get("/model")
def page() -> str:
    """The model in use and the ones before."""
    held = service()
    pointer, step = promotion.current(held.places), promotion.step_back(held.places)
    lines = {line.id: line for line in held.runs.lines()}
    card = model_card(held.readers.model)
    return render_template(
        "model.html",
        card=card,
        since=pointer.promoted_utc if pointer and pointer.run == card["name"] else None,
        step=step,
        back=lines.get(page_id(step.end)) if step else None,
        before=[lines[run_id] for run_id in (*pointer.previous, SHIPPED) if run_id in lines] if pointer else [],
        candidates=[line for line in lines.values() if _can_be_promoted(line)],
        cost=held.readers.cost,
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
    back = " The button below goes back to the one before." if promotion.step_back(held.places) else ""
    flash(result.sentence + back)
    return redirect(url_for("model.page"))


@pages.post("/model/rollback")
def rollback() -> Response:
    """Puts the model before into use again, if it is still the step that the page showed."""
    held = service()
    wanted = Step(request.form.get("from", "")[:120], request.form.get("to", "")[:120])
    pointer = promotion.rollback(held.places, wanted=wanted, clock=held.clock)
    held.readers.look()
    flash(f"{f'Run {pointer.run}' if pointer else 'The model of the project itself'} is the model in use again.")
    return redirect(url_for("model.page"))


def _can_be_promoted(line) -> bool:
    return line.status == "SUCCEEDED" and not line.is_in_use and not is_shipped(line.id)

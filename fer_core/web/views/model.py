"""The page of the model in use: what it is, what it is not for, and which others could take its place.

/healthz says that one is loaded, /metrics what it does.
"""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from prometheus_client import CONTENT_TYPE_LATEST

from fer_core.errors import ArtifactError
from fer_core.store import promotion
from fer_core.store.promotion import Step
from fer_core.store.runs import open_run
from fer_core.web.answers import HealthAnswer, RunAnswer
from fer_core.web.openapi import describes
from fer_core.web.run_detail import model_card, scored_on
from fer_core.web.run_list import SHIPPED, find_run, page_id, run_line
from fer_core.web.service import service

pages = Blueprint("model", __name__)
api = Blueprint("answers", __name__)


@api.get("/healthz")
@describes(HealthAnswer, is_open=True)
def healthz() -> dict[str, str]:
    """Whether the server answers; it does so only once a model is loaded."""
    return {"status": "ok"}


@api.get("/metrics")
@describes(None)
def metrics() -> Response:
    """Figures for Prometheus."""
    return Response(service().figures.text(service().pool), content_type=CONTENT_TYPE_LATEST)


@pages.get("/model")
def page() -> str:
    """The model in use and the ones before."""
    held = service()
    pointer, step = promotion.current(held.paths), promotion.step_back(held.paths)
    lines = {line.id: line for line in held.runs.lines()}
    card = model_card(held.pool.model)
    return render_template(
        "model.html",
        card=card,
        since=pointer.promoted_utc if pointer and pointer.run == card["name"] else None,
        step=step,
        back=lines.get(page_id(step.end)) if step else None,
        before=[lines[run_id] for run_id in (*pointer.previous, SHIPPED) if run_id in lines] if pointer else [],
        candidates=[line for line in lines.values() if _can_be_promoted(line)],
        cost=held.pool.generation.cost,
        fixed=held.settings.model,
        detector=held.pool.generation.detector_name,
    )


@pages.get("/model/promote")
def confirm_promotion() -> str:
    """The model in use beside the one that could take its place: nothing is changed before both were seen."""
    run_id = request.args.get("run", "")
    line = run_line(open_run(service().paths, run_id))
    return _confirmation(line, url_for("model.promote"), {"run": run_id}, verb="Promote")


@pages.get("/model/rollback")
def confirm_rollback() -> str:
    """The model in use beside the one before it."""
    paths = service().paths
    step = promotion.step_back(paths)
    if step is None:
        raise ArtifactError("There is no model to roll back to.", hint="The page of the model lists those before it.")
    line = run_line(find_run(paths, page_id(step.end)))
    return _confirmation(line, url_for("model.rollback"), {"from": step.start, "to": step.end}, verb="Roll back to")


def _confirmation(line: RunAnswer, action: str, fields: dict[str, str], *, verb: str) -> str:
    current = next((one for one in service().runs.lines() if one.is_in_use), None)
    titles = {"In use now": current, "Would be in use": line}
    both = [(title, one, scored_on(one) if one else "") for title, one in titles.items()]
    images = {on for _, _, on in both}
    known = {"both": both, "line": line, "current": current, "is_measure": len(images) == 1 and "" not in images}
    return render_template("promote.html", action=action, fields=fields, verb=verb, **known)


@pages.post("/model/promote")
def promote() -> Response:
    """Puts a finished run into use."""
    held = service()
    result = promotion.promote(held.paths, open_run(held.paths, request.form.get("run", "")), clock=held.clock)
    if not result.promoted:
        raise ArtifactError(result.sentence, hint="Train on photographs first.")
    held.pool.look()
    back = " The button below goes back to the one before." if promotion.step_back(held.paths) else ""
    flash(result.sentence + back)
    return redirect(url_for("model.page"))


@pages.post("/model/rollback")
def rollback() -> Response:
    """Puts the model before into use again, if it is still the step that the page showed."""
    held = service()
    wanted = Step(request.form.get("from", "")[:120], request.form.get("to", "")[:120])
    pointer = promotion.rollback(held.paths, wanted=wanted, clock=held.clock)
    held.pool.look()
    flash(f"{f'Run {pointer.run}' if pointer else 'The model of the project itself'} is the model in use again.")
    return redirect(url_for("model.page"))


def _can_be_promoted(line: RunAnswer) -> bool:
    """Trials are no candidates: what a search chose of them is confirmed on its own page."""
    is_finished = line.status == "SUCCEEDED" and line.kind != "trial"
    return is_finished and not line.is_in_use and not line.id.startswith("shipped-")

"""The pages of the jobs: what waits, runs and has ended, one of them, and the forms that start new ones."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from fer_core.errors import FerError
from fer_core.job.arguments import validate
from fer_core.job.job import find_job
from fer_core.job.lifecycle import cancel_job
from fer_core.store.files import plain
from fer_core.web.broker import HOW_TO_START, resumed, submitted
from fer_core.web.forms import FORMS, MissingDataError, arguments_of, check_data, job_form
from fer_core.web.problems import status_of
from fer_core.web.queries.job_detail import job_detail, job_lines
from fer_core.web.queries.search_detail import search_lines
from fer_core.web.service import service

pages = Blueprint("jobs", __name__)


@pages.get("/jobs")
def page() -> str:
    """All jobs. Who works on them is asked for by the page's script: it takes a second."""
    return render_template(
        "jobs.html",
        jobs=plain(job_lines(service().paths, service().clock)),
        searches=search_lines(service().paths),
        forms=FORMS,
        how_to_start=HOW_TO_START,
    )


@pages.get("/jobs/<name>")
def one(name: str) -> str:
    """One job."""
    detail = job_detail(service().paths, name, service().clock)
    return render_template("job.html", job=plain(detail), how_to_start=HOW_TO_START)


@pages.get("/jobs/new/<task>")
def new(task: str) -> str:
    """The form of a task. `?recipe=` and `?network=` say with which settings it begins."""
    return render_template(
        "job_form.html", form=job_form(task, request.args, service().environ), sent=None, problem=None
    )


@pages.post("/jobs/new/<task>")
def send(task: str) -> Response | tuple[str, int]:
    """Sends the job, or shows the form again with what is wrong."""
    form = job_form(task, request.form, service().environ)
    try:
        arguments = arguments_of(form, request.form)
        validate(task, arguments)
        if "unchecked" not in request.form:
            check_data(arguments)
        job = submitted(task, arguments)
    except FerError as error:
        may_be_elsewhere = isinstance(error, MissingDataError)
        known = {"form": form, "sent": request.form, "problem": error, "may_be_elsewhere": may_be_elsewhere}
        return render_template("job_form.html", **known), status_of(error)
    if job.has_message:
        flash(f"Sent: {job.id} waits in the queue {job.queue}.")
    return redirect(url_for("jobs.one", name=job.id))


@pages.get("/jobs/<name>/cancel")
def confirm_cancel(name: str) -> str:
    """Asks whether a job is to end, and says what becomes of it."""
    return render_template("cancel.html", job=plain(job_detail(service().paths, name, service().clock)))


@pages.post("/jobs/<name>/cancel")
def cancel(name: str) -> Response:
    """Asks a job to end."""
    job = find_job(service().paths, name)
    cancel_job(job)
    flash("It is cancelled." if job.status == "CANCELLED" else "It was asked to end; that takes some seconds.")
    return redirect(url_for("jobs.one", name=job.id))


@pages.post("/jobs/<name>/resume")
def resume(name: str) -> Response:
    """Goes on with a job that failed, was cancelled or ran out of time."""
    job = resumed(name)
    if job.has_message:
        flash(f"It goes on, in the queue {job.queue}.")
    return redirect(url_for("jobs.one", name=job.id))

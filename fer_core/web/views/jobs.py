"""Jobs: what waits, runs and has ended, and the forms that start new ones. Pages, and JSON under /api/v1."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from fer_core.errors import FerError
from fer_core.job.arguments import validate
from fer_core.job.job import Job
from fer_core.web.answers import JobDetailAnswer, JobRequest, JobsAnswer, WorkersAnswer
from fer_core.web.data_choice import MissingDataError, check_data
from fer_core.web.forms import FORMS, JobForm, arguments_of, job_form
from fer_core.web.job_detail import HOW_TO_START, study_files
from fer_core.web.openapi import describes, json_content
from fer_core.web.problems import status_of
from fer_core.web.run_list import find_run
from fer_core.web.safety import REPORT_POLICY
from fer_core.web.service import service
from fer_core.web.uploads import json_body
from fer_core.web.views import sent

pages = Blueprint("jobs", __name__)
api = Blueprint("jobs_api", __name__, url_prefix="/api/v1")
_CHANGE = {"body": json_content(None), "status": 202, "problems": (400, 403, 404, 413, 415)}


@api.get("/jobs")
@describes(JobsAnswer)
def jobs() -> dict[str, list]:
    """The jobs: those that are open first, then those that ended last."""
    return {"jobs": service().jobs.lines()}


@api.post("/jobs", endpoint="new")
@describes(JobDetailAnswer, body=JobRequest, status=201, problems=(400, 403, 413, 415))
def new_job() -> dict[str, Any]:
    """Sends a job. Where the broker is away it is written down, and `waits_for_broker`."""
    body = json_body(JobRequest)
    return service().jobs.detail(_new(body.task, body.arguments, unchecked=body.unchecked).id)


@api.get("/jobs/<name>")
@describes(JobDetailAnswer, problems=(400, 404))
def job(name: str) -> dict[str, Any]:
    """One job, by its id or that of its run or search."""
    return service().jobs.detail(name)


@api.post("/jobs/<name>/cancel", endpoint="cancel")
@describes(JobDetailAnswer, **_CHANGE)
def cancel_by_api(name: str) -> dict[str, Any]:
    """Asks a job to end."""
    return service().jobs.detail(service().jobs.cancel(name).id)


@api.post("/jobs/<name>/resume", endpoint="resume")
@describes(JobDetailAnswer, **_CHANGE)
def resume_by_api(name: str) -> dict[str, Any]:
    """Goes on with a job that failed, was cancelled or ran out of time."""
    return service().jobs.detail(service().jobs.resume(name).id)


@api.get("/workers")
@describes(WorkersAnswer)
def workers() -> dict[str, Any]:
    """Whether the broker answers, and who takes jobs from which queue. Takes up to two seconds; holds for two more."""
    return service().jobs.broker_state.get()


@pages.get("/jobs")
def page() -> str:
    """All jobs. Who works on them is asked for by the page's script: it takes a second."""
    known = {"jobs": service().jobs.lines(), "searches": service().jobs.searches()}
    return render_template("jobs.html", forms=FORMS, how_to_start=HOW_TO_START, **known)


@pages.get("/jobs/<name>")
def one(name: str) -> str:
    """One job."""
    return render_template("job.html", job=service().jobs.detail(name), how_to_start=HOW_TO_START)


@pages.get("/jobs/<name>/files/<path:file>")
def file(name: str, file: str) -> Response:
    """A table or the report of a study: the report to be read, in a policy of its own; all else to be saved."""
    job = service().jobs.find(name)
    is_report = file == "report.html" and "save" not in request.args
    saved_as = "" if is_report else f"{job.id}_{file.replace('/', '_')}"
    response = sent(study_files(job), file, f"Job {name}", saved_as=saved_as)
    if is_report:
        response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


@pages.get("/jobs/new/<task>")
def new(task: str) -> str:
    """The form of a task. `?recipe=`, `?network=` and `?like=` (a run) say with which settings it begins."""
    return render_template("job_form.html", form=_form(task, request.args), sent=None, problem=None)


@pages.post("/jobs/new/<task>")
def send(task: str) -> Response | tuple[str, int]:
    """Sends the job, or shows the form again with what is wrong."""
    form = _form(task, request.form)
    try:
        job = _new(task, arguments_of(form, request.form), unchecked="unchecked" in request.form)
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
    return render_template("cancel.html", job=service().jobs.detail(name))


@pages.post("/jobs/<name>/cancel")
def cancel(name: str) -> Response:
    """Asks a job to end."""
    job = service().jobs.cancel(name)
    flash("It is cancelled." if job.status == "CANCELLED" else "It was asked to end; that takes some seconds.")
    return redirect(url_for("jobs.one", name=job.id))


@pages.post("/jobs/<name>/resume")
def resume(name: str) -> Response:
    """Goes on with a job that failed, was cancelled or ran out of time."""
    job = service().jobs.resume(name)
    if job.has_message:
        flash(f"It goes on, in the queue {job.queue}.")
    return redirect(url_for("jobs.one", name=job.id))


def _form(task: str, chosen: Mapping[str, str]) -> JobForm:
    like = request.args.get("like")
    manifest = find_run(service().paths, like).manifest if like else None
    return job_form(task, request.args if manifest else chosen, service().environ, like=manifest)


def _new(task: str, arguments: dict, *, unchecked: bool) -> Job:
    validate(task, arguments)
    check_data(arguments, service().settings.data_folder, unchecked=unchecked)
    return service().jobs.submit(task, arguments)

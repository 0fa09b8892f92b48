"""/api/v1/jobs: all jobs, one of them, a new one, its end; /api/v1/workers: who carries them out."""

from flask import Blueprint, Response, jsonify, make_response

from fer_core.job.job import find_job
from fer_core.job.lifecycle import cancel_job
from fer_core.store.files import plain
from fer_core.web.api.answers import JobRequest
from fer_core.web.api.checks import body_as, changes
from fer_core.web.broker import resumed, submitted
from fer_core.web.queries.job_detail import job_detail, job_lines
from fer_core.web.service import service

api = Blueprint("jobs_api", __name__, url_prefix="/api/v1")


@api.get("/jobs")
def jobs() -> Response:
    """The jobs: those that are open first, then those that ended last."""
    return jsonify(jobs=plain(job_lines(service().paths, service().clock)))


@api.post("/jobs")
@changes
def new() -> Response:
    """Sends a job. Where the broker is away it is written down, and `waits_for_broker`."""
    wanted = body_as(JobRequest)
    return _told(submitted(wanted.task, wanted.arguments).id, 201)


@api.get("/jobs/<name>")
def job(name: str) -> Response:
    """One job, by its id or that of its run or search."""
    return _told(name, 200)


@api.post("/jobs/<name>/cancel")
@changes
def cancel(name: str) -> Response:
    """Asks a job to end."""
    job = find_job(service().paths, name)
    cancel_job(job)
    return _told(job.id, 202)


@api.post("/jobs/<name>/resume")
@changes
def resume(name: str) -> Response:
    """Goes on with a job that failed, was cancelled or ran out of time."""
    return _told(resumed(name).id, 202)


@api.get("/workers")
def workers() -> Response:
    """Whether the broker answers, and who takes jobs from which queue. Takes up to two seconds; holds for two more."""
    return jsonify(service().broker_state.get())


def _told(name: str, status: int) -> Response:
    return make_response(jsonify(plain(job_detail(service().paths, name, service().clock))), status)

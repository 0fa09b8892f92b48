"""Uploads that are sent in pieces: videos, zips, many pictures. How they come in, their page, and its downloads."""

import mimetypes
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for
from markupsafe import escape

from fer_core.errors import ConfigError, NotFoundError
from fer_core.study.study import find_study
from fer_core.web import answers
from fer_core.web.batch import KEPT, Batch, folder_of, no_batch, safe_name
from fer_core.web.batch_results import MOST_ROWS, readings_csv, readings_json, result_of, timeline
from fer_core.web.batches import made_of
from fer_core.web.openapi import describes, json_content
from fer_core.web.problems import answer
from fer_core.web.run_detail import lies_in
from fer_core.web.safety import BYTES, REPORT_POLICY
from fer_core.web.service import service
from fer_core.web.uploads import json_body, query_fields
from fer_core.web.views.faces import meanings, shown

pages = Blueprint("batches", __name__, url_prefix="/uploads")
api = Blueprint("batches_api", __name__, url_prefix="/api/v1/uploads")
_PIECE = {BYTES: {"schema": {"type": "string", "format": "binary"}}}
_REFUSED = (400, 403, 404, 409, 413, 415, 507)


@api.post("")
@describes(answers.NewBatchAnswer, body=answers.BatchRequest, status=201, problems=(400, 403, 413, 415, 507))
def new() -> dict[str, Any]:
    """Says which files are to be sent, and gets the address that they are sent to. Who has that sees the result."""
    body = json_body(answers.BatchRequest)
    token = service().batches.create(body.files, keep=body.keep, faces=body.faces)
    where = {"upload": token, "page": url_for("batches.one", token=token)}
    return where | service().batches.state(_find(token))


@api.get("/<token>")
@describes(answers.BatchAnswer, problems=(404,))
def state(token: str) -> dict[str, Any]:
    """How much of an upload is here, or how far it is read."""
    return service().batches.state(_find(token))


@api.put("/<token>/<number>")
@describes(answers.PieceAnswer, query=answers.PieceQuery, body=_PIECE, problems=_REFUSED)
def put(token: str, number: str) -> dict[str, int]:
    """Adds a piece to a file, by its number, from 0 on: of at most `piece_bytes`, where the one before ended."""
    offset, batch = query_fields(answers.PieceQuery).offset, _find(token)
    service().batches.put(
        batch, int(number) if len(number) < 6 and number.isdecimal() else -1, offset, request.get_data()
    )
    return {"there": offset + len(request.get_data())}


@api.post("/<token>/start")
@describes(answers.BatchAnswer, body=json_content(None), problems=_REFUSED)
def start(token: str) -> dict[str, Any]:
    """Has an upload read whose files are all here."""
    return service().batches.state(service().batches.start(_find(token)))


@api.post("/<token>/annotated")
@describes(answers.AnnotateAnswer, body=answers.AnnotateRequest, problems=_REFUSED)
def annotate(token: str) -> dict[str, Any]:
    """Has the pictures, or a video, drawn with what was read, and says whether they are: ask again until they are."""
    what, batch = json_body(answers.AnnotateRequest).what, _read(token)
    if what != "pictures":
        _name(batch, what, "video")
    work = service().batches.draw(batch, what)
    return {"is_made": work is None, "problem": work.problem if work else ""}


@api.delete("/<token>")
@describes(answers.BatchAnswer, problems=(403, 404))
def delete_by_api(token: str) -> dict[str, Any]:
    """Deletes an upload and all that was made of it."""
    batch = _find(token)
    before = service().batches.state(batch)
    service().batches.delete(batch)
    return before | {"status": "deleted"}


@pages.get("/<token>")
def one(token: str) -> str:
    """An upload: how far it is, or its result. `?video=` is the number of the one that is shown."""
    batch = _find(token)
    about = {"token": token, "batch": batch, "name": safe_name(batch.about.files[0].name)}
    about |= {"state": service().batches.state(batch), "kept": tuple(KEPT), "most_rows": MOST_ROWS}
    if about["state"]["status"] != "done":
        return render_template("batch.html", **about)
    result = result_of(batch)
    video = next((row for row in result["videos"] if str(row["number"]) == request.args.get("video")), None)
    video = video or max(result["videos"], key=lambda row: row["people"] > 0, default=None)
    lanes = timeline(find_study(batch.study_folder), video) if video else None
    made = made_of(batch)
    return render_template("batch.html", **about, result=result, video=video, lanes=lanes, made=made)


@pages.post("/<token>/keep")
def keep(token: str) -> Response:
    """Keeps an upload for another time."""
    how_long = request.form.get("keep")
    if how_long not in KEPT:
        raise ConfigError("It is not said for how long.", hint=f"One of: {', '.join(KEPT)}.")
    service().batches.keep(_find(token), how_long)
    return redirect(url_for("batches.one", token=token))


@pages.post("/<token>/delete")
def delete(token: str) -> Response:
    """Deletes an upload and all that was made of it."""
    service().batches.delete(_find(token))
    flash("The upload and its result are deleted.")
    return redirect(url_for("upload.index"))


@pages.get("/<token>/readings.<kind>")
def readings(token: str, kind: str) -> Response:
    """All readings, as csv or json."""
    batch = _read(token)
    if kind not in ("csv", "json"):
        raise NotFoundError(f"Readings are not there as {kind[:20]!r}.", hint="As csv, and as json.")
    rows, kinds = (readings_csv, "text/csv") if kind == "csv" else (readings_json, "application/json")
    headers = {"Content-Disposition": f"attachment; filename=readings.{kind}"}
    return Response(rows(batch), mimetype=kinds, headers=headers)


@pages.get("/<token>/report.html")
def report(token: str) -> Response:
    """The report of the study, in a policy of its own."""
    batch = _read(token)
    text = (batch.study_folder / "report.html").read_text(encoding="utf-8")
    response = Response(text.replace(escape(str(batch.source)), "an upload"), mimetype="text/html")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


@pages.get("/<token>/files/<int:number>")
def file(token: str, number: int) -> Response:
    """A video as it was sent, for the player."""
    batch = _read(token)
    return _sent(batch.source, batch.source / _name(batch, str(number), "video"))


@pages.get("/<token>/annotated/<name>")
def annotated(token: str, name: str) -> Response:
    """Pictures or a video with what was read."""
    batch = _read(token)
    return _sent(batch.annotated, batch.annotated / name, save="save" in request.args)


@pages.get("/<token>/pictures/<int:number>")
def picture(token: str, number: int) -> str:
    """One picture step by step, as the page for a few pictures shows it."""
    batch = _read(token)
    name = _name(batch, str(number), "picture")
    if not lies_in(batch.source, batch.source / name):
        raise _no_file()
    with service().pool.lent() as lent:
        pictures = [shown((batch.source / name).read_bytes(), batch.about.faces, lent) | {"name": name}]
    back = url_for("batches.one", token=token)
    return render_template("results.html", pictures=pictures, back=back, **meanings(lent.model.labels))


@api.errorhandler(FileNotFoundError)
@pages.errorhandler(FileNotFoundError)
def _deleted_meanwhile(error: FileNotFoundError) -> Response:
    """Answers who asked while the upload was deleted. Of one that is there, a file that is missing is a bug."""
    token = (request.view_args or {}).get("token")
    if token is None or (folder_of(service().paths, token) / "batch.json").exists():
        raise error
    problem = no_batch()
    return answer(str(problem), problem.hint, 404)


def _find(token: str) -> Batch:
    return service().batches.find(token)


def _read(token: str) -> Batch:
    """Returns a batch that is read. Raises NotFoundError for another one."""
    batch = _find(token)
    if not batch.about.is_read:
        raise NotFoundError("The upload is not read yet.", hint="Its page says how far it is.")
    return batch


def _name(batch: Batch, number: str, kind: str) -> str:
    """Returns the name of a file that was read. Raises NotFoundError for another one."""
    files = find_study(batch.study_folder).files()
    files = files[(files["kind"] == kind) & (files["status"] == "read")]
    name = files["file"].get(int(number))
    if name is None:
        raise _no_file()
    return name


def _no_file() -> NotFoundError:
    return NotFoundError("The upload has no such file.", hint="Its page lists those that it has.")


def _sent(folder: Path, path: Path, *, save: bool = False) -> Response:
    """Returns a file of a batch, or the part of it that a player asks for; what is no video is to be saved."""
    if not lies_in(folder, path):
        raise _no_file()
    kind = mimetypes.guess_type(path.name)[0] or BYTES
    is_shown = kind.startswith("video/") and not save
    return send_file(path.resolve(), mimetype=kind, as_attachment=not is_shown, download_name=path.name)

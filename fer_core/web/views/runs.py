"""Trainings and searches: lists, one of them, several side by side, and their files. Pages, and JSON under /api/v1."""

import io
import logging
import subprocess
import threading
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for

from fer_core.errors import ConfigError, did_you_mean
from fer_core.paths import run_name
from fer_core.store.export import can_export
from fer_core.store.files import read_json
from fer_core.store.inspection import run_child
from fer_core.store.run import Run, notes_of, save_notes
from fer_core.store.runs import open_run
from fer_core.training.history import csv_text
from fer_core.tuning.state import Search, open_search
from fer_core.web import answers, run_detail, run_list
from fer_core.web.openapi import describes
from fer_core.web.problems import RequestError
from fer_core.web.run_list import RunsQuery, find_history, find_run, id_of, is_open
from fer_core.web.service import service
from fer_core.web.uploads import query_fields
from fer_core.web.views import sent

OFFERED = {"onnx": "model.onnx", "tflite": "model.tflite", "int8": "model_int8.tflite"}
"""The forms of a model that are written here. A SavedModel is a folder: the command line writes it."""
_LONGEST_SECONDS = 600
EXPORTING = threading.Lock()
"""Each export takes TensorFlow and all cores for some seconds."""

log = logging.getLogger(__name__)
pages = Blueprint("runs", __name__)
searches = Blueprint("searches", __name__)
api = Blueprint("runs_api", __name__, url_prefix="/api/v1")


@api.get("/runs")
@describes(answers.RunsAnswer, query=answers.OpenQuery, problems=(400,))
def runs() -> dict[str, list]:
    """All trainings, the newest first."""
    only_open = query_fields(answers.OpenQuery).open == "yes"
    return {"runs": [vars(line) for line in service().runs.lines() if is_open(line) or not only_open]}


@api.get("/runs/<run_id>")
@describes(answers.RunDetailAnswer, problems=(400, 404))
def run(run_id: str) -> dict[str, Any]:
    """One training, with its epochs so far."""
    return run_detail.detail(find_run(service().paths, run_id))


@api.get("/searches/<search_id>")
@describes(answers.SearchAnswer, problems=(400, 404))
def search(search_id: str) -> dict[str, Any]:
    """One search, with its trials so far."""
    return service().jobs.search(search_id)


@api.get("/searches/<search_id>/settings")
@describes(answers.SearchSettingsAnswer, query=answers.SurfaceQuery, problems=(400, 404))
def search_settings(search_id: str) -> dict[str, Any]:
    """Which settings of a search mattered, by its trials so far. The first answer takes some seconds."""
    query = query_fields(answers.SurfaceQuery)
    return service().jobs.settings(search_id, query.x, query.y)


@pages.get("/runs")
def page() -> str:
    """The trainings that the address asks for, a page of them."""
    query, lines = RunsQuery.of(request.args), service().runs.lines()
    wanted = query.of_lines(lines)
    histories = query.of_histories(service().runs.lone_histories(lines))
    count, start = len(wanted) + len(histories), (query.page - 1) * run_list.PAGE
    return render_template(
        "runs.html",
        query=query,
        runs=wanted[start : start + run_list.PAGE],
        histories=histories[max(0, start - len(wanted)) : max(0, start + run_list.PAGE - len(wanted))],
        count=count,
        pages=max(1, -(-count // run_list.PAGE)),
        open=[line for line in lines if is_open(line)],
        archived=sum(line.is_archived for line in lines),
        choices=run_list.choices(lines),
        columns=run_list.COLUMNS,
        sorts=run_list.SORTS,
        titles=run_list.TITLES,
        value_of=run_list.value_of,
        most_compared=run_detail.MOST_COMPARED,
    )


@pages.get("/runs.csv")
def list_csv() -> Response:
    """The same list, all pages of it, to be saved."""
    return _csv(run_list.runs_csv(RunsQuery.of(request.args).of_lines(service().runs.lines())), "runs.csv")


@pages.get("/runs/<run_id>")
def one(run_id: str) -> str:
    """One training."""
    run = find_run(service().paths, run_id)
    known = run_detail.detail(run)
    has_data = service().data.knows(known["run"]["data_set"])
    about = {"exports": _exports(run), "forms": OFFERED if can_export() else (), "has_data": has_data}
    return render_template("run.html", detail=known, log=run_detail.log_tail(run.log_txt), **about)


@pages.post("/runs/<run_id>/notes")
def notes(run_id: str) -> Response:
    """Keeps what somebody says about a run; a field that was not sent stays as it is."""
    run = open_run(service().paths, run_id)
    before, form = notes_of(run), request.form
    saved = save_notes(
        run,
        name=form.get("name", before.name),
        tags=form["tags"].split(",") if "tags" in form else before.tags,
        notes=form.get("notes", before.notes),
        archived=form.get("archived", "yes" if before.archived else "") == "yes",
    )
    hidden = "It is archived: lists leave it out, unless they are asked for archived runs. Nothing was deleted."
    shown = "It is in the lists again." if before.archived else "Saved."
    flash(hidden if saved.archived and not before.archived else shown if not saved.archived else "Saved.")
    return redirect(url_for("runs.one", run_id=run_id))


@pages.post("/runs/<run_id>/exports")
def export(run_id: str) -> Response:
    """Writes the run's model in a form for other programs."""
    flash(_write_export(find_run(service().paths, run_id), request.form.get("form", "")))
    return redirect(url_for("runs.one", run_id=run_id))


@pages.get("/runs/<run_id>/<any(files, exports, plots):kind>/<name>")
def file(run_id: str, kind: str, name: str) -> Response:
    """One of a run's files or exports, to be saved; or one of its pictures."""
    run = find_run(service().paths, run_id)
    found = _exports(run) if kind == "exports" else getattr(run_detail, kind)(run)
    return sent(found, name, f"Run {run_id}", saved_as="" if kind == "plots" else f"{id_of(run)}_{name}")


@pages.get("/histories/<name>")
def history(name: str) -> str:
    """A history CSV that no run here wrote."""
    found = find_history(service().paths, name)
    return render_template("history.html", history=found, epochs=[dict(row) for row in found.rows])


@pages.get("/histories/<name>/csv")
def history_csv(name: str) -> Response:
    """The same with our columns, to be saved."""
    found = find_history(service().paths, name)
    return _csv(csv_text(found.rows), found.path.name)


@pages.get("/compare")
def compare() -> str:
    """Several trainings side by side. `?paired=yes` asks the models about the same images too."""
    names, is_paired = request.args.getlist("run"), bool(request.args.get("paired"))
    return render_template("compare.html", **run_detail.comparison(service().paths, names, image_by_image=is_paired))


@searches.get("/searches/<search_id>", endpoint="one")
def one_search(search_id: str) -> str:
    """One search."""
    files = _files_of_search(open_search(service().paths, search_id))
    return render_template("search.html", detail=service().jobs.search(search_id), files=list(files))


@searches.get("/searches/<search_id>/files/<name>", endpoint="file")
def file_of_search(search_id: str, name: str) -> Response:
    """One of a search's files, to be saved."""
    files = _files_of_search(open_search(service().paths, search_id))
    return sent(files, name, f"Search {search_id}", saved_as=f"{search_id}_{name}")


def _csv(text: str, saved_as: str) -> Response:
    return send_file(io.BytesIO(text.encode()), mimetype="text/csv", as_attachment=True, download_name=saved_as)


def _files_of_search(search: Search) -> dict[str, Path]:
    return {path.name: path for path in (search.trials_csv, search.best_toml) if path.is_file()}


def _exports(run: Run) -> dict[str, Path]:
    """Returns the files that were exported of a run, by their names."""
    folder = _export_folder(run)
    return {name: folder / name for name in (*OFFERED.values(), "export.json") if (folder / name).is_file()}


def _write_export(run: Run, name: str) -> str:
    """Writes one form of a finished run, and returns a sentence on how it compares with Keras.

    Raises ConfigError for a form that there is not, ArtifactError, and RequestError where another one is being written.
    """
    if name not in OFFERED:
        raise ConfigError(f"There is no form {name[:60]!r}.", hint=did_you_mean(name, OFFERED))
    if not EXPORTING.acquire(blocking=False):
        raise RequestError(503, "Another export is being written.", hint="Try again in a minute.")
    paths = service().paths
    try:
        arguments = (run.folder.absolute(), name, paths.models.absolute(), paths.history.absolute())
        child = run_child("fer_core.cli.exporting", *arguments, timeout_seconds=_LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        raise RequestError(503, f"It took longer than {_LONGEST_SECONDS} s.", hint="Try it in a terminal.") from None
    finally:
        EXPORTING.release()
    if child.returncode:
        log.error("The export of %s failed: %s", run.id, child.stderr)
        raise RequestError(500, "The export failed.", hint="The server's output says why.")
    file = read_json(_export_folder(run) / "export.json", "export")["files"][0]
    return f"{file['path']} is written: it differs from Keras by at most {file['largest_difference']:.1g}."


def _export_folder(run: Run) -> Path:
    return service().paths.models / "exports" / run_name(run.folder).removeprefix("shipped/")

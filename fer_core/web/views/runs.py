"""Trainings and searches: lists, one of them, several side by side, and their files. Pages, and JSON under /api/v1."""

import csv
import io
from pathlib import Path

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, send_file, url_for

from fer_core.errors import NotFoundError
from fer_core.store.export import can_export
from fer_core.store.files import plain
from fer_core.store.run import notes_of, save_notes
from fer_core.store.runs import open_run
from fer_core.training.history import HISTORY_COLUMNS
from fer_core.tuning.state import Search, open_search
from fer_core.web import run_detail
from fer_core.web.answers import (
    OpenQuery,
    RunDetailAnswer,
    RunsAnswer,
    SearchAnswer,
    SearchSettingsAnswer,
    SurfaceQuery,
)
from fer_core.web.exports import OFFERED, exports, write_export
from fer_core.web.openapi import describes
from fer_core.web.run_list import find_history, find_run, id_of, is_open
from fer_core.web.run_query import COLUMNS, PAGE, SORTS, TITLES, RunsQuery, choices, runs_csv, value_of
from fer_core.web.service import service
from fer_core.web.uploads import query_fields

pages = Blueprint("runs", __name__)
searches = Blueprint("searches", __name__)
api = Blueprint("runs_api", __name__, url_prefix="/api/v1")


@api.get("/runs")
@describes(RunsAnswer, query=OpenQuery, problems=(400,))
def runs() -> Response:
    """All trainings, the newest first."""
    only_open = query_fields(OpenQuery).open == "yes"
    return jsonify(runs=[plain(vars(line)) for line in service().runs.lines() if is_open(line) or not only_open])


@api.get("/runs/<run_id>")
@describes(RunDetailAnswer, problems=(400, 404))
def run(run_id: str) -> Response:
    """One training, with its epochs so far."""
    return jsonify(run_detail.detail(find_run(service().paths, run_id)))


@api.get("/searches/<search_id>")
@describes(SearchAnswer, problems=(400, 404))
def search(search_id: str) -> Response:
    """One search, with its trials so far."""
    return jsonify(service().jobs.search(search_id))


@api.get("/searches/<search_id>/settings")
@describes(SearchSettingsAnswer, query=SurfaceQuery, problems=(400, 404))
def search_settings(search_id: str) -> Response:
    """Which settings of a search mattered, by its trials so far. The first answer takes some seconds."""
    query = query_fields(SurfaceQuery)
    return jsonify(service().jobs.settings(search_id, query.x, query.y))


@pages.get("/runs")
def page() -> str:
    """The trainings that the address asks for, a page of them."""
    query, lines = RunsQuery.of(request.args), service().runs.lines()
    wanted = query.of_lines(lines)
    histories = query.of_histories(service().runs.lone_histories(lines))
    count, start = len(wanted) + len(histories), (query.page - 1) * PAGE
    return render_template(
        "runs.html",
        query=query,
        runs=wanted[start : start + PAGE],
        histories=histories[max(0, start - len(wanted)) : max(0, start + PAGE - len(wanted))],
        count=count,
        pages=max(1, -(-count // PAGE)),
        open=[line for line in lines if is_open(line)],
        archived=sum(line.is_archived for line in lines),
        choices=choices(lines),
        columns=COLUMNS,
        sorts=SORTS,
        titles=TITLES,
        value_of=value_of,
        most_compared=run_detail.MOST_COMPARED,
    )


@pages.get("/runs.csv")
def list_csv() -> Response:
    """The same list, all pages of it, to be saved."""
    text = runs_csv(RunsQuery.of(request.args).of_lines(service().runs.lines()))
    return send_file(io.BytesIO(text.encode()), mimetype="text/csv", as_attachment=True, download_name="runs.csv")


@pages.get("/runs/<run_id>")
def one(run_id: str) -> str:
    """One training."""
    run = find_run(service().paths, run_id)
    known = run_detail.detail(run)
    has_data = service().data.knows(known["run"]["data_set"])
    exported = {"exports": exports(run, service().paths), "forms": OFFERED if can_export() else ()}
    return render_template(
        "run.html", detail=known, has_data=has_data, log=run_detail.log_tail(run.log_txt), **exported
    )


@pages.post("/runs/<run_id>/notes")
def notes(run_id: str) -> Response:
    """Keeps what somebody says about a run; a field that was not sent stays as it is."""
    run = open_run(service().paths, run_id)
    before, sent = notes_of(run), request.form
    saved = save_notes(
        run,
        name=sent.get("name", before.name),
        tags=sent["tags"].split(",") if "tags" in sent else before.tags,
        notes=sent.get("notes", before.notes),
        archived=sent.get("archived", "yes" if before.archived else "") == "yes",
    )
    hidden = "It is archived: lists leave it out, unless they are asked for archived runs. Nothing was deleted."
    shown = "It is in the lists again." if before.archived else "Saved."
    flash(hidden if saved.archived and not before.archived else shown if not saved.archived else "Saved.")
    return redirect(url_for("runs.one", run_id=run_id))


@pages.post("/runs/<run_id>/exports")
def export(run_id: str) -> Response:
    """Writes the run's model in a form for other programs."""
    flash(write_export(find_run(service().paths, run_id), request.form.get("form", ""), service().paths))
    return redirect(url_for("runs.one", run_id=run_id))


@pages.get("/runs/<run_id>/exports/<name>")
def exported_file(run_id: str, name: str) -> Response:
    """One of them, to be saved."""
    run = find_run(service().paths, run_id)
    return _saved(exports(run, service().paths).get(name), f"Run {run_id}", id_of(run), name)


@pages.get("/runs/<run_id>/files/<name>")
def file(run_id: str, name: str) -> Response:
    """One of a run's files, to be saved."""
    run = find_run(service().paths, run_id)
    return _saved(run_detail.files(run).get(name), f"Run {run_id}", id_of(run), name)


@pages.get("/runs/<run_id>/plots/<name>")
def plot(run_id: str, name: str) -> Response:
    """One of a run's pictures."""
    path = run_detail.plots(find_run(service().paths, run_id)).get(name)
    if path is None:
        raise NotFoundError(f"Run {run_id} has no picture {name[:60]!r}.", hint="Its page shows those that it has.")
    return send_file(path.resolve(), mimetype="image/png")


@pages.get("/histories/<name>")
def history(name: str) -> str:
    """A history CSV that no run here wrote."""
    found = find_history(service().paths, name)
    return render_template("history.html", history=found, epochs=[dict(row) for row in found.rows])


@pages.get("/histories/<name>/csv")
def history_csv(name: str) -> Response:
    """The same with our columns, to be saved."""
    found = find_history(service().paths, name)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HISTORY_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found.rows)
    content = io.BytesIO(text.getvalue().encode())
    return send_file(content, mimetype="text/csv", as_attachment=True, download_name=found.path.name)


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
    path = _files_of_search(open_search(service().paths, search_id)).get(name)
    return _saved(path, f"Search {search_id}", search_id, name)


def _files_of_search(search: Search) -> dict[str, Path]:
    return {path.name: path for path in (search.trials_csv, search.best_toml) if path.is_file()}


def _saved(path: Path | None, owner: str, owner_id: str, name: str) -> Response:
    """Returns a file for a browser to save under a name that says whose it is. Raises NotFoundError."""
    if path is None:
        raise NotFoundError(f"{owner} has no file {name[:60]!r}.", hint="Its page lists those that it has.")
    return send_file(path.resolve(), as_attachment=True, download_name=f"{owner_id}_{name}")

"""Trainings and searches: lists, one of them, several side by side, and their files. Pages, and JSON under /api/v1."""

import csv
import io
from pathlib import Path

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, send_file, url_for

from fer_core.errors import ConfigError, NotFoundError, did_you_mean
from fer_core.store.export import can_export
from fer_core.store.files import plain
from fer_core.training.history import HISTORY_COLUMNS
from fer_core.tuning.state import Search, open_search
from fer_core.web import run_detail
from fer_core.web.answers import RunDetailAnswer, RunsAnswer, SearchAnswer
from fer_core.web.exports import OFFERED, exports, write_export
from fer_core.web.openapi import describes
from fer_core.web.run_list import SORTS, UNREADABLE, find_history, find_run, id_of, in_order
from fer_core.web.service import service

pages = Blueprint("runs", __name__)
searches = Blueprint("searches", __name__)
api = Blueprint("runs_api", __name__, url_prefix="/api/v1")


@api.get("/runs")
@describes(RunsAnswer)
def runs() -> Response:
    """All trainings, the newest first."""
    return jsonify(runs=[plain(vars(line)) for line in service().runs.lines()])


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


@pages.get("/runs")
def page() -> str:
    """All trainings."""
    sort, recipe, kind = (request.args.get(name, "") for name in ("sort", "recipe", "kind"))
    sort = sort or "created"
    if sort not in SORTS:
        raise ConfigError(f"Runs cannot be sorted by {sort[:60]!r}.", hint=did_you_mean(sort, SORTS))
    lines = service().runs.lines()
    return render_template(
        "runs.html",
        runs=in_order(lines, sort=sort, recipe=recipe, kind=kind),
        histories=service().runs.lone_histories(lines),
        recipes=sorted({line.name for line in lines if line.status != UNREADABLE}),
        kinds=sorted({line.kind for line in lines if line.status != UNREADABLE}),
        chosen={"sort": sort, "recipe": recipe, "kind": kind},
        sorts=SORTS,
        most_compared=run_detail.MOST_COMPARED,
    )


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

"""The pages of the trainings: all of them, one of them, several side by side, and the files of one."""

import csv
import io
from typing import Any

from flask import Blueprint, Response, render_template, request, send_file

from fer_core.errors import ConfigError, NotFoundError, did_you_mean
from fer_core.store.files import plain
from fer_core.training.history import HISTORY_COLUMNS
from fer_core.web.queries import comparing, run_detail
from fer_core.web.queries.run_list import SORTS, UNREADABLE, find_history, find_run, in_order
from fer_core.web.service import service

pages = Blueprint("runs", __name__)


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
        most_compared=comparing.MOST,
    )


@pages.get("/runs/<run_id>")
def one(run_id: str) -> str:
    """One training."""
    run = find_run(service().paths, run_id)
    return render_template("run.html", detail=plain(run_detail.detail(run)), log=run_detail.log_tail(run.log_txt))


@pages.get("/runs/<run_id>/files/<name>")
def file(run_id: str, name: str) -> Response:
    """One of a run's files, to be saved."""
    run = find_run(service().paths, run_id)
    path = run_detail.files(run).get(name)
    if path is None:
        raise NotFoundError(f"Run {run_id} has no file {name[:60]!r}.", hint="Its page lists those that it has.")
    return send_file(path.resolve(), as_attachment=True, download_name=run_detail.download_name(run, name))


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
    paths = service().paths
    every = comparing.compared(paths, request.args.getlist("run"))
    pairs = comparing.pairs(every)
    wanted = pairs if request.args.get("paired") else []
    return render_template(
        "compare.html",
        runs=every,
        groups=comparing.by_test_images(every),
        pairs=pairs,
        paired=[(first, second, comparing.paired_sentence(paths, first, second)) for first, second in wanted],
        differing=comparing.differing(every),
        data=_for_charts(every),
    )


def _for_charts(every: list[comparing.Compared]) -> list[dict[str, Any]]:
    return plain([{"id": one.id, "name": one.name, "epochs": one.epochs, "per_class": one.per_class} for one in every])

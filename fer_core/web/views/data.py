"""Data sets: which there are, how each was read, what is wrong with it, and its images. And those of a run's confusion.

The pictures are of real people: they come from the cache of decoded images, many in one file, and nobody keeps them.
"""

import re
from typing import Any

import numpy as np
from flask import Blueprint, Response, flash, redirect, render_template, request, url_for

from fer_core.errors import ConfigError, FerError, NotFoundError
from fer_core.labels import NUMBERS
from fer_core.web import answers
from fer_core.web.background import Work
from fer_core.web.data_choice import DataChoice, chosen
from fer_core.web.data_detail import FINDINGS, SHOWN, Look, cell_of, detail, sheet
from fer_core.web.data_sets import OpenedData
from fer_core.web.openapi import describes
from fer_core.web.problems import status_of
from fer_core.web.run_images import ScoredImages, cell, scored_images
from fer_core.web.run_list import find_run, run_line
from fer_core.web.service import service
from fer_core.web.uploads import json_body, query_fields

pages = Blueprint("data", __name__)
api = Blueprint("data_api", __name__, url_prefix="/api/v1")
_Source = OpenedData | ScoredImages | None


@api.get("/data")
@describes(answers.DataSetsAnswer)
def data_sets() -> dict[str, list[answers.DataSetAnswer]]:
    """The data sets: those that somebody opened, those of the runs, the usual one, and the sample."""
    return {"data_sets": service().data.lines()}


@api.post("/data", endpoint="new")
@describes(answers.DataSetAnswer, body=answers.DataRequest, status=201, problems=(400, 403, 413, 415))
def open_by_api() -> answers.DataSetAnswer:
    """Opens a data set: it is read in the background."""
    return _line(_registered(json_body(answers.DataRequest).model_dump()))


@api.get("/data/<data_id>")
@describes(answers.DataSetDetailAnswer, problems=(400, 404))
def data_set(data_id: str) -> answers.DataSetDetailAnswer:
    """One data set. It is read when it is asked for first: ask again while there is `progress`."""
    return _detail(data_id)[0]


@api.get("/data/<data_id>/images")
@describes(answers.ImagesAnswer, query=answers.ImagesQuery, problems=(400, 404))
def images(data_id: str) -> answers.ImagesAnswer:
    """Its images by split, label and finding, sixty at a time."""
    query = query_fields(answers.ImagesQuery)
    return _look(data_id).images(query)


@api.post("/data/<data_id>/labels", endpoint="relabel")
@describes(answers.RelabelAnswer, body=answers.RelabelRequest, problems=(400, 403, 404, 413, 415))
def relabel_by_api(data_id: str) -> dict[str, int]:
    """Keeps training images under another label, for the next retraining."""
    asked = json_body(answers.RelabelRequest)
    return _look(data_id).relabel(asked, service().paths)


@api.get("/runs/<run_id>/images")
@describes(answers.CellAnswer, query=answers.CellQuery, problems=(400, 404))
def run_images(run_id: str) -> answers.CellAnswer:
    """The test images that a run took for something, the surest first: ask again while there is `progress`."""
    return cell(_scored(run_id), query_fields(answers.CellQuery))


@pages.get("/data")
def page() -> str:
    """All data sets, and the form that opens another one."""
    return _list(None)


@pages.post("/data")
def register() -> Response | tuple[str, int]:
    """Opens a data set, or shows the form again with what is wrong."""
    sent = {name: request.form.get(name, "").strip() for name in ("data", "label_map", "votes")}
    try:
        choice = _registered(sent | {"vote_classes": 7 if request.form.get("vote_classes") == "7" else 8})
    except FerError as error:
        return _list(error), status_of(error)
    return redirect(url_for("data.one", data_id=choice.id))


@pages.get("/data/<data_id>")
def one(data_id: str) -> str:
    """One data set: how it was read, what the audit found, and its images."""
    known, look = _detail(data_id)
    query = query_fields(answers.ImagesQuery)
    found = look.images(query) if look else None
    shown = {"query": query, "found": found, "findings": FINDINGS, "step": SHOWN}
    return render_template("data_set.html", detail=known, **shown, **_sheet_of(found, look and look.opened))


@pages.get("/data/<data_id>/sheet.png")
def data_sheet(data_id: str) -> Response:
    """Some of its images as one picture."""
    return _sheet(service().data.opened(service().data.find(data_id)))


@pages.post("/data/<data_id>/labels")
def keep(data_id: str) -> Response:
    """Keeps the chosen images under another label, for the next retraining."""
    look = _look(data_id)
    positions = request.form.getlist("image", int)
    if not positions:
        raise ConfigError("No image is chosen.", hint="Tick those that have a wrong label.")
    asked = answers.RelabelRequest.model_construct(
        mark=request.form.get("mark", ""), images=positions, label=request.form.get("to", "")
    )
    flash(_kept_sentence(**look.relabel(asked, service().paths)))
    query = {name: value for name in answers.ImagesQuery.model_fields if (value := request.form.get(name))}
    return redirect(url_for("data.one", data_id=data_id, **query, _anchor="images"))


@pages.post("/data/<data_id>/again")
def read_again(data_id: str) -> Response:
    """Looks at the source again: the cache notices what has changed."""
    service().data.background.forget(service().data.find(data_id).id)
    return redirect(url_for("data.one", data_id=data_id))


@pages.post("/data/<data_id>/forget")
def forget(data_id: str) -> Response:
    """Takes it off the list."""
    service().data.unregister(service().data.find(data_id))
    flash("It is off the list. Nothing of it was deleted.")
    return redirect(url_for("data.page"))


@pages.get("/runs/<run_id>/images")
def confusion(run_id: str) -> str:
    """The images of a cell of a run's confusion matrix."""
    run = run_line(find_run(service().paths, run_id))
    work = _scored(run_id)
    found = cell(work, query_fields(answers.CellQuery))
    about = {"run": run, "has_data": service().data.knows(run.data_set), "step": SHOWN}
    labels = work.result.labels if work.result else ()
    return render_template("confusion.html", found=found, labels=labels, **about, **_sheet_of(found, work.result))


@pages.get("/runs/<run_id>/images.png")
def confusion_sheet(run_id: str) -> Response:
    """Some of its test images as one picture."""
    return _sheet(_scored(run_id).result)


def _list(problem: FerError | None) -> str:
    allowed = service().settings.data_folder
    known = {"data_sets": service().data.lines(), "maps": tuple(NUMBERS), "allowed": allowed}
    return render_template("data.html", problem=problem, sent=request.form, **known)


def _registered(values: dict) -> DataChoice:
    data = service().data
    choice = data.register(chosen(values, service().settings.data_folder))
    data.work(choice)
    return choice


def _line(choice: DataChoice) -> answers.DataSetAnswer:
    return next(line for line in service().data.lines() if line.id == choice.id)


def _detail(data_id: str) -> tuple[answers.DataSetDetailAnswer, Look | None]:
    choice = service().data.find(data_id)
    work = service().data.work(choice)
    look = _look(data_id) if work.result else None
    return detail(_line(choice), work, look), look


def _look(data_id: str) -> Look:
    """Raises DatasetError: it is not read yet, or cannot be."""
    data = service().data
    opened = data.opened(data.find(data_id))
    return Look(opened, data.suspicious(opened), service().paths.inbox)


def _scored(run_id: str) -> Work:
    paths, data = service().paths, service().data
    run = find_run(paths, run_id)
    elsewhere = data.place_of(run.manifest.data_fingerprint)
    return scored_images(run, paths, data.background, elsewhere=elsewhere)


def _sheet(source: _Source) -> Response:
    """Returns the images of `at` as one picture. Raises NotFoundError where they are none of the source's, now."""
    at = request.args.get("at", "")
    if source is None or request.args.get("mark") != source.mark:
        raise NotFoundError("These images are not there any more.", hint="Reload the page.")
    positions = [int(part) for part in at.split(",") if re.fullmatch(r"[0-9]{1,9}", part)][:SHOWN]
    if not positions or max(positions) >= source.count:
        raise NotFoundError("There are no such images.", hint="Reload the page.")
    return Response(sheet(source.pixels(np.array(positions))), mimetype="image/png")


def _sheet_of(found: answers.ImagesAnswer | answers.CellAnswer | None, source: _Source) -> dict[str, Any]:
    """Returns what the templates need to show a page of images by one file."""
    if not found or not found.images or source is None:
        return {"at": "", "cells": []}
    count = len(found.images)
    cells = [cell_of(index, count=count, side=source.side) for index in range(count)]
    return {"at": ",".join(str(one.position) for one in found.images), "cells": cells}


def _kept_sentence(kept: int, taken_back: int) -> str:
    said = [f"{kept:,} {'waits' if kept == 1 else 'wait'} in the inbox for the next retraining."] if kept else []
    said += [f"{taken_back:,} {'has' if taken_back == 1 else 'have'} the own label again."] if taken_back else []
    return " ".join(said) or "Nothing has changed: these are their own labels."

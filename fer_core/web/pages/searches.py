"""The page of a search: the best over time, what was tried, and the winner."""

from flask import Blueprint, Response, render_template, send_file

from fer_core.errors import NotFoundError
from fer_core.store.files import plain
from fer_core.tuning.state import open_search
from fer_core.web.queries.search_detail import search_detail
from fer_core.web.service import service

pages = Blueprint("searches", __name__)
_FILES = {"trials.csv": "trials_csv", "best.toml": "best_toml"}


@pages.get("/searches/<search_id>")
def one(search_id: str) -> str:
    """One search."""
    search = open_search(service().paths, search_id)
    files = [name for name, attribute in _FILES.items() if getattr(search, attribute).is_file()]
    return render_template("search.html", detail=plain(search_detail(search, service().clock)), files=files)


@pages.get("/searches/<search_id>/files/<name>")
def file(search_id: str, name: str) -> Response:
    """One of a search's files, to be saved."""
    search = open_search(service().paths, search_id)
    path = getattr(search, _FILES[name]) if name in _FILES else None
    if path is None or not path.is_file():
        raise NotFoundError(f"Search {search_id} has no file {name[:60]!r}.", hint="Its page lists those that it has.")
    return send_file(path.resolve(), as_attachment=True, download_name=f"{search_id}_{name}")

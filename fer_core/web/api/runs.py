"""GET /api/v1/runs and what belongs to them: one run, a history CSV, a search."""

from flask import Blueprint, Response, jsonify

from fer_core.store.files import plain
from fer_core.tuning.state import open_search
from fer_core.web.queries.run_detail import detail
from fer_core.web.queries.run_list import find_run
from fer_core.web.queries.search_detail import search_detail
from fer_core.web.service import service

api = Blueprint("runs_api", __name__, url_prefix="/api/v1")


@api.get("/runs")
def runs() -> Response:
    """All trainings, the newest first."""
    return jsonify(runs=plain([line._asdict() for line in service().runs.lines()]))


@api.get("/runs/<run_id>")
def run(run_id: str) -> Response:
    """One training, with its epochs so far."""
    return jsonify(plain(detail(find_run(service().paths, run_id))))


@api.get("/searches/<search_id>")
def search(search_id: str) -> Response:
    """One search, with its trials so far."""
    return jsonify(plain(search_detail(open_search(service().paths, search_id), service().clock)))

"""What is made of a study when it is read: tables of people, and report.html, which opens from disk and loads nothing.

people.csv       share of time and mean probability of each emotion, with intervals, for each person of each video
episodes.csv     each time that an emotion was shown: start, end, peak
transitions.csv  from which emotion to which, how often
reactions.csv    with markers: before and after each
agreement.csv    with a coding by people: kappa and ICC
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import SourceError
from fer_core.labels import colour
from fer_core.store.files import write_atomically
from fer_core.study.agreement import agreement_table, read_times
from fer_core.study.people import (
    UNSURE,
    UNSURE_COLOUR,
    episodes_table,
    people_table,
    reactions_table,
    transitions_table,
)
from fer_core.study.reading import StudyReader
from fer_core.study.settings import ResultSettings
from fer_core.study.study import Study
from fer_core.study.tables import write_table

if TYPE_CHECKING:
    import pandas

MOST_TIMELINES = 200
MOST_ROWS = 500
"""Of a table in the report; the csv has all."""


def make_results(study: Study, reader: StudyReader, settings: ResultSettings) -> dict[str, "pandas.DataFrame"]:
    """Writes the tables and the report, and returns the tables by name. Raises SourceError, DiskFullError."""
    import pandas

    files, labels = study.files(), reader.classifier.labels
    names = list(files["file"])
    markers = coding = None
    if settings.markers is not None:
        markers = read_times(settings.markers, needed=("file", "seconds", "name"), files=names)
    if settings.coding is not None:
        coding = read_times(settings.coding, needed=("file", "start", "end", "label"), files=names)
    found: dict[str, list[pandas.DataFrame]] = {"people": [], "episodes": [], "transitions": [], "reactions": []}
    coded = []
    for row in files[(files["kind"] == "video") & (files["people"] > 0)].to_dict("records"):
        readings = study.readings(row["table"])
        found["people"].append(people_table(readings, labels, baseline_seconds=settings.baseline))
        found["episodes"].append(episodes_table(readings))
        found["transitions"].append(transitions_table(found["episodes"][-1]))
        if markers is not None:
            window = settings.marker_window
            found["reactions"].append(reactions_table(readings, markers, labels, window_seconds=window))
        if coding is not None and row["file"] in set(coding["file"]):
            coded.append(readings)
    tables = {name: pandas.concat(parts, ignore_index=True) for name, parts in found.items() if parts}
    if coding is not None:
        if not coded:
            raise SourceError(f"{settings.coding} codes no video in which somebody was seen.")
        tables["agreement"] = agreement_table(pandas.concat(coded, ignore_index=True), coding, labels)
    for name in ("people", "episodes", "transitions", "reactions", "agreement"):
        path = study.folder / f"{name}.csv"
        if name in tables:
            write_table(tables[name], path)
        else:
            path.unlink(missing_ok=True)
    write_atomically(study.folder / "report.html", report(study, reader, settings, tables))
    return tables


def report(
    study: Study, reader: StudyReader, settings: ResultSettings, tables: Mapping[str, "pandas.DataFrame"]
) -> str:
    """Returns report.html: what was read and with what, timelines, tables, what was left out, methods, limits."""
    import jinja2

    files, labels = study.files(), reader.classifier.labels
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "percent": lambda value: "–" if value != value else f"{value:.0%}",
        "points": lambda value: "–" if value != value else f"{100 * value:+.0f}".replace("-", "−"),
        "number": lambda value: "–" if value != value else f"{value:.2f}",
        "count": "{:,}".format,
        "counted": lambda number, what: f"{number:,} {what}{'' if number == 1 else 's'}",
        "clock": _clock,
    }
    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    read = files[files["status"] == "read"]
    records = {name: table.to_dict("records") for name, table in tables.items()}
    return environment.from_string(template).render(
        study=study,
        settings=study.about.settings,
        made=settings,
        labels=labels,
        colours={label: colour(label, labels) for label in labels} | {UNSURE: UNSURE_COLOUR},
        read={kind: read[read["kind"] == kind].to_dict("records") for kind in ("video", "picture")},
        failed=files[files["status"] == "failed"].to_dict("records"),
        timelines=_timelines(records.get("episodes", ()), records.get("people", ())),
        pictures=_shares_of_pictures(study, read, labels),
        reactions=records.get("reactions", ())[:MOST_ROWS],
        transitions=_transitions(records.get("transitions", ())),
        agreement=records.get("agreement", ()),
        unsure_below=reader.threshold,
        methods=_methods(reader),
        most_timelines=MOST_TIMELINES,
        most_rows=MOST_ROWS,
    )


def _timelines(episodes: Sequence[dict[str, Any]], people: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns, for each person, the episodes and the shares; of the first people."""
    found: dict[tuple, dict[str, Any]] = {}
    for row in people:
        key = row["file"], row["person"]
        if key not in found and len(found) == MOST_TIMELINES:
            break
        one = found.setdefault(key, row | {"shares": [], "episodes": []})
        one["shares"].append(row)
    for row in episodes:
        if (one := found.get((row["file"], row["person"]))) is not None:
            one["episodes"].append(row)
    ends: dict[str, float] = {}
    for (file, _), one in found.items():
        ends[file] = max(ends.get(file, 0.0), one["episodes"][-1]["end"])
    return [one | {"end": ends[file]} for (file, _), one in found.items()]


def _shares_of_pictures(study: Study, read: "pandas.DataFrame", labels: Sequence[str]) -> dict[str, int]:
    """Returns how many faces in pictures were read as what."""
    tables = read.loc[(read["kind"] == "picture") & (read["faces"] > 0), "table"].unique()
    counts = dict.fromkeys([*labels, UNSURE], 0)
    for table in tables:
        faces = study.readings(table).dropna(subset=["label"])
        for label, unsure in zip(faces["label"], faces["unsure"].astype(bool), strict=True):
            counts[UNSURE if unsure else label] += 1
    return counts if len(tables) else {}


def _transitions(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Returns the transitions of all people together, the most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        counts[row["from"], row["to"]] = counts.get((row["from"], row["to"]), 0) + int(row["count"])
    return [(*pair, count) for pair, count in sorted(counts.items(), key=lambda item: -item[1])]


def _methods(reader: StudyReader) -> dict[str, Any]:
    """Returns what a methods section says of model and detector."""
    import av
    import cv2
    import numpy

    model = reader.classifier.model
    scores = (model.manifest.scores or {}) if model.manifest else {}
    return {
        "model": model.name,
        "sha256": model.sha256,
        "detector": reader.detector.name,
        "accuracy": scores.get("accuracy"),
        "interval": scores.get("accuracy_interval"),
        "split": scores.get("split", ""),
        "images": scores.get("images", 0),
        "temperature": model.temperature,
        "versions": f"OpenCV {cv2.__version__}, PyAV {av.__version__}, NumPy {numpy.__version__}",
    }


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

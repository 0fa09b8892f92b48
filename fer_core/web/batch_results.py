"""What is shown and saved of a batch: faces, videos over time, and all readings as CSV and JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fer_core.labels import colour
from fer_core.study.people import UNSURE, UNSURE_COLOUR
from fer_core.study.study import Study, find_study
from fer_core.study.tables import COLUMNS, labels_of, read_table
from fer_core.web.batch import Batch

if TYPE_CHECKING:
    import pandas

MOST_ROWS = 200
"""Of a table on the page; the CSV has all."""
MOST_PEOPLE = 12
"""Of a video, those longest in view."""
MOST_STEPS = 1000
"""Of a timeline: an episode that is shorter than one is not drawn."""


def result_of(batch: Batch) -> dict[str, Any]:
    """Returns what the page of a batch shows beside a video: its faces, videos, and what could not be read."""
    study = find_study(batch.study_folder)
    files = study.files()
    rows = files.assign(number=range(len(files))).to_dict("records")
    read = [row for row in rows if row["status"] == "read"]
    failed = {row["file"]: _reason(row, batch) for row in rows if row["status"] == "failed"}
    pictures = [row for row in read if row["kind"] == "picture"]
    faces, labels = _faces(study, pictures)
    videos = [row for row in read if row["kind"] == "video"]
    for row in videos[:1]:
        labels = labels or list(labels_of(study.readings(row["table"])))
    return {
        "labels": labels,
        "colours": {label: colour(label, labels) for label in labels} | {UNSURE: UNSURE_COLOUR},
        "pictures": len(pictures),
        "found": sum(row["faces"] for row in pictures),
        "faceless": sum(not row["faces"] for row in pictures),
        "faces": faces,
        "videos": videos,
        "failed": batch.about.left_out | failed,
    }


def _reason(row: Mapping[str, Any], batch: Batch) -> str:
    text = row["reason"].replace(str(batch.source / row["file"]), "It")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _faces(study: Study, pictures: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the first faces in pictures, each with its picture's number and the two likeliest emotions."""
    if not pictures:
        return [], []
    table = study.readings(pictures[0]["table"])
    columns, numbers = labels_of(table), {row["file"]: row["number"] for row in pictures}
    rows, found = table[table["file"].isin(numbers)].head(MOST_ROWS), []
    for row in rows.assign(place=rows.groupby("file").cumcount() + 1).to_dict("records"):
        one = {"file": row["file"], "number": numbers[row["file"]], "label": None}
        if isinstance(row["label"], str):
            shares = {label: row[column] for label, column in columns.items()}
            second = sorted(shares, key=shares.__getitem__)[-2:-1] if len(shares) > 1 else []
            others = {"second": (second[0], shares[second[0]])} if second else {}
            one |= {name: row[name] for name in ("label", "confidence", "unsure", "place")} | others
        found.append(one)
    return found, list(columns)


def timeline(study: Study, video: dict[str, Any]) -> dict[str, Any]:
    """Returns who showed what when in a video: for each person episodes of start, end and emotion, and the shares."""
    tables = [read_table(study.folder / f"{name}.csv") for name in ("episodes", "people")] if video["people"] else []
    episodes, shares = (table[table["file"] == video["file"]] for table in tables) if tables else ([], [])
    length = max([float(video["seconds"]), *(episodes["end"] if tables else ())])
    people = []
    for person, own in shares.groupby("person") if tables else ():
        shown = own[own["share"] > 0].nlargest(3, "share")
        lane = episodes[(episodes["person"] == person) & (episodes["seconds"] * MOST_STEPS >= length)]
        rows = lane[["start", "end", "emotion"]].to_dict("records")
        shown = dict(zip(shown["emotion"], shown["share"], strict=True))
        people.append({"person": int(person), "seconds": own["seconds"].iloc[0], "shares": shown, "episodes": rows})
    first = sorted(people, key=lambda one: -one["seconds"])[:MOST_PEOPLE]
    lanes = [one for one in people if one in first]
    return {"seconds": round(length, 3), "people": lanes, "others": len(people) - len(lanes)}


def readings_csv(batch: Batch) -> Iterator[str]:
    """Yields all readings of a batch as one CSV, file by file."""
    for number, table in enumerate(_tables(batch)):
        yield table.to_csv(index=False, header=not number)


def readings_json(batch: Batch) -> Iterator[str]:
    """Yields the same as JSON: files, left_out, and readings."""
    study = find_study(batch.study_folder)
    files = study.files().drop(columns=["bytes", "changed_ns", "table"])
    files["reason"] = [_reason(row, batch) if row["reason"] else "" for row in files.to_dict("records")]
    yield f'{{"files": {files.to_json(orient="records")}, "left_out": {json.dumps(batch.about.left_out)}, "readings": ['
    before = ""
    for table in _tables(batch):
        rows = table.to_json(orient="records")[1:-1]
        yield before + rows if rows else ""
        before = ",\n" if rows else before
    yield "]}\n"


def _tables(batch: Batch) -> Iterator["pandas.DataFrame"]:
    study = find_study(batch.study_folder)
    for name in dict.fromkeys(study.files()["table"]):
        if name:
            table = study.readings(name)
            yield table.reindex(columns=[*COLUMNS, *labels_of(table).values()])

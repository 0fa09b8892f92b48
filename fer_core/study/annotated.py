"""Pictures and videos of a study with what was read drawn in, from its tables: nothing is read again."""

import bisect
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from fer_core.data.face_picture import UnreadablePictureError
from fer_core.errors import SourceError, check_interrupted
from fer_core.faces import Box
from fer_core.live.frame import Shown
from fer_core.live.layout import Status
from fer_core.live.overlay import Overlay
from fer_core.live.prediction import Prediction
from fer_core.live.sources import read_picture
from fer_core.live.video import open_reader, sampled_frames
from fer_core.live.video_output import VideoOutput
from fer_core.store.files import replacing
from fer_core.study.study import Study
from fer_core.study.tables import labels_of

_QUALITY = 92
"""Of a JPEG."""


def annotate_pictures(study: Study, source: Path, target: Path) -> None:
    """Writes a zip with all pictures of a study that could be read, as JPEG under their names. Raises DiskFullError."""
    files = study.files()
    read = files[(files["kind"] == "picture") & (files["status"] == "read")]
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for table, names in read.groupby("table")["file"]:
            readings = study.readings(table)
            faces = dict(tuple(readings.groupby("file")))
            overlay, labels = Overlay(list(labels_of(readings))), labels_of(readings)
            for name in names:
                check_interrupted()
                try:
                    picture_bgr = read_picture(source / name)
                except UnreadablePictureError:  # it has changed since
                    continue
                predictions = _predictions(faces[name].to_dict("records") if name in faces else (), labels)
                drawn = overlay.draw(picture_bgr, predictions, _status(study))
                content = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
                archive.writestr(name if name.lower().endswith((".jpg", ".jpeg")) else f"{name}.jpg", content)


def annotate_video(study: Study, name: str, source: Path, target: Path) -> None:
    """Writes a video in H.264 that browsers play, every frame of it with what was read last. Raises SourceError."""
    files = study.files()
    readings = study.readings(files[files["file"] == name]["table"].iloc[0])
    labels = labels_of(readings)
    times, rows = [], []
    for seconds, found in readings.groupby("seconds"):
        times.append(seconds)
        rows.append(found.to_dict("records"))
    overlay, reader, output = Overlay(list(labels)), open_reader(source), None
    rate = reader.rate
    with replacing(target) as temporary:
        try:
            for frame in sampled_frames(reader):
                check_interrupted()
                height, width = frame.picture_bgr.shape[:2]
                output = output or VideoOutput(temporary, (width, height), rate)
                place = bisect.bisect_right(times, round(frame.seconds, 3)) - 1
                predictions = _predictions(rows[place] if place >= 0 else (), labels)
                picture_bgr = overlay.draw(frame.picture_bgr, predictions, _status(study))
                output.write(Shown(frame, predictions, picture_bgr))
        finally:
            if output is not None:
                output.close()
        if output is None:
            raise SourceError(f"{name} has no frame that can be read.")


def _status(study: Study) -> Status:
    return Status(study.about.settings.model or "", study.about.settings.detector, 0.0, 0.0)


def _predictions(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[Prediction, ...]:
    return tuple(_prediction(row, labels) for row in rows if isinstance(row["label"], str))


def _prediction(row: Mapping[str, Any], labels: Mapping[str, str]) -> Prediction:
    box = Box(*(float(row[name]) for name in ("x", "y", "width", "height")))
    person = row.get("person")
    shares = {label: float(row[column]) for label, column in labels.items()}
    number = int(person) if person is not None and person == person else None
    return Prediction(box, row["label"], float(row["confidence"]), shares, bool(row["unsure"]), number)

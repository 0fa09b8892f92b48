"""audit.html: what the audit found, to look at and to tick; one file that opens from disk and loads nothing.

It shows the data set's own pictures, so it is as private as these are.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_core.data.audit import Audit
from fer_core.data.dataset import Dataset
from fer_core.evaluation.suspicious import SuspiciousLabel

MOST_SHOWN = 300
"""Cards of a section; the files beside the page have all."""


def audit_page(audit: Audit, dataset: Dataset, suspicious: Sequence[SuspiciousLabel] | None) -> str:
    """Returns the page as HTML: suspicious labels, contradictions, near-duplicates, each with its pictures.

    Then the pictures in which no face was found, or several; of those that are left out, only the names.

    Ticked pictures are saved by the page as a list for `--exclude`; those of the test images cannot be ticked.

    Args:
        suspicious: the most suspicious first; None if labels were not audited.
    """
    import jinja2

    contents = dataset.contents
    position = {name: number for number, name in enumerate(contents.names)}

    def picture(name: str) -> str:
        row = contents.rows[position[name]]
        png = cv2.imencode(".png", _bgr(np.asarray(dataset.pixels[row : row + 1])[0]))[1]
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"

    trained = {
        name for split in (dataset.train, dataset.validation or dataset.train) for name in split.names(slice(None))
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"picture": picture, "percent": "{:.0%}".format, "count": "{:,}".format}
    template = Path(__file__).with_name("audit.html.jinja").read_text(encoding="utf-8")
    conflicting = [group for part in audit.parts for group in part.conflicting]
    return environment.from_string(template).render(
        audit=audit,
        suspicious=suspicious,
        conflicting=conflicting,
        faces={
            "Pictures without a face": audit.report.without_face,
            "Pictures with several faces": audit.report.several_faces,
        },
        labels={name: contents.label(number) for name, number in position.items()},
        trained=trained - set(dataset.test.names(slice(None))),
        most=MOST_SHOWN,
    )


def _bgr(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 2 else np.ascontiguousarray(picture[:, :, ::-1])

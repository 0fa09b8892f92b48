"""What the audit of a data set leaves: the labels that are probably wrong, and audit.html, to look at and to tick.

Such a label is found by confident learning: a network that never saw an image disagrees with it. The page is one file
that opens from disk and loads nothing. It shows the data set's own pictures, so it is as private as these are.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.files import read_json, write_json

if TYPE_CHECKING:
    from fer_core.data.audit import Audit
    from fer_core.data.dataset import Dataset

MOST_SHOWN = 300
"""Cards of a section; the files beside the page have all."""

SUSPICIOUS = "suspicious_labels.json"


def audit_page(audit: "Audit", dataset: "Dataset", suspicious: "Sequence[SuspiciousLabel] | None") -> str:
    """Returns the page as HTML: suspicious labels, contradictions, near-duplicates, each with its pictures.

    Then the pictures in which no face was found, or several; of those that are left out, only the names.

    Ticked pictures are saved by the page as a list for `--exclude`; those of the test images cannot be ticked.

    Args:
        suspicious: the most suspicious first; None if labels were not audited.
    """
    import cv2
    import jinja2

    contents = dataset.contents
    position = {name: number for number, name in enumerate(contents.names)}

    def picture(name: str) -> str:
        pixels = np.asarray(dataset.pixels[contents.rows[[position[name]]]])[0]
        png = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[:, :, ::-1])[1]
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


@dataclass(frozen=True)
class SuspiciousLabel:
    """An image whose label is probably wrong. `confidence` is the probability (0..1) of its own label, `prediction`
    the label that is most probable, with `probability`."""

    name: str
    label: str
    confidence: float
    prediction: str
    probability: float


def suspicious_labels(
    probabilities: np.ndarray, labels: np.ndarray, *, names: list[str], label_names: tuple[str, ...]
) -> list[SuspiciousLabel]:
    """Returns the images whose labels are probably wrong, the most suspicious first.

    Source: Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068, through
    the library cleanlab: as many of each class as its joint distribution of given and true labels says, by confidence.

    Args:
        probabilities: float (n, labels), of networks that were not trained on the image (out of fold).
        labels: int64 (n,), each class at least once.
    """
    from cleanlab.filter import find_label_issues

    sums = probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    ranked = find_label_issues(labels, probabilities / sums, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = probabilities.argmax(axis=1)
    return [
        SuspiciousLabel(
            name=names[i],
            label=label_names[labels[i]],
            confidence=float(probabilities[i, labels[i]]),
            prediction=label_names[best[i]],
            probability=float(probabilities[i, best[i]]),
        )
        for i in ranked
    ]


def audit_folder(paths: Paths, source: str) -> Path:
    """Returns where the audit of a data set is written that is no run's."""
    return paths.models / "audits" / (Path(source).stem or "data")


def save_suspicious(folder: Path, found: Sequence[SuspiciousLabel], *, fingerprint: str) -> None:
    """Writes the list; `fingerprint` is that of the images, as another data set may be audited in the same folder."""
    write_json(folder / SUSPICIOUS, {"fingerprint": fingerprint, "labels": [asdict(one) for one in found]})


def load_suspicious(folder: Path, *, fingerprint: str) -> list[SuspiciousLabel] | None:
    """Returns the list for these images, None where their labels were not audited."""
    try:
        content = read_json(folder / SUSPICIOUS, "audit of labels")
        if content["fingerprint"] == fingerprint:
            return [SuspiciousLabel(**one) for one in content["labels"]]
    except (ArtifactError, KeyError, TypeError):  # there is none, or it is not one of ours
        pass
    return None

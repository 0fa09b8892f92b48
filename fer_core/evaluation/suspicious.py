"""Labels that are probably wrong, by confident learning: a network that never saw an image disagrees with its label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.files import read_json, write_json

SUSPICIOUS = "suspicious_labels.json"


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

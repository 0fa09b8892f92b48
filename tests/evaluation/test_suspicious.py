"""Suspicious labels, and the page on which a person looks at them."""

import shutil

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.audit import audit
from fer_core.data.dataset import load_dataset
from fer_core.evaluation.audit_report import SuspiciousLabel, audit_page, suspicious_labels
from tests.data.conftest import fill_folder


def test_flipped_labels_are_found_and_come_first():
    rng = np.random.default_rng(0)
    truth = np.arange(900) % 3
    probabilities = rng.dirichlet((1, 1, 1), 900) * 0.4 + 0.6 * np.eye(3)[truth]
    flipped = rng.choice(900, 60, replace=False)
    labels = truth.copy()
    labels[flipped] = (truth[flipped] + 1) % 3
    names = [str(number) for number in range(900)]
    found = suspicious_labels(probabilities.astype(np.float32), labels, names=names, label_names=("a", "b", "c"))
    assert len({one.name for one in found[:60]} & {str(number) for number in flipped}) >= 55
    assert len(found) < 75
    first, label = found[0], "abc"[labels[int(found[0].name)]]
    assert first.label == label != first.prediction and first.confidence < first.probability


def test_the_page_shows_what_was_found_and_lets_training_images_alone_be_ticked(paths, tmp_path):
    train = fill_folder(tmp_path / "train")
    fill_folder(tmp_path / "test", 4, first=1000)
    hostile = "<b>'\"&.png"
    shutil.copy(train / "sad" / "00029.png", train / "happy" / hostile)
    dataset = load_dataset(TrainConfig(data=str(tmp_path)), paths, side=48)
    found = [SuspiciousLabel("train/angry/00001.png", "angry", 0.01, "sad", 0.9)]
    found.append(SuspiciousLabel("test/sad/01009.png", "sad", 0.02, "happy", 0.8))
    page = audit_page(audit(dataset), dataset, found)
    assert "Suspicious labels: 2" in page and "sad 90%?" in page
    assert "Copies with more than one label: 1" in page
    assert 'value="train/angry/00001.png"' in page
    assert "01009.png" in page and 'value="test/' not in page
    assert "<b>" not in page and "&lt;b&gt;" in page
    assert "http" not in page.lower()
    assert "Suspicious labels" not in audit_page(audit(dataset), dataset, None)


def test_the_page_shows_pictures_that_were_added_too(paths, tmp_path):
    fill_folder(tmp_path / "own")
    more = fill_folder(tmp_path / "more", 1, first=1000)
    shutil.copy(more / "sad" / "01002.png", more / "happy" / "copy.png")
    dataset = load_dataset(TrainConfig(data=str(tmp_path / "own"), more_images=str(more)), paths, side=48)
    assert audit_page(audit(dataset), dataset, None).count("data:image/png") == 2

"""The start of a retraining: which images there are by now, and the run that is trained on them.

Done again after a kill it goes on with the same run, and with the same images once they are copied. Without Keras.

In the inbox lie corrections, as <label>/…. A training image of the data set that lies there under another label is
trained on in its original's place. Images are told apart by their decoded pixels, not by their names.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.cache import Report, cached_images
from fer_core.data.contents import Contents
from fer_core.data.dataset import Dataset, ignore, load_dataset, settled_detector
from fer_core.data.face_finding import FaceFinder
from fer_core.data.sources import labelled_source
from fer_core.errors import DatasetError, did_you_mean
from fer_core.evaluation.analysis_data import training_hashes
from fer_core.labels import known_label
from fer_core.paths import Paths, expanded, find_source
from fer_core.resources import sync
from fer_core.store.files import full_disk_named, temporary_beside, write_json
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.promotion import model_in_use
from fer_core.store.run import Run
from fer_core.store.runs import create_run, new_run_id, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.retraining import RetrainSpec, challenger_config
from fer_core.training.starting import with_fixed_models

Say = Callable[[str], None]

_WITHOUT_A_FILE = ("sample", "kaggle")
_COPY = re.compile(r"[0-9a-f]{16}")
"""The name of an image in a run's folder: its content hash."""


@dataclass(frozen=True)
class AcceptedImage:
    """An image to train on. `content` is its 64-bit hash; `is_new`: the model in use has not been trained on it."""

    name: str
    label: str
    content: int
    is_new: bool


@dataclass(frozen=True)
class RefusedImage:
    """An image that must not be trained on, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class InboxContents:
    """The images of an inbox; names are paths in it."""

    accepted: tuple[AcceptedImage, ...]
    refused: tuple[RefusedImage, ...]

    @property
    def new(self) -> int:
        """How many accepted images the model in use has not been trained on."""
        return sum(image.is_new for image in self.accepted)


def begin_retraining(
    spec: RetrainSpec, paths: Paths, *, run_id: str | None = None, say: Say, report: Say
) -> Run | None:
    """Returns the run to train, made now or before; None where the inbox has too few new images.

    The accepted images of the inbox are copied into the run's folder, so that a resumed run has the same.

    Args:
        run_id: the run to make or to go on with; None: a new one.
        say: gets messages for the output. report: gets progress messages.

    Raises:
        FerError: there is no data, the settings do not fit, or a model cannot be read.
    """
    run = None
    if run_id is not None and (paths.models / "runs" / run_id / "manifest.json").is_file():
        run = open_run(paths, run_id)
        images = run.manifest.config.more_images
        if images is None or Path(images).is_dir():
            return run
    champion = find_model(None, paths) if model_in_use(paths) else None
    config, inbox = _with_data(spec, champion, paths, report)
    for message in sentences(inbox, paths.inbox):
        say(message)
    more = champion.manifest.config.more_images if champion else None
    # What was in an inbox is there still; images of another folder would be left out without a word.
    if more and not Path(more).is_relative_to((paths.models / "runs").resolve()):
        say(f"{champion.name} was also trained on {more}: put its images into the inbox to train on them again.")
    if run is None:
        if inbox.new < spec.min_new_images:
            waits_for = f"a retraining waits for {spec.min_new_images:,}"
            say(f"Nothing is trained: {inbox.new:,} new images, and {waits_for}.")
            return None
        run = _made(spec, config, champion, paths, run_id or new_run_id(config, recipe="retrain"), bool(inbox.accepted))
    _copy_images(run, inbox, paths.inbox)
    return run


def _with_data(
    spec: RetrainSpec, champion: ModelFiles | None, paths: Paths, report: Say
) -> tuple[TrainConfig, InboxContents]:
    config = challenger_config(spec, champion.manifest if champion else None)
    config = config.model_copy(update={"data": _data(spec, champion)})
    dataset = load_dataset(config, paths, **networks.picture_of(config), report=report)
    known = training_hashes(champion, dataset) if champion else None
    known = np.empty(0, np.uint64) if known is None else known
    added = _added(champion) if champion else set()
    finder = FaceFinder.beside(dataset.contents, config, paths)
    inbox = read_inbox(paths.inbox, dataset, known, finder, corrected=added, report=report)
    return config.model_copy(update={"data": dataset.source, **settled_detector(config, dataset)}), inbox


def _added(champion: ModelFiles) -> set[tuple[str, int]]:
    """Returns label and content hash of what `_copy_images` had copied when the model in use was trained."""
    folder = champion.manifest.config.more_images
    copies = Path(folder).glob("*/*") if folder else ()
    named = ((path.parent.name, path.stem) for path in copies)
    return {(label, int(stem, 16)) for label, stem in named if _COPY.fullmatch(stem)}


def _data(spec: RetrainSpec, champion: ModelFiles | None) -> str:
    """Returns what to load: as asked for, else what the model in use was trained on, else what is usual."""
    if spec.data is not None or champion is None:
        return find_source(spec.data, os.environ)
    manifest = champion.manifest
    for name in filter(None, (manifest.data_source, manifest.config.data)):
        if name in _WITHOUT_A_FILE or expanded(name).exists():
            return name
    try:
        return find_source(None, os.environ)
    except DatasetError:
        raise DatasetError(
            f"{manifest.data_source}, which {champion.name} was trained on, is not here.",
            hint="Give data, or set $FER_DATA.",
        ) from None


def _made(
    spec: RetrainSpec, config: TrainConfig, champion: ModelFiles | None, paths: Paths, run_id: str, has_images: bool
) -> Run:
    more = str((paths.models / "runs" / run_id / "new_images").resolve()) if has_images else None
    # An ensemble is no recipe: what is trained is what its first member was.
    own = champion.manifest.recipe if champion and not champion.manifest.members else None
    return create_run(
        paths,
        with_fixed_models(config.model_copy(update={"more_images": more}), paths),
        recipe=spec.recipe or own,
        kind="retrain",
        parent=champion.name if champion else None,
        promote=False,
        history_header=HISTORY_HEADER,
        run_id=run_id,
    )


def _copy_images(run: Run, found: InboxContents, inbox: Path) -> None:
    """Notes what was accepted and refused, and copies what was accepted; the folder appears whole, and last."""
    write_json(run.folder / "new_images.json", asdict(found))
    folder = run.manifest.config.more_images
    if folder is None:
        return
    target = Path(folder)
    temporary = temporary_beside(target)
    try:
        with full_disk_named(target):
            temporary.mkdir()
            for image in found.accepted:
                copy = temporary / image.label / f"{image.content:016x}{Path(image.name).suffix.lower()}"
                copy.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # taken out of the inbox since it was looked at
                    shutil.copyfile(inbox / image.name, copy)
                    sync(copy)
            temporary.rename(target)
            sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_inbox(
    inbox: Path,
    dataset: Dataset,
    known: np.ndarray,
    finder: FaceFinder,
    *,
    corrected: Collection[tuple[str, int]] = (),
    report: Report = ignore,
) -> InboxContents:
    """Returns what lies in the inbox; nothing where there is no such folder.

    Args:
        dataset: what the images would be added to: its classes are the only ones, and what it has is refused.
        known: content hashes, uint64 (n,), of what the model in use was trained on.
        finder: finds the faces in its pictures.
        corrected: label and content hash of the images that were added when it was trained.

    Raises:
        DatasetError: the folder cannot be read.
    """
    if not inbox.is_dir():
        return InboxContents((), ())
    # One picture of one class is enough.
    source = labelled_source(inbox, finder)
    contents = cached_images(source, finder.paths.cache, side=dataset.side, report=report, needs_classes=False).contents
    # What the data calls the class of each image: anger is angry. A class that it has not keeps its name.
    called = {label: known_label(label, dataset.labels) or label for label in contents.labels}
    labels = [called[contents.label(position)] for position in range(len(contents))]
    accepted, refused = [], [RefusedImage(bad.name, f"cannot be read: {bad.reason}") for bad in contents.bad_images]
    taken, left_out = set(contents.names), {"no face is found in it": contents.report.without_face}
    left_out["several faces are found in it"] = contents.report.several_faces
    refused += [RefusedImage(name, why) for why, names in left_out.items() for name in names if name not in taken]
    # The model in use knows the picture of a correction: under its former label.
    is_new = ~np.isin(contents.hashes, known) | np.isin(contents.hashes, dataset.contents.hashes)
    for position, objection in enumerate(_objections(contents, dataset, labels)):
        name, label, content = contents.names[position], labels[position], int(contents.hashes[position])
        if objection:
            refused.append(RefusedImage(name, objection))
        else:
            added_before = (label, content) in corrected
            accepted.append(AcceptedImage(name, label, content, bool(is_new[position]) and not added_before))
    return InboxContents(*(tuple(sorted(images, key=lambda image: image.name)) for images in (accepted, refused)))


def sentences(found: InboxContents, inbox: Path) -> Iterator[str]:
    """Yields what to say of a look: how many images there are, and each refused one by name."""
    known = len(found.accepted) - found.new
    yield f"Inbox {inbox}: {found.new:,} new images, {known:,} known ones, {len(found.refused):,} refused."
    yield from (f"Refused: {image.name}: {image.reason}." for image in found.refused)


def _objections(contents: Contents, dataset: Dataset, labels: list[str]) -> Iterator[str]:
    """Yields what there is against each image, or ''. `labels` are those of the images.

    Of several copies under one label the first is taken; under several labels none, since nobody knows which is right.
    """
    tested, data = set(dataset.test.hashes.tolist()), dataset.contents
    own = dict(zip(data.hashes.tolist(), data.label_numbers.tolist(), strict=True))
    kept = set(data.hashes[~data.trains].tolist())
    copies: dict[int, list[int]] = {}
    for position, content in enumerate(contents.hashes.tolist()):
        if labels[position] in dataset.labels:
            copies.setdefault(content, []).append(position)
    for position, content in enumerate(contents.hashes.tolist()):
        label, group = labels[position], copies.get(content, [])
        others = sorted({labels[other] for other in group} - {label})
        if label not in dataset.labels:
            yield f"the data has no class {label!r}. {did_you_mean(label, dataset.labels).rstrip('.')}"
        elif content in tested:
            yield "a copy of a test image"
        elif content in own and (content in kept or dataset.labels[own[content]] == label):
            yield f"the data has it already, as {dataset.labels[own[content]]}"
        elif others:
            yield f"the same picture also lies under {', '.join(others)}"
        else:
            yield "" if position == group[0] else f"a copy of {contents.names[group[0]]}"

"""Who trains, validates and tests: from the parts that the source has, the settings and the seed.

Byte-identical copies stay on one side. What is held out depends on the images' contents, their labels and the seed
alone: not on names, order or place. A few more images move few of the others to another side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.contents import ALL_IMAGES, MORE_IMAGES, Contents, fingerprint
from fer_core.data.held_out import fold_numbers, held_out
from fer_core.errors import DatasetError
from fer_core.labels import FER2013_LABELS
from fer_core.paths import checked_status, expanded

FER2013 = "FER-2013"
TRAINING, PUBLIC, PRIVATE = "Training", "PublicTest", "PrivateTest"
_BOTH = f"{PUBLIC} + {PRIVATE}"
_TITLES = {
    (3995, 436, 4097, 7215, 4965, 4830, 3171): TRAINING,
    (467, 56, 496, 895, 607, 653, 415): PUBLIC,
    (491, 55, 528, 879, 626, 594, 416): PRIVATE,
    (958, 111, 1024, 1774, 1233, 1247, 831): _BOTH,
}
"""What parts of FER-2013 are called, by the number of images of each class."""
_TRAIN, _VALIDATION, _TEST = ("train", TRAINING), ("validation", PUBLIC), ("test", PRIVATE)
PART_ORDER = (*_TRAIN, *_VALIDATION, *_TEST, ALL_IMAGES, MORE_IMAGES)
"""How parts are listed for people."""

_TRAINS, _VALIDATES, _TESTS = 1, 2, 4


@dataclass(frozen=True)
class Role:
    """The images of one role: `positions` in the contents (int64), and the source's parts that they are (if any).

    `name` is for people, where the parts' names do not tell what they are.
    """

    positions: np.ndarray
    parts: tuple[str, ...] = ()
    name: str | None = None

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class Partition:
    """The three roles. `notes` say where each comes from."""

    train: Role
    validation: Role | None
    test: Role
    notes: tuple[str, ...]


def partition(contents: Contents, config: TrainConfig) -> Partition:
    """Returns which images train, validate and test.

    Raises:
        DatasetError: there is nothing to train on, or a class is left without a training image.
    """
    train, own_validation, test = (_scored(contents, parts) for parts in (_TRAIN, _VALIDATION, _TEST))
    notes: list[str] = []
    divided = _roles_to_fill(config, has_validation=own_validation is not None, has_test=test is not None)
    if test is None and own_validation is not None:
        test, own_validation = own_validation, None
        notes.append(f"Test: {len(test):,} images of {' + '.join(test.parts)}, as there is no other test part.")
    if train is None and ALL_IMAGES not in contents.parts:
        raise DatasetError(
            f"The data has {' and '.join(contents.parts)} but nothing to train on.",
            hint="Add a train/ folder (in a csv: rows with Usage Training).",
        )
    if test is None:
        whole = train or _role(contents, (ALL_IMAGES,))
        train, test = _split(whole, contents, config.test_split, f"test {config.seed}")
        notes.append(f"Test: {len(test):,} of {len(whole):,} images, held out by seed {config.seed}.")
    if config.fold:
        train, test = _folded(contents, train, config.fold)
        own_validation = None
        notes = [f"Test: {len(test):,} of {len(train) + len(test):,} training images, {test.name}."]
    more = _role(contents, (MORE_IMAGES,))
    if more is not None:  # only now: which images test must not depend on them
        train = _with_more(contents, train, more, test)
    if config.exclude:
        train, own_validation, note = _without_excluded(contents, config.exclude, (train, own_validation))
        notes.append(note)
    train, validation, note = _with_validation(contents, config, (train, own_validation, test))
    _refuse_missing_classes(contents, train)
    for role, name in ((validation, "validation"), (test, "test")):
        if role is not None and not len(role):
            raise _too_few(contents, role, name, divided)
    return Partition(train, validation, test, (*notes, note, *_on_both_sides(contents, train, test)))


def not_measured(contents: Contents, chosen: Partition) -> tuple[str, ...]:
    """Returns a sentence for each role that lacks classes which are trained: their scores say nothing of them."""
    roles = {"validation": chosen.validation, "test": chosen.test}
    sentences = []
    for name, role in roles.items():
        if role is None or (name == "validation" and role is chosen.test):
            continue
        counts = np.bincount(contents.label_numbers[role.positions], minlength=len(contents.labels))
        missing = [label for label, count in zip(contents.labels, counts, strict=True) if not count]
        if missing:
            sentences.append(f"Not measured, as {name} has no image of it: {', '.join(missing)}.")
    return tuple(sentences)


def split_fingerprint(contents: Contents, chosen: Partition) -> str:
    """Returns a sha256 (hex) over the images as a set, each with its label and what it is used for."""
    uses = np.zeros(len(contents), np.int64)
    for role, use in ((chosen.train, _TRAINS), (chosen.validation, _VALIDATES), (chosen.test, _TESTS)):
        if role is not None:
            uses[role.positions] |= use
    return fingerprint(contents.hashes, (contents.label_numbers, uses), (contents.labels,))


def _folded(contents: Contents, whole: Role, fold: str) -> tuple[Role, Role]:
    number, folds = (int(text) for text in fold.split("/"))
    rest, out = _divided(contents, whole, lambda *columns, **who: fold_numbers(*columns, folds, **who) == number - 1)
    name = " + ".join(whole.parts) or "all images"
    return Role(rest, whole.parts), Role(out, name=f"fold {number} of {folds} of {name}")


def _divided(contents: Contents, whole: Role, choose: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the images that stay, and of those that are chosen and can be scored."""
    positions = whole.positions
    persons = [contents.persons[position] for position in positions] if contents.persons else None
    out = choose(contents.label_numbers[positions], contents.hashes[positions], persons=persons)
    if contents.only_trains is not None:
        out &= ~contents.only_trains[positions]
    return positions[~out], positions[out]


def _role(contents: Contents, parts: tuple[str, ...]) -> Role | None:
    parts = tuple(part for part in parts if part in contents.parts)
    if not parts:
        return None
    return Role(np.sort(np.concatenate([contents.in_part(part) for part in parts])), parts)


def _scored(contents: Contents, parts: tuple[str, ...]) -> Role | None:
    """Returns the role of these parts; to validate and test, without images that have no label to score."""
    role = _role(contents, parts)
    if role is None or contents.only_trains is None or parts == _TRAIN:
        return role
    return Role(role.positions[~contents.only_trains[role.positions]], role.parts)


def _on_both_sides(contents: Contents, train: Role, test: Role) -> tuple[str, ...]:
    if not contents.persons:
        return ()
    trained, tested = ({contents.persons[i] for i in role.positions} - {""} for role in (train, test))
    both = len(trained & tested)
    return (f"{both:,} of the {len(tested):,} persons in test are in training too.",) if both else ()


def _split(whole: Role, contents: Contents, fraction: float, key: str) -> tuple[Role, Role]:
    rest, out = _divided(contents, whole, partial(held_out, fraction=fraction, key=key))
    return Role(rest, tuple(part for part in whole.parts if part != ALL_IMAGES)), Role(out)


def _with_more(contents: Contents, train: Role, more: Role, test: Role) -> Role:
    """Returns the training images and those that were added; an added one that corrects another takes its place.

    What is held out for test is neither corrected nor trained on.
    """
    added = more.positions[~np.isin(contents.hashes[more.positions], contents.hashes[test.positions])]
    own = train.positions[~np.isin(contents.hashes[train.positions], contents.hashes[added])]
    return Role(np.concatenate([own, added]), train.parts)


def _without_excluded(contents: Contents, path: str, roles: tuple[Role, Role | None]) -> tuple[Role, Role | None, str]:
    """Returns the roles without the images that the file names, and how many these are.

    Test images stay: what is measured must not depend on what was found wrong.
    """
    try:
        checked_status(expanded(path))
        names = set(filter(None, map(str.strip, expanded(path).read_text(encoding="utf-8-sig").splitlines())))
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"The list of images to exclude cannot be read: {error}.",
            hint="It is a text file with a name in each line.",
        ) from None
    named = np.array([name.strip() in names for name in contents.names])
    if not named.any():
        raise DatasetError(
            f"{path} names no image of this data.",
            hint=f"Names are written like {contents.names[0]!r}, one in each line.",
        )
    kept = [role and Role(role.positions[~named[role.positions]], role.parts) for role in roles]
    excluded = sum(len(role) for role in roles if role) - sum(len(role) for role in kept if role)
    others = len(names) - excluded
    rest = f" {others:,} other names in it are test images or unknown." if others else ""
    return *kept, f"Excluded: {excluded:,} images named in {path}.{rest}"


def _with_validation(
    contents: Contents, config: TrainConfig, roles: tuple[Role, Role | None, Role]
) -> tuple[Role, Role | None, str]:
    train, own, test = roles
    unused = f" The {len(own):,} images of {' + '.join(own.parts)} are not used." if own else ""
    if config.validation == "none":
        return train, None, f"Validation: none; trained on all {len(train):,} training images.{unused}"
    if config.validation == "test":
        note = f"Validation: the {len(test):,} test images themselves (--validation test)"
        return train, test, f"{note}, so scores on them are not independent.{unused}"
    if own:
        return train, own, f"Validation: {len(own):,} images of {' + '.join(own.parts)}."
    rest, out = _split(train, contents, config.validation_fraction, f"validation {config.seed}")
    note = f"Validation: {len(out):,} of {len(train):,} training images, held out by seed {config.seed}."
    return rest, out, note


def _roles_to_fill(config: TrainConfig, *, has_validation: bool, has_test: bool) -> tuple[str, ...]:
    """Returns what the images of one class are divided among."""
    test = () if has_test or has_validation else ("test",)  # validation is test where there is no test
    validation = ("validation",) if config.validation == "split" and not (has_validation and has_test) else ()
    return ("training", *validation, *test)


def _too_few(contents: Contents, role: Role, name: str, divided: tuple[str, ...]) -> DatasetError:
    if role.parts:
        return DatasetError(
            f"No image of {' + '.join(role.parts)} can be scored: training has none of its classes, or no label has "
            "the majority of the votes.",
            hint=f"Add images to {name} of classes that training has.",
        )
    each = " and ".join(filter(None, (", ".join(divided[:-1]), divided[-1])))
    if contents.persons:
        return DatasetError(
            f"No image is left for {name}: the pictures show {len(set(contents.persons)):,} persons, and nobody may be "
            "on both sides.",
            hint=f"Pictures of more persons are needed, of each emotion at least one each for {each}.",
        )
    positions = _role(contents, (*_TRAIN, ALL_IMAGES, MORE_IMAGES)).positions
    labels, hashes = contents.label_numbers[positions], contents.hashes[positions]
    different = [len(np.unique(hashes[labels == number])) for number in range(len(contents.labels))]
    counts = ", ".join(f"{label} has {count}" for label, count in zip(contents.labels, different, strict=True))
    return DatasetError(
        f"No image is left for {name}: too few different images, copies not counted ({counts}).",
        hint=f"Each class needs at least {len(divided)} different images: one each for {each}.",
    )


def _refuse_missing_classes(contents: Contents, train: Role) -> None:
    left = np.bincount(contents.label_numbers[train.positions], minlength=len(contents.labels))
    for number in np.flatnonzero(left == 0):
        whole = int((contents.label_numbers == number).sum())
        raise DatasetError(
            f"{contents.labels[number]} has no training image left after splitting ({whole:,} in all).",
            hint="Add images of it, exclude fewer, or train with a smaller test_split or validation_fraction.",
        )


def fer2013_titles(contents: Contents) -> dict[str, str] | None:
    """Returns what each part of the source is called in FER-2013, or None where it is another data set.

    Images that were added to it keep the name of their part.
    """
    if contents.labels != FER2013_LABELS:
        return None
    counts = contents.counts()
    added = {MORE_IMAGES: MORE_IMAGES} if counts.pop(MORE_IMAGES, None) else {}
    titles = {part: _TITLES.get(tuple(of_part.values())) for part, of_part in counts.items()}
    return titles | added if TRAINING in titles.values() and None not in titles.values() else None

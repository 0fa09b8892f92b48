"""Who trains, validates and tests: from the parts that the source has, the settings and the seed."""

from dataclasses import dataclass

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.contents import Contents, fingerprint
from fer_core.data.listing import ALL_IMAGES, MORE_IMAGES
from fer_core.data.splits import held_out
from fer_core.errors import DatasetError

_TRAIN, _VALIDATION, _TEST = ("train", "Training"), ("validation", "PublicTest"), ("test", "PrivateTest")
PART_ORDER = (*_TRAIN, *_VALIDATION, *_TEST, ALL_IMAGES, MORE_IMAGES)
"""How parts are listed for people."""

_UNUSED, _TRAINS, _VALIDATES, _TESTS = 0, 1, 2, 4


@dataclass(frozen=True)
class Role:
    """The images of one role: `positions` in the contents (int64), and the source's parts that they are (if any)."""

    positions: np.ndarray
    parts: tuple[str, ...] = ()


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
    train, own_validation, test = (_role(contents, parts) for parts in (_TRAIN, _VALIDATION, _TEST))
    notes: list[str] = []
    roles = _roles_to_fill(config, has_validation=own_validation is not None, has_test=test is not None)
    if test is None and own_validation is not None:
        test, own_validation = own_validation, None
        notes.append(
            f"Test: {len(test.positions):,} images of {' + '.join(test.parts)}, as there is no other test part."
        )
    if train is None and ALL_IMAGES not in contents.parts:
        raise DatasetError(
            f"The data has {' and '.join(contents.parts)} but nothing to train on.",
            hint="Add a train/ folder (in a csv: rows with Usage Training).",
        )
    if test is None:
        whole = train or _role(contents, (ALL_IMAGES,))
        train, test = _split(whole, contents, config.test_split, f"test {config.seed}")
        notes.append(_held_out_note("Test", test, train, config.seed))
    train = _with_more_images(train, contents)
    train, validation, note = _with_validation(contents, config, (train, own_validation, test))
    _refuse_missing_classes(contents, train)
    _refuse_empty(validation, contents, "validation", roles)
    _refuse_empty(test, contents, "test", roles)
    return Partition(train, validation, test, (*notes, note))


def split_fingerprint(contents: Contents, chosen: Partition) -> str:
    """Returns a sha256 (hex) over the images as a set, each with its label and what it is used for."""
    uses = np.full(len(contents), _UNUSED)
    roles = ((chosen.train, _TRAINS), (chosen.validation, _VALIDATES), (chosen.test, _TESTS))
    for role, use in roles:
        if role is not None:
            uses[role.positions] |= use
    return fingerprint(contents.hashes, (contents.label_numbers, uses), (contents.labels,))


def _role(contents: Contents, parts: tuple[str, ...]) -> Role | None:
    parts = tuple(part for part in parts if part in contents.parts)
    if not parts:
        return None
    return Role(np.sort(np.concatenate([contents.in_part(part) for part in parts])), parts)


def _with_more_images(train: Role, contents: Contents) -> Role:
    """Only now: which images test must not depend on them."""
    more = _role(contents, (MORE_IMAGES,))
    return train if more is None else Role(np.concatenate([train.positions, more.positions]), train.parts)


def _split(whole: Role, contents: Contents, fraction: float, key: str) -> tuple[Role, Role]:
    out = held_out(
        contents.label_numbers[whole.positions], contents.hashes[whole.positions], fraction=fraction, key=key
    )
    kept_parts = tuple(part for part in whole.parts if part != ALL_IMAGES)
    return Role(whole.positions[~out], kept_parts), Role(whole.positions[out])


def _with_validation(
    contents: Contents, config: TrainConfig, roles: tuple[Role, Role | None, Role]
) -> tuple[Role, Role | None, str]:
    train, own, test = roles
    unused = f" The {len(own.positions):,} images of {' + '.join(own.parts)} are not used." if own else ""
    if config.validation == "none":
        return train, None, f"Validation: none; trained on all {len(train.positions):,} training images.{unused}"
    if config.validation == "test":
        note = f"Validation: the {len(test.positions):,} test images themselves (--validation test)"
        return train, test, f"{note}, so scores on them are not independent.{unused}"
    if own:
        return train, own, f"Validation: {len(own.positions):,} images of {' + '.join(own.parts)}."
    train, validation = _split(train, contents, config.validation_fraction, f"validation {config.seed}")
    return train, validation, _held_out_note("Validation", validation, train, config.seed)


def _held_out_note(title: str, out: Role, kept: Role, seed: int) -> str:
    whole = len(out.positions) + len(kept.positions)
    kind = "training images" if title == "Validation" else "images"
    return f"{title}: {len(out.positions):,} of {whole:,} {kind}, held out by seed {seed}."


def _roles_to_fill(config: TrainConfig, *, has_validation: bool, has_test: bool) -> tuple[str, ...]:
    """Returns what the images of one class are divided among."""
    test = () if has_test or has_validation else ("test",)  # validation is test where there is no test
    validation = ("validation",) if config.validation == "split" and not (has_validation and has_test) else ()
    return ("training", *validation, *test)


def _refuse_empty(role: Role | None, contents: Contents, name: str, roles: tuple[str, ...]) -> None:
    if role is None or len(role.positions):
        return
    divided = _role(contents, (*_TRAIN, ALL_IMAGES, MORE_IMAGES)).positions
    labels, hashes = contents.label_numbers[divided], contents.hashes[divided]
    different = [len(np.unique(hashes[labels == number])) for number in range(len(contents.labels))]
    counts = ", ".join(f"{label} has {count}" for label, count in zip(contents.labels, different, strict=True))
    each = " and ".join(filter(None, (", ".join(roles[:-1]), roles[-1])))
    raise DatasetError(
        f"No image is left for {name}: too few different images, copies not counted ({counts}).",
        hint=f"Each class needs at least {len(roles)} different images: one each for {each}.",
    )


def _refuse_missing_classes(contents: Contents, train: Role) -> None:
    left = np.bincount(contents.label_numbers[train.positions], minlength=len(contents.labels))
    for label, count in zip(contents.labels, left, strict=True):
        if count == 0:
            whole = int((contents.label_numbers == contents.labels.index(label)).sum())
            raise DatasetError(
                f"{label} has no training image left after splitting ({whole:,} in all).",
                hint="Add images of it, or hold out less with --test-split and --validation-fraction.",
            )

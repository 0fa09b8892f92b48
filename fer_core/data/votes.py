"""FER+ (Barsoum et al. 2016, arXiv 1608.01041): what ten people voted for each picture of FER-2013, and what follows.

`fer2013new.csv` has a line of votes for each row of fer2013.csv. The pictures of the common download have names without
row numbers: `fer2013_rows.npz` says which row each of them is. Rules and thresholds are those of the authors' script.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.tree import rows
from fer_core.errors import DatasetError
from fer_core.labels import USUAL_LABELS, LabelMap, label_map
from fer_core.paths import Paths, Published, checked_status, expanded, fetched

FERPLUS = Published(
    name="fer2013new.csv",
    url="https://raw.githubusercontent.com/microsoft/FERPlus/master/fer2013new.csv",
    sha256="9206e20d62f56475939f516847d61753e4860caeac9718b560129541b776fc2c",
)
COLUMNS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "NF")
"""What the ten numbers of FER+ count; NF: not a face."""
HEADER = "usage,image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,nf"
EMOTIONS_VOTED = 8
NO_VOTES = "as FER+ has no votes on them (not a face)"
_NOT_AN_EMOTION = "as most votes say unknown or not a face"
_NO_MAJORITY = "as no emotion has more than half of the votes"
_NOT_OF_SEVEN = "as contempt is not one of the 7 classes"
_FEW_PARTICIPATE = "as the votes are spread over too many emotions"

_USAGES = ("Training", "PublicTest", "PrivateTest")
_ROW_NAME, _DOWNLOAD_NAME = re.compile(r"fer(\d{7})"), re.compile(rf"({'|'.join(_USAGES)})_(\d{{1,8}})")
_SAME_NUMBER = {
    "angry/Training_8475486": 24067,
    "surprise/Training_8475486": 27820,
    "happy/PrivateTest_30360811": 33203,
    "happy/PublicTest_30360811": 31170,
    "neutral/Training_52789098": -1,
    "surprise/Training_52789098": 2164,
}
"""The pictures of the download whose number another one has too."""
_ROWS = Path(__file__).parent / "fer2013_rows.npz"
_MOST_ROWS = 100_000
_NO_ROW = 65_535
_HINT = "Give FER+'s fer2013new.csv, or --votes ferplus to have it downloaded."


class Voted(NamedTuple):
    """What the votes on one picture come to.

    `shares` are those of the emotions that were voted for, of 1 together; `only_trains`: none has a majority to score.
    """

    label: str
    shares: tuple[tuple[str, float], ...]
    only_trains: bool


@dataclass(frozen=True)
class Votes:
    """The votes on all rows of fer2013.csv: `counts` int (rows, 10), and each row's Usage."""

    counts: np.ndarray
    usages: Sequence[str]

    def of_row(self, row: int | None) -> tuple[str, tuple[int, ...]] | None:
        """Returns a row's Usage and its votes; None where there are none: it is not a face."""
        if row is None or not 0 <= row < len(self.usages) or not self.usages[row]:
            return None
        return self.usages[row], tuple(self.counts[row].tolist())

    def of_picture(self, name: str) -> tuple[str, tuple[int, ...]] | None:
        """Returns the Usage and the votes of a picture by its name, as FER+ or the common download name it."""
        return self.of_row(self.row_of(PurePosixPath(name)))

    def row_of(self, path: PurePosixPath) -> int | None:
        """Returns which row of fer2013.csv a picture is, by its name; None where that is not known."""
        if match := _ROW_NAME.fullmatch(path.stem):
            return int(match[1])
        if (match := _DOWNLOAD_NAME.fullmatch(path.stem)) is None:
            return None
        own = _SAME_NUMBER.get(f"{path.parent.name.lower()}/{path.stem}")
        return own if own is not None else self._rows_by_number.get(int(match[2]))

    @cached_property
    def _rows_by_number(self) -> dict[int, int]:
        with np.load(_ROWS) as stored:
            numbers, found = np.cumsum(stored["steps"], dtype=np.int64), stored["rows"]
        return {number: row for number, row in zip(numbers.tolist(), found.tolist(), strict=True) if row != _NO_ROW}


def is_votes_header(row: Sequence[str]) -> bool:
    """Returns whether a table with this first line is FER+'s."""
    return ",".join(row).lower() == HEADER


def is_named_by_row(path: PurePosixPath) -> bool:
    """Returns whether a picture has the name that FER+ gives it."""
    return _ROW_NAME.fullmatch(path.stem) is not None


def read_votes(lines: Iterable[list[str]], name: str) -> Votes:
    """Returns the votes that stand in the lines of fer2013new.csv. Raises DatasetError."""
    counts, usages = [], []
    for number, row in enumerate(lines):
        if number == 0:
            if not is_votes_header(row):
                raise DatasetError(f"{name} is not FER+'s table of votes (by its first line).", hint=_HINT)
            continue
        if (
            number > _MOST_ROWS
            or len(row) != 2 + len(COLUMNS)
            or row[0] not in _USAGES
            or not all(cell.isdecimal() and len(cell) < 3 for cell in row[2:])
        ):
            raise DatasetError(f"{name}, line {number + 1}: not a Usage and ten numbers of votes.", hint=_HINT)
        usages.append(row[0] if row[1] else "")
        counts.append([int(cell) for cell in row[2:]])
    return Votes(np.array(counts, np.int64).reshape(-1, len(COLUMNS)), usages)


def votes_for(config: TrainConfig, paths: Paths, *, published: Published = FERPLUS) -> Votes | None:
    """Returns the votes that `--votes` names; None without it, or for 'none'.

    'ferplus' means the fer2013new.csv beside the data, and is downloaded where there is none. Raises DatasetError,
    SourceError.
    """
    if config.votes in (None, "none"):
        return None
    path = expanded(config.votes)
    if config.votes == "ferplus":
        path = expanded(config.data or ".").parent / "fer2013new.csv"
        if not path.is_file():
            path = fetched(published, paths.cache / "votes", hint="Fetch it by hand, and name it with --votes FILE.")
    try:
        checked_status(path)
        with path.open("rb") as stream:
            lines = ([cell.strip() for cell in row] for _, row in rows(stream, str(path), hint=_HINT) if row)
            return read_votes(lines, str(path))
    except OSError as error:
        raise DatasetError(f"--votes {path} cannot be read: {error.strerror or error}.", hint=_HINT) from None


@dataclass(frozen=True)
class VoteRule:
    """How votes become labels: `--vote-target` and `--vote-classes`."""

    target: str = "majority"
    classes: int = EMOTIONS_VOTED

    @property
    def keeps_labels(self) -> bool:
        """Whether the data's own labels stay, and all of its pictures."""
        return self.target == "softened"

    def of(self, counts: Sequence[int] | None, label: str = "") -> Voted | str:
        """Returns what the votes come to, or why the picture is left out; votes of one person do not count.

        Args:
            counts: of FER+'s ten columns; None: nobody voted.
            label: the picture's own. Where it is kept, the shares are those of all votes for emotions.
        """
        if self.keeps_labels:
            emotions = (counts or ())[:EMOTIONS_VOTED]
            shares = ((name, count / sum(emotions)) for name, count in zip(COLUMNS, emotions, strict=False) if count)
            return Voted(label, tuple(shares), False)
        if counts is None:
            return NO_VOTES
        votes = [count if count > 1 else 0 for count in counts]
        whole, most = sum(votes), max(votes)
        winner = votes.index(most)
        has_majority = 2 * most > whole
        if has_majority and winner >= EMOTIONS_VOTED:
            return _NOT_AN_EMOTION
        if has_majority and winner >= self.classes:
            return _NOT_OF_SEVEN
        if self.target == "majority":
            if not has_majority:
                return _NO_MAJORITY
            return Voted(COLUMNS[winner], ((COLUMNS[winner], 1.0),), False)
        return self._shared(votes, has_majority)

    def _shared(self, votes: list[int], has_majority: bool) -> Voted | str:
        """Returns the shares of the strongest emotions: at most three, with three quarters of the votes together."""
        kept = _strongest(votes)
        if kept is None:
            return _FEW_PARTICIPATE
        kept = kept[: self.classes]
        whole = sum(kept)
        if not whole:
            return _NOT_AN_EMOTION if sum(votes[EMOTIONS_VOTED:]) else _NOT_OF_SEVEN
        shares = tuple((name, count / whole) for name, count in zip(COLUMNS, kept, strict=False) if count)
        return Voted(COLUMNS[kept.index(max(kept))], shares, not has_majority)

    def sentence(self) -> str:
        """Returns how labels came about, for people."""
        if self.keeps_labels:
            return "Votes (FER+) soften the labels that are trained on; scores are on the data's own labels."
        trained = {
            "majority": "the majority of the votes",
            "probability": "an emotion drawn anew in each epoch by its share of the votes",
            "cross-entropy": "the shares of the votes",
        }[self.target]
        return (
            f"Votes (FER+, {self.classes} classes): trained on {trained}; scores are on the majority, where it has "
            "more than half of the votes, as in arXiv 1608.01041."
        )


MAJORITY = VoteRule()


@dataclass(frozen=True)
class ReadOptions:
    """How data is read, by the settings."""

    labels: LabelMap = USUAL_LABELS
    votes: Votes | None = None
    rule: VoteRule = MAJORITY
    takes_votes_beside: bool = True
    key: str = ""
    """Tells these options apart from others; empty for the usual ones."""


USUAL = ReadOptions()


def _strongest(votes: list[int]) -> list[int] | None:
    """Returns the votes that the authors' script keeps, by `_process_data` in its mode crossentropy; else None."""
    whole, left = sum(votes), list(votes)
    kept, count, is_valid = [0] * len(votes), 0, True
    while sum(kept) < 0.75 * whole and count < 3 and is_valid:
        most = max(left)
        for place, value in enumerate(left):
            if value != most:
                continue
            kept[place], left[place] = most, 0
            count += 1
            if place >= EMOTIONS_VOTED:  # unknown, or not a face
                is_valid = False
                if sum(kept) > most:  # emotions come before it
                    kept[place] = 0
                    count -= 1
                break
    if 2 * sum(kept) <= whole or count > 3 or max(kept[EMOTIONS_VOTED:]) == max(kept):
        return None
    return kept


def read_options(config: TrainConfig, paths: Paths) -> ReadOptions:
    """Returns how the settings want data to be read. Raises ConfigError, DatasetError, SourceError."""
    labels, votes = label_map(config.label_map), votes_for(config, paths)
    rule = VoteRule(config.vote_target, config.vote_classes)
    parts = [labels.text(), config.votes, rule if rule != MAJORITY else None]
    parts += [None if votes is None else hashlib.sha256(votes.counts.tobytes()).hexdigest()]
    return ReadOptions(labels, votes, rule, config.votes != "none", repr(parts) if any(parts) else "")


def settled_labels(config: TrainConfig) -> dict[str, str | None]:
    """Returns the settings of labels and votes as they hold in any folder, with what a file of labels says."""
    votes = config.votes
    if votes not in (None, "none", "ferplus"):
        votes = str(expanded(votes).resolve())
    return {"label_map": label_map(config.label_map).text(), "votes": votes}

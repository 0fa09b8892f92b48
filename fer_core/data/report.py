"""What is said of how data was read: the format, what was read as what, what was left out and why.

The same object is printed, saved with the audit and shown on the web page.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from fer_core.errors import printable
from fer_core.labels import NAMELESS, is_emotion

_FEW = 3
TOP = "the top folder"
DRAWN = "drawn faces"


@dataclass
class LeftOut:
    """Pictures that are not used: why, how many, and in which folder."""

    reason: str
    images: int
    place: str

    def sentence(self) -> str:
        """Returns it for people."""
        return f"Left out, {self.reason}: {self.images:,}{f' in {self.place}' if self.place else ''}."


@dataclass
class DataReport:
    """How a source was read."""

    format: str = "class folders"
    is_usual: bool = True
    """Whether people know without being told: class folders, and FER-2013's csv."""
    read_as: dict[str, str] = field(default_factory=dict)
    """The labels that are called otherwise in the data; '' where the class is dropped."""
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    votes: str = ""
    """How the votes of several people became labels, in a sentence."""
    faces: str = ""
    """Where the faces are in the pictures, and why so, in a sentence."""
    faces_missed: list[str] = field(default_factory=list)
    """Sentences on pictures with no face, or several."""
    without_face: list[str] = field(default_factory=list)
    """Names of pictures in which none was found."""
    several_faces: list[str] = field(default_factory=list)
    """Names of pictures in which several were found."""
    detector: str = ""
    """What looked for faces, if something did."""
    is_aligned: bool = False
    """Whether faces were turned upright."""
    persons: int | None = None
    """How many people the pictures show; None where that is not known."""

    def leave_out(self, reason: str, place: str = "", images: int = 1) -> None:
        """Counts pictures that are not used."""
        for one in self.left_out:
            if (one.reason, one.place) == (reason, place):
                one.images += images
                return
        self.left_out.append(LeftOut(reason, images, place))

    def leave_all_out(self, reasons: Mapping[str, str], root: tuple[str, ...] = ()) -> None:
        """Counts the pictures by their reasons and by the folders, in or beside `root`, that they lie in."""
        counts = Counter((reason, folder_in(name, root)) for name, reason in reasons.items())
        for (reason, place), images in sorted(counts.items()):
            self.leave_out(reason, place, images)

    def sentences(self) -> tuple[str, ...]:
        """Returns what is to be said of it."""
        renamed = [f"{found} as {label}" for found, label in sorted(self.read_as.items()) if label]
        dropped = sorted(found for found, label in self.read_as.items() if not label)
        labels = [f"Labels: {', '.join(renamed)}."] if renamed else []
        labels += [f"Dropped: {', '.join(dropped)}."] if dropped else []
        said = ["" if self.is_usual else f"Read as {self.format}.", " ".join(labels), self.votes]
        said += [self.faces if self.detector else "", *self.faces_missed, *self.notes]
        said += [one.sentence() for one in self.left_out]
        return tuple(printable(text, kept="") for text in said if text)

    def of_persons(self) -> str:
        """Returns what is known of the people in the pictures."""
        if self.format == DRAWN:
            return ""
        if self.persons is None:
            return "Persons are not known: pictures of one person may be in training and in test."
        return f"Persons: {self.persons:,}."

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self) | {"sentences": list(self.sentences())}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "DataReport":
        """Returns what `asdict` made. Raises TypeError, KeyError."""
        return cls(**values | {"left_out": [LeftOut(**one) for one in values["left_out"]]})


def folder_in(name: str, root: tuple[str, ...]) -> str:
    """Returns the folder in `root` that a file lies in, or the first one beside it."""
    parts = PurePosixPath(name).parts[:-1]
    return "/".join(parts[: len(common_folder([root, parts])) + 1]) or TOP


def missing_pictures(lines: int, tables: Iterable[str]) -> list[str]:
    """Returns a note on lines of tables that name pictures which are not there, if there are some."""
    named = f"{lines:,} lines of {{}} name" if lines > 1 else "1 line of {} names"
    return [f"{named.format(listed(tables))} no picture that is there."] if lines else []


def guessed(labels: Collection[str]) -> list[str]:
    """Returns a sentence where the classes have no meaning that is known."""
    if labels and all(name.isdecimal() for name in labels):
        return [f"Guessed: the classes are the numbers {listed(labels)}, {NAMELESS}."]
    if labels and not any(map(is_emotion, labels)):
        return [f"Guessed: the classes are {listed(labels)}. None is named after a known emotion."]
    return []


def folder_around(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the parts of the folder that all these files lie in."""
    return common_folder({PurePosixPath(name).parts[:-1] for name in names})


def common_folder(folders: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns the parts that all these folders begin with."""
    ends = zip(min(folders, default=()), max(folders, default=()), strict=False)
    return tuple(part for part, _ in takewhile(lambda pair: pair[0] == pair[1], ends))


def listed(names: Iterable[str], most: int = 4) -> str:
    """Returns names as a list in a sentence: the first few of many."""
    names = sorted(names)
    if len(names) > most:
        return f"{', '.join(names[:_FEW])} and {len(names) - _FEW:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

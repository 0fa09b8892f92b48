"""The names that emotions have: which of them mean the same, what numbers mean where, and how `--label-map` changes it.

Knows no pictures. A name that is none of these is a class of its own.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ConfigError, did_you_mean, printable

FER2013_CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""What the numbers 0..6 of fer2013.csv mean. Folders sort alphabetically: three of the seven then stand elsewhere."""

FER2013_LABELS = tuple(sorted(FER2013_CSV_ORDER))

COLOURS = {
    "angry": "#d62728",
    "contempt": "#8c6d31",
    "disgust": "#2ca02c",
    "fear": "#9467bd",
    "happy": "#e6a700",
    "neutral": "#7f7f7f",
    "sad": "#1f77b4",
    "surprise": "#e377c2",
}
SPARE_COLOURS = ("#17becf", "#bcbd22", "#ff7f0e", "#8c564b", "#393b79", "#637939", "#843c39", "#7b4173")

EMOTIONS = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_SAME_WORD = {
    "angry": ("anger", "angriness", "angery"),
    "contempt": ("contemptuous", "contemptous", "contempts"),
    "disgust": ("disgusted", "disgusting", "disguist", "disgusts"),
    "fear": ("fearful", "fearfull", "feared", "fears"),
    "happy": ("happiness", "happyness", "happines"),
    "neutral": ("neutrality", "netural", "nuetral"),
    "sad": ("sadness", "saddness"),
    "surprise": ("surprised", "suprise", "suprised", "surprize", "surprized", "surprising", "surprises"),
}
_NEAR_WORD = {
    "angry": ("mad", "rage", "furious", "angered", "ang", "an"),
    "contempt": ("scorn", "disdain", "con", "co"),
    "disgust": ("revulsion", "repulsed", "dis", "di"),
    "fear": ("afraid", "scared", "frightened", "terrified", "fea", "af", "fe"),
    "happy": ("joy", "joyful", "smile", "smiling", "smiley", "cheerful", "laughing", "hap", "ha"),
    "neutral": ("calm", "natural", "noemotion", "expressionless", "neu", "ne"),
    "sad": ("sorrow", "sorrowful", "unhappy", "sadly", "sa"),
    "surprise": ("astonished", "astonishment", "amazed", "shocked", "sur", "su"),
}
"""Taken for the emotion where the data has no class that is called so already: RAVDESS has calm and neutral."""
_SAME = {word: label for label, words in _SAME_WORD.items() for word in (label, *words)}
_NEAR = {word: label for label, words in _NEAR_WORD.items() for word in words}
EMOTION_WORDS = {word for word in (*_SAME, *_NEAR) if len(word) > 3 or word in ("sad", "joy", "mad")}
"""Words for emotions that may stand in a longer name."""
_FILLERS = {
    *("face", "faces", "image", "images", "img", "people"),
    *("emotion", "emotions", "expression", "expressions", "class", "label"),
}

_NO_LABEL = {
    *("unlabeled", "unlabelled", "unannotated", "nolabel", "nan", "null", "na", "none", "unknown", "uncertain"),
    *("noface", "nonface", "notaface", "nf"),
}
"""Data sets say so of pictures that show no emotion, or none that is known: nothing is to be learnt of them."""

_MEANINGS = {
    "fer2013": (0, "angry disgust fear happy sad surprise neutral contempt"),
    "affectnet": (0, "neutral happy sad surprise fear disgust angry contempt"),
    "rafdb": (1, "surprise fear disgust happy sad angry neutral"),
    "expw": (0, "angry disgust fear happy sad surprise neutral"),
    "ckplus": (0, "neutral angry contempt disgust fear happy sad surprise"),
}
NUMBERS = {
    name: {str(number): label for number, label in enumerate(labels.split(), first)}
    for name, (first, labels) in _MEANINGS.items()
}
"""What the numbers of data sets mean; each is also a name that `--label-map` takes."""

_PAIR = re.compile(r"\s*([^=,;\t:]+?)\s*[=,;\t:]\s*([^=,;\t:]*?)\s*")
_MOST_BYTES = 2**20
NAMELESS = (
    "whose meaning is not known. --label-map names them: affectnet, fer2013, rafdb, expw or ckplus for what numbers "
    "mean there, or 0=angry,1=happy"
)
_FORM = "It is a file, a list such as anger=angry,8= (nothing after = drops the class), {} or none."
_HINT = _FORM.format(", ".join(NUMBERS))


def normalized(name: str) -> str:
    """Returns a name in lower case, composed, without blanks around it: so that ö is the same everywhere."""
    return unicodedata.normalize("NFC", name).strip().lower()


def words_of(name: str) -> list[str]:
    """Returns the words in a name in lower case: those of "FER2013Train" are fer, 2013 and train."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", apart)]


def is_emotion(name: str) -> bool:
    """Returns whether the name has a word for one of the emotions that data sets of faces have, in English."""
    return any(word in EMOTION_WORDS for word in words_of(name))


def canonical(name: str) -> str:
    """Returns the emotion that a class is called after in other words ("Anger", "fearful"), or its normalized name."""
    name = normalized(name)
    return _SAME.get(name) or _NEAR.get(name) or _without_fillers(name) or name


def known_label(name: str, labels: Collection[str]) -> str | None:
    """Returns which of the labels a class is: the same one, or the only one that means the same emotion."""
    if name in labels:
        return name
    same = [label for label in labels if canonical(label) == canonical(name)]
    return same[0] if len(same) == 1 else None


def _without_fillers(name: str) -> str | None:
    """Returns the emotion of "3_happy" or "angry faces"."""
    words = [word for word in words_of(name) if word not in _FILLERS and not word.isdecimal()]
    return _SAME.get(words[0]) if len(words) == 1 else None


class LabelMap(NamedTuple):
    """What classes are read as: by a table first, and then by what their names mean."""

    table: Mapping[str, str] = {}
    """By normalized name; an empty label drops the class."""
    aliases: bool = True
    name: str = ""
    """Of the data set whose numbers these are."""

    def read(self, names: Collection[str]) -> dict[str, str]:
        """Returns what each class of a data set is read as; '' where it is dropped.

        Args:
            names: normalized.

        Raises:
            ConfigError: the table names a class that is not there.
        """
        found = {name: canonical(name) if self.aliases else name for name in names}
        called = Counter(found.values())
        are_emotions = 2 * sum(label in EMOTIONS for label in found.values()) > len(found)
        # Not where there is calm beside neutral, "angry 1" beside "angry 2", or con beside pro and contra.
        taken = {name for name, label in found.items() if name in _SAME or (are_emotions and called[label] == 1)}
        meant = {name: label if name in taken else name for name, label in found.items()}
        keys = {_key(name) for name in (*meant.values(), *names)}
        unknown = [key for key in self.table if key not in keys and self._meant(key) not in keys]
        if (self.table and len(unknown) == len(self.table)) or (unknown and not self.name):
            raise ConfigError(
                f"--label-map names {unknown[0]!r}; the data has no such class.", hint=did_you_mean(unknown[0], keys)
            )
        no_label = {name for name in names if self.aliases and re.sub(r"[\W_]", "", name) in _NO_LABEL}
        return {name: self.one(name, "" if name in no_label else label) for name, label in meant.items()}

    def one(self, name: str, label: str) -> str:
        """Returns what a class is read as that means `label` in the data set, such as a number."""
        named = {self._meant(key): read for key, read in self.table.items()} | dict(self.table)
        return next((named[key] for key in (_key(name), _key(label)) if key in named), label)

    def _meant(self, key: str) -> str:
        return canonical(key) if self.aliases else key

    def text(self) -> str | None:
        """Returns the map as `--label-map` takes it again; None for the usual one."""
        if not self.aliases:
            return "none"
        return self.name or ",".join(f"{key}={label}" for key, label in self.table.items()) or None


USUAL_LABELS = LabelMap()


def _key(name: str) -> str:
    return str(int(name)) if name.isdecimal() and name.isascii() else name


def label_map(text: str | None) -> LabelMap:
    """Returns what `--label-map` says.

    Raises:
        ConfigError: it is neither a list, a file of one, the name of a data set, nor 'none'.
    """
    if text is None:
        return LabelMap()
    if text.strip().lower() == "none":
        return LabelMap(aliases=False)
    if text.strip().lower() in NUMBERS:
        name = text.strip().lower()
        return LabelMap(NUMBERS[name], name=name)
    pairs = text.split(",") if "=" in text else _lines(Path(text).expanduser())
    return LabelMap(dict(_pairs(pairs, text)))


def _lines(path: Path) -> list[str]:
    try:
        if not path.is_file():
            raise OSError("there is no such file")
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--label-map {path} cannot be read: {error}.", hint=_HINT) from None
    if not content.lstrip().startswith(("{", "[")):
        return [line for line in content.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        table = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--label-map {path} is no JSON: {error}.", hint=_HINT) from None
    table = dict(enumerate(table)) if isinstance(table, list) else table
    return [f"{name}={label}" for name, label in table.items()]


def _pairs(lines: list[str], text: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        pair = _PAIR.fullmatch(line)
        if pair is None or printable(line, kept="\t") != line:
            raise ConfigError(f"--label-map {text[:80]}: {line[:80]!r} is no pair of labels.", hint=_HINT)
        yield _key(normalized(pair[1])), normalized(pair[2])


def in_model_order(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the labels in the one order that every model here uses: lower case, alphabetical, once each."""
    return tuple(sorted({name.strip().lower() for name in names}))


def colour(label: str, labels: tuple[str, ...] = ()) -> str:
    """Returns the colour of `label` as #rrggbb; for a class that is no emotion of ours, by its place in `labels`."""
    place = labels.index(label) if label in labels else 0
    return COLOURS.get(label.strip().lower(), SPARE_COLOURS[place % len(SPARE_COLOURS)])

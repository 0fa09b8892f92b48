"""The labels of a model as a file, in the forms that people have them: JSON, lines of text, a csv.

JSON: a list, {"0": "angry"}, {"angry": 0}, or one of these in an object (`class_indices`, `labels`). Text: a label a
line, in the order of the outputs or with its number before or behind it, as Teachable Machine writes it ("0 Angry").
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, printable
from fer_core.store.files import parse_json, read_whole, write_json

LABELS_BESIDE = tuple(
    f"{name}{suffix}"
    for name in ("{}_labels", "emotion_labels", "labels", "class_indices", "classes", "metadata")
    for suffix in (".json", ".txt", ".csv")
    if name != "metadata" or suffix == ".json"
)
"""The names that are looked for beside a model; {} is that of the model."""

_INSIDE = ("labels", "class_indices", "id2label", "class_names", "classes", "names")
_NUMBER_FIRST = re.compile(r'"?(\d+)"?\s*[\s,;:=.)]\s*"?(.*?)"?')
_NUMBER_LAST = re.compile(r'"?(.*?)"?\s*[,;:=\t]\s*"?(\d+)"?')
_HEADERS = ("label", "labels", "class", "classes", "emotion", "emotions", "name")
_FORM = 'It is JSON like {"0": "angry", "1": "disgust"}, or has a label a line, in the order of the outputs.'


def save_labels(path: Path, labels: Sequence[str]) -> None:
    """Writes {"0": "angry", …}. Raises DiskFullError."""
    write_json(path, {str(place): label for place, label in enumerate(labels)})


def read_labels(path: Path) -> tuple[str, ...]:
    """Returns the labels in the order of the outputs. Raises ArtifactError."""
    text = _text(path)
    try:
        labels = _of_json(parse_json(text)) if text.lstrip().startswith(("{", "[")) else _of_lines(text)
    except ValueError as error:
        raise ArtifactError(f"{path} has no labels of a model: {error}.", hint=_FORM) from None
    labels = [unicodedata.normalize("NFC", label).strip() for label in labels]
    if len(labels) < 2 or any(not label or printable(label) != label for label in labels):
        raise ArtifactError(f"{path} has no labels of a model: too few, or one that cannot be shown.", hint=_FORM)
    return tuple(labels)


def _text(path: Path) -> str:
    try:
        content = read_whole(path)
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except FileNotFoundError:
        raise ArtifactError(f"There is no labels file: {path} is missing.", hint="Check the path.") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ArtifactError(f"The labels file cannot be read: {path}: {reason}.", hint=_FORM) from None


def _of_json(content: Any) -> list[str]:
    while isinstance(content, dict):
        inside = next((content[name] for name in _INSIDE if isinstance(content.get(name), dict | list)), None)
        if inside is None:
            break
        content = inside
    if isinstance(content, list) and all(isinstance(label, str) for label in content):
        return content
    pairs = list(content.items()) if isinstance(content, dict) else []
    if pairs and all(isinstance(name, str) and name.isdecimal() for name, _ in pairs):
        pairs = [(label, int(number)) for number, label in pairs]
    if pairs and all(isinstance(label, str) and type(number) is int for label, number in pairs):
        return _in_order(pairs)
    raise ValueError("it is neither a list of names nor an object of names and numbers")


def _of_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for form, label, number in ((_NUMBER_FIRST, 2, 1), (_NUMBER_LAST, 1, 2)):
        found = [form.fullmatch(line) for line in lines]
        found = found[1:] if found and found[0] is None else found  # a header
        if found and all(found):
            return _in_order([(one[label].strip(), int(one[number])) for one in found])
    if len(lines) < 2:
        return "".join(lines).split(",")
    names = [line.strip('"') for line in lines]
    return names[1:] if names[0].lower() in _HEADERS else names


def _in_order(pairs: list[tuple[str, int]]) -> list[str]:
    """Returns the names in the order of their numbers, which count from 0 or from 1 without a gap."""
    pairs = sorted(pairs, key=lambda pair: pair[1])
    numbers = [number for _, number in pairs]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        raise ValueError("its numbers do not count from 0 or 1 without a gap")
    return [label for label, _ in pairs]

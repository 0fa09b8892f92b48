"""`DataChoice`: which images a page is about, and how they are read; which of them the server's settings allow."""

import errno
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.config import TrainConfig, VoteTarget
from fer_core.errors import ConfigError
from fer_core.labels import NUMBERS, label_map
from fer_core.paths import checked_status, expanded, shipped_folder
from fer_core.store.manifest import Manifest

NO_PATHS = ("sample", "kaggle")
_NAMED_VOTES = (None, "none", "ferplus")
_ELSEWHERE = "Check the path; the search or training would fail. Send it all the same if its workers have it."
_PATH = re.compile(r"[/~.]|[^=]*/[^=]*$")
"""What an argument of a job is that names a file: a label map may have a / too."""
_KINDS = ("data", "label_map", "votes", "vote_classes", "vote_target", "sample_per_class")


class MissingDataError(ConfigError):
    """The images of a job are not on this machine."""


class DataChoice(BaseModel):
    """A data set as somebody chose it. The same images with other labels are another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    label_map: str | None = None
    votes: str | None = None
    vote_classes: Literal[7, 8] = 8
    vote_target: VoteTarget = "majority"
    sample_per_class: int = TrainConfig().sample_per_class

    @property
    def id(self) -> str:
        """What names it in addresses."""
        return hashlib.sha256(self.model_dump_json().encode(errors="surrogateescape")).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What it is called on pages."""
        return Path(self.data).name or self.data

    @property
    def settings(self) -> str:
        """How it is read, where that is not as usual."""
        votes = [f"votes {self.votes}, {self.vote_classes} classes"] if self.votes not in (None, "none") else []
        drawn = self.data == "sample" and self.sample_per_class != TrainConfig().sample_per_class
        votes += [f"{self.sample_per_class:,} faces per class"] if drawn else []
        return "; ".join([*([f"labels {self.label_map}"] if self.label_map else []), *votes])

    @property
    def flags(self) -> str:
        """How a command line names it."""
        given = self.model_dump(exclude_defaults=True)
        return " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items())

    @property
    def stamp(self) -> tuple[int, int] | None:
        """What changes when the file, or what lies at the top of the folder, does; None where it is not there."""
        if self.data in NO_PATHS:
            return (0, 0)
        try:
            status = checked_status(expanded(self.data))
        except (OSError, RuntimeError):
            return None
        return status.st_mtime_ns, status.st_size

    def config(self) -> TrainConfig:
        """Returns the settings to load it with: what cannot be read is left out, and listed."""
        return TrainConfig(**self.model_dump(), skip_bad_images=True, validation="none")


def chosen(values: Mapping[str, Any], folders: Sequence[Path]) -> DataChoice:
    """Returns what somebody chose, with whole paths.

    Raises ConfigError: a path is not there, is a device, or lies in none of `folders`; or a setting is wrong.
    """
    given = {name: value for name, value in values.items() if value not in ("", None)}
    if "data" not in given:
        raise ConfigError("No data set is named.", hint="Give a folder or a file on the server, or sample.")
    paths = {name: given[name] for name in ("data", "votes") if given.get(name) not in _NAMED_VOTES}
    for path in paths.values():
        check_path(path, folders, otherwise="Give a path of the server's, not one of your own machine.")
    whole = {name: path if path in NO_PATHS else str(expanded(path).resolve()) for name, path in paths.items()}
    if "label_map" in given:
        whole["label_map"] = _labels(given["label_map"])
    try:
        return DataChoice.model_validate(given | whole)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{first['loc'][0]}: {first['msg']}.", hint="Choose one of those in the form.") from None


def _labels(text: str) -> str | None:
    """Returns a map of labels in its one form; not from a file, of which an error would show a line."""
    if "=" not in text and text.strip().lower() not in ("none", *NUMBERS):
        raise ConfigError(f"There is no map of labels {text[:60]!r}.", hint=f"{', '.join(NUMBERS)}, none, or a=b,c=d.")
    return label_map(text).text()


def choice_of(manifest: Manifest) -> DataChoice | None:
    """Returns the data set that a run was trained on, None where its record does not say."""
    values = {name: getattr(manifest.config, name) for name in _KINDS}
    data = manifest.data_source or manifest.config.data
    if not data:
        return None
    return DataChoice(**values | {"data": data if data in NO_PATHS else str(expanded(data).resolve())})


def check_data(arguments: Mapping[str, Any], folders: Sequence[Path], *, unchecked: bool) -> None:
    """Raises MissingDataError for images that are not on this machine: most likely misspelt, and found out hours later.

    Workers on other machines may have them all the same, which only the person who sends the job can know: `unchecked`.
    ConfigError for what is here, but neither a file nor a folder, or lies in none of `folders`, if there are some.
    """
    for text in _texts(arguments) if folders else ():
        if _PATH.match(text) and shipped_folder(text) is None:
            check_folder(expanded(text), folders)
    settings = arguments.get("settings")
    named = [arguments.get("data"), settings.get("data") if isinstance(settings, Mapping) else None]
    named += [arguments.get(name) for name in ("markers", "coding", "labels", "detector_model")]
    named += [_beginning(arguments.get("source"), folders)]
    for data in named:
        if isinstance(data, str) and data and data not in NO_PATHS:
            check_folder(expanded(data), folders) if unchecked else check_path(data, folders)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)


def _beginning(source: Any, folders: Sequence[Path]) -> Any:
    """Returns the folder in which a pattern begins, or what is no pattern as it is. Raises ConfigError.

    Where only some folders may be opened, neither a list nor a pattern may lead out of them.
    """
    if not isinstance(source, str):
        return source
    path = Path(source)
    steps = [place for place, part in enumerate(path.parts) if has_magic(part)]
    if folders and (".." in path.parts[steps[0] :] if steps else path.suffix.lower() in (".csv", ".tsv", ".txt")):
        hint = "Give a folder, a file or a pattern of one."
        raise ConfigError("The source may lead out of the folders that this server may open.", hint=hint)
    return str(Path(*path.parts[: steps[0]])) if steps else source


def check_path(data: str, folders: Sequence[Path], *, otherwise: str = _ELSEWHERE) -> None:
    """Raises MissingDataError for images that are not on this machine, ConfigError for a device or another folder."""
    if data in NO_PATHS:
        return
    try:
        checked_status(path := expanded(data))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no such ~user
        if getattr(error, "errno", None) == errno.EINVAL:
            raise ConfigError(f"{data[:200]} holds no images: {error.strerror}.", hint="Check the path.") from None
        raise MissingDataError(f"There is no {data[:200]} on this server.", hint=otherwise) from None
    check_folder(path, folders)


def check_folder(path: Path, folders: Sequence[Path]) -> None:
    """Raises ConfigError for what lies, links followed, in none of the folders that --data-folder names."""
    if not is_allowed(str(path), folders):
        hint = f"It was started with --data-folder: {', '.join(map(str, folders))}."
        raise ConfigError(f"{str(path)[:200]} is not in a folder that this server may open.", hint=hint)


def is_allowed(data: str, folders: Sequence[Path]) -> bool:
    """Returns whether a data set lies, links followed, in one of the folders; without folders any does."""
    if not folders or data in NO_PATHS:
        return True
    return "\0" not in data and any(
        Path(os.path.realpath(data)).is_relative_to(os.path.realpath(folder)) for folder in folders
    )

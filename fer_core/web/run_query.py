"""`RunsQuery`: which runs a list shows, in which order, with which columns. All of it stands in the page's address."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fer_core.errors import ConfigError, did_you_mean
from fer_core.training.history import History
from fer_core.web.answers import RunAnswer
from fer_core.web.run_list import SETTINGS, UNREADABLE

PAGE = 50
"""Lines of one page."""
SHOWN = ("", "archived", "all")
_ORDERS = ("", "rising", "falling")
_FALLING = ("created", "accuracy", "macro_f1", "epoch", "seconds")
"""What begins with the largest."""
_OWN = ("status", "epoch", "accuracy", "macro_f1", "scored_on", "created")
COLUMNS = (*_OWN, "seconds", "notes", *SETTINGS)
SORTS = ("created", "name", *(name for name in COLUMNS if name not in ("created", "scored_on")))
TITLES = {"macro_f1": "Macro F1", "scored_on": "Scored on", "created": "Begun", "seconds": "Took"}
_CSV = (
    *("id", "title", "name", "tags", "notes", "is_archived", "kind", "status", "epoch", "epochs", "accuracy"),
    *(
        "accuracy_interval",
        "macro_f1",
        "split",
        "images",
        "data",
        "is_in_use",
        "created_utc",
        "finished_utc",
        "message",
    ),
)


@dataclass(frozen=True)
class RunsQuery:
    """What an address asks for; '' stands for everything, and for the usual order."""

    search: str = ""
    recipe: str = ""
    kind: str = ""
    status: str = ""
    tag: str = ""
    show: str = ""
    sort: str = "created"
    order: str = ""
    page: int = 1
    columns: tuple[str, ...] = _OWN

    @classmethod
    def of(cls, sent: Any) -> "RunsQuery":
        """Returns what a Werkzeug MultiDict asks for. Raises ConfigError for what there is not."""
        columns = tuple(name for name in COLUMNS if name in sent.getlist("columns")) or _OWN
        texts = {one.name: sent.get(one.name, "")[:200] for one in fields(cls) if one.type is str}
        texts["sort"] = texts["sort"] or "created"
        for name, known, what in (("sort", SORTS, "sorted by"), ("show", SHOWN, "shown as"), ("order", _ORDERS, "put")):
            if texts[name] not in known:
                hint = did_you_mean(texts[name], known)
                raise ConfigError(f"Runs cannot be {what} {texts[name][:60]!r}.", hint=hint)
        page = sent.get("page", "1")
        return cls(**texts, columns=columns, page=int(page[:6]) if page.isascii() and page.isdigit() else 1)

    def address(self, **changed: Any) -> dict[str, Any]:
        """Returns what stands in an address that asks for this with changes, the usual left out; from page 1 on."""
        wanted = {one.name: getattr(self, one.name) for one in fields(self)} | {"page": 1} | changed
        usual = RunsQuery()
        return {name: value for name, value in wanted.items() if value != getattr(usual, name)}

    @property
    def is_falling(self) -> bool:
        """Whether the largest comes first."""
        return self.order == "falling" if self.order else self.sort in _FALLING

    def heading(self, column: str) -> dict[str, Any]:
        """Returns the address for a click on a column's head: sorted by it, the other way round if it is already."""
        other_way = ("rising" if self.is_falling else "falling") if column == self.sort else ""
        return self.address(sort=column, order=other_way)

    def has_filter(self) -> bool:
        """Whether anything but archived runs is left out."""
        return any((self.search, self.recipe, self.kind, self.status, self.tag))

    def of_lines(self, lines: Sequence[RunAnswer]) -> list[RunAnswer]:
        """Returns the lines that are wanted, in their order; those that lack what is sorted by come last."""
        wanted = [line for line in lines if self._wants(line)]
        known = [line for line in wanted if value_of(line, self.sort) is not None]
        unknown = [line for line in wanted if value_of(line, self.sort) is None]
        return sorted(known, key=lambda line: _key(value_of(line, self.sort)), reverse=self.is_falling) + unknown

    def of_histories(self, histories: Sequence[History]) -> list[History]:
        """Returns the histories without a run that are wanted: they have a name, and nothing else to choose by."""
        if self.show == "archived" or any((self.recipe, self.kind, self.status, self.tag)):
            return []
        return [one for one in histories if _has_words(self.search, one.path.name)]

    def _wants(self, line: RunAnswer) -> bool:
        if self.show != "all" and line.is_archived != (self.show == "archived"):
            return False
        own = {"recipe": line.name, "kind": line.kind, "status": line.status}
        if any(getattr(self, name) not in ("", value) for name, value in own.items()):
            return False
        words = (line.title, line.name, line.id, line.data or "", line.status, line.notes, *line.tags)
        return (not self.tag or self.tag in line.tags) and _has_words(self.search, " ".join(words))


def choices(lines: Sequence[RunAnswer]) -> dict[str, list[str]]:
    """Returns what the filters offer."""
    readable = [line for line in lines if line.status != UNREADABLE]
    return {
        "recipe": sorted({line.name for line in readable}),
        "kind": sorted({line.kind for line in readable}),
        "status": sorted({line.status for line in lines}),
        "tag": sorted({tag for line in lines for tag in line.tags}),
    }


def value_of(line: RunAnswer, column: str) -> Any:
    """Returns what a line has in a column, None where it has nothing."""
    if column in SETTINGS:
        return line.settings.get(column)
    if column == "name":
        return line.title.lower()
    return getattr(line, {"created": "created_utc"}.get(column, column), None)


def runs_csv(lines: Sequence[RunAnswer]) -> str:
    """Returns a line per run, with all that lists can show: scores as fractions, intervals as 'low to high'."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_CSV, *SETTINGS))
    for line in lines:
        known: Mapping[str, Any] = vars(line) | line.settings
        writer.writerow([_cell(known.get(name)) for name in (*_CSV, *SETTINGS)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return " to ".join(f"{one:.4f}" for one in value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value)
    # A spreadsheet would take it for a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in "=+-@" and text else value


def _has_words(wanted: str, text: str) -> bool:
    return all(word in text.lower() for word in wanted.lower().split())


def _key(value: Any) -> tuple[bool, Any]:
    """Numbers before texts: a setting may have either."""
    is_text = not isinstance(value, int | float)
    return is_text, str(value) if is_text else value

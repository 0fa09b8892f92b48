"""How values are written in the templates: filters, and what every template knows."""

from datetime import datetime
from typing import Any

from flask import Flask

from fer_core.training.report import duration
from fer_core.web.login import is_locked, is_signed_in
from fer_core.web.service import service


def show_as_people_read(app: Flask) -> None:
    """Adds the filters `percent`, `timestamp`, `duration`, `number` and `value`, and what every template knows."""
    app.add_template_filter(percent)
    app.add_template_filter(timestamp)
    app.add_template_filter(number)
    app.add_template_filter(value)
    app.add_template_filter(lambda seconds: "–" if seconds is None else duration(seconds), "duration")
    app.context_processor(_known_everywhere)


def percent(share: float | None) -> str:
    """Returns a share 0..1 as per cent with one decimal, '–' where there is none."""
    return "–" if share is None else f"{share:.1%}"


def timestamp(text: str | None) -> str:
    """Returns a point in time as people write it: 2026-01-31 14:02 UTC."""
    if not text:
        return "–"
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def number(amount: float | None) -> str:
    """Returns a number with thousands separated, or with four digits that count."""
    if amount is None:
        return "–"
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4g}"


def value(setting: Any) -> str:
    """Returns a setting's value as short as it can be understood."""
    if setting is None:
        return "–"
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, float):
        return f"{setting:.4g}"
    if isinstance(setting, list | tuple):
        return ", ".join(map(value, setting)) or "–"
    if isinstance(setting, dict):
        return ", ".join(f"{name}={value(part)}" for name, part in setting.items()) or "–"
    return str(setting)


def _known_everywhere() -> dict[str, Any]:
    known: dict[str, Any] = {"is_signed_in": is_signed_in()}
    if is_locked() and not is_signed_in():
        return known  # a stranger sees the login, and no more than that
    readers = service().readers
    return known | {"model_name": readers.model.name, "model_problem": readers.problem}

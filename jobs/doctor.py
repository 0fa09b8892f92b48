"""`python -m jobs doctor`: looks at everything that jobs need, and says what to do where something is not in order."""

import sys

from rich.text import Text

from fer_core.errors import FerError
from jobs.broker_checks import broker_findings
from jobs.checks import CHECKS, Finding
from jobs.commands.desk import Desk, new_table

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}


def doctor(desk: Desk, *, json: bool = False) -> None:
    """Look at broker, workers, clocks, disk, jobs, model, data and schedule, and say what to do.

    Ends with 1 if something is bad.

    Args:
        json: As JSON, for other programs.
    """
    with desk.console.status("Looking around …"):
        findings = find_all(desk)
    if json:
        desk.say_json([finding._asdict() for finding in findings])
    else:
        _print(desk, findings)
    if any(finding.level == "bad" for finding in findings):
        sys.exit(1)


def find_all(desk: Desk) -> list[Finding]:
    """Returns what there is to say, in the order in which a job needs it. Changes nothing."""
    findings = []
    for what, check in (("broker", broker_findings), *CHECKS.items()):
        try:
            findings += check(desk)
        except FerError as error:
            findings.append(Finding("bad", what, str(error), error.hint))
    return findings


def _print(desk: Desk, findings: list[Finding]) -> None:
    table = new_table("", "", "")
    table.show_header = False
    for finding in findings:
        text = Text(finding.text)
        if finding.todo:
            text.append(f"\n→ {finding.todo}")
        table.add_row(Text(finding.level, style=_COLOURS[finding.level]), finding.what, text)
    desk.show(table)
    counts = {level: sum(finding.level == level for finding in findings) for level in _COLOURS}
    desk.say(f"{counts['ok']} in order, {counts['warn']} to look at, {counts['bad']} bad.")

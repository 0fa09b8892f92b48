"""What the audit of a data set found: said in the terminal, also at 80 columns, and audit.html, to look at and to tick.

The page is one file that opens from disk and loads nothing. It shows the data set's own pictures, so it is as private
as these are.
"""

import base64
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.evaluation.report import add_row, plain_table, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fer_core.data.audit import Audit, SharedImages
    from fer_core.data.dataset import Dataset
    from fer_core.evaluation.suspicious import SuspiciousLabel

FIRST_NAMES = 3
"""So many images are named; audit.json has them all."""
MOST_SHOWN = 300
"""Cards of a section; the files beside the page have all."""


def print_audit(console: "Console", audit: "Audit") -> None:
    """Prints the images per class and part, copies and contradictions within and across parts, blank and unreadable."""
    say(console, f"\nImages of {audit.name}", style="bold")
    console.print(_audit_table(audit))
    console.print()
    say(console, f"Format: {audit.report.format}. {audit.report.of_persons()}".strip())
    if audit.report.faces and not audit.report.detector:  # otherwise it is among the notes
        say(console, audit.report.faces)
    for shared in audit.shared:
        other_label = f", {shared.other_label:,} of them only with another label" if shared.other_label else ""
        count = f"{shared.images:,} images of {shared.part} also occur in {shared.other}{other_label}."
        say(console, count if shared.images else f"No image of {shared.part} occurs in {shared.other} too.")
        say(console, _near_duplicates_sentence(audit, shared))
    say(console, _named_images("blank (hardly any difference between their pixels)", audit.blank))
    say(console, _named_images("unreadable", [image.name for image in audit.unreadable]))


def _near_duplicates_sentence(audit: "Audit", pair: "SharedImages") -> str:
    names = {near.name for near in audit.near_duplicates if (near.part, near.other) == (pair.part, pair.other)}
    how_many = f"{len(names):,} more {'looks' if len(names) == 1 else 'look'} like one of {pair.other}"
    return f"{how_many} (resized, lightened or watermarked anew)." if names else ""


def _audit_table(audit: "Audit") -> "Table":
    headers = [header for part in audit.parts for header in (part.name, "")]
    table = plain_table(
        "class", *headers, caption="* pictures that occur with more than one label", caption_justify="left"
    )
    totals = [sum(part.images.values()) for part in audit.parts]
    for label in audit.labels:
        add_row(table, label, *_counts_and_shares([part.images.get(label, 0) for part in audit.parts], totals))
    table.add_row("all", *_counts_and_shares(totals, []), style="bold")
    table.add_row("extra copies", *_counts_and_shares([part.extra_copies for part in audit.parts], totals))
    table.add_row("contradictions*", *_counts_and_shares([len(part.conflicting) for part in audit.parts], []))
    return table


def _counts_and_shares(counts: Sequence[int], totals: Sequence[int]) -> Iterator[str]:
    for count, total in zip_longest(counts, totals):
        yield f"{count:,}"
        yield f"{count / total:.1%}" if total else ""


def _named_images(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"No image is {what}."
    first = ", ".join(names[:FIRST_NAMES]) + (" …" if len(names) > FIRST_NAMES else "")
    return f"{len(names):,} {'image is' if len(names) == 1 else 'images are'} {what}: {first}"


def audit_page(audit: "Audit", dataset: "Dataset", suspicious: "Sequence[SuspiciousLabel] | None") -> str:
    """Returns the page as HTML: suspicious labels, contradictions, near-duplicates, each with its pictures.

    Then the pictures in which no face was found, or several; of those that are left out, only the names.

    Ticked pictures are saved by the page as a list for `--exclude`; those of the test images cannot be ticked.

    Args:
        suspicious: the most suspicious first; None if labels were not audited.
    """
    import cv2
    import jinja2

    contents = dataset.contents
    position = {name: number for number, name in enumerate(contents.names)}

    def picture(name: str) -> str:
        row = contents.rows[position[name]]
        pixels = np.asarray(dataset.pixels[row : row + 1])[0]
        png = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[:, :, ::-1])[1]
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"

    trained = {
        name for split in (dataset.train, dataset.validation or dataset.train) for name in split.names(slice(None))
    }
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"picture": picture, "percent": "{:.0%}".format, "count": "{:,}".format}
    template = Path(__file__).with_name("audit.html.jinja").read_text(encoding="utf-8")
    conflicting = [group for part in audit.parts for group in part.conflicting]
    return environment.from_string(template).render(
        audit=audit,
        suspicious=suspicious,
        conflicting=conflicting,
        faces={
            "Pictures without a face": audit.report.without_face,
            "Pictures with several faces": audit.report.several_faces,
        },
        labels={name: contents.label(number) for name, number in position.items()},
        trained=trained - set(dataset.test.names(slice(None))),
        most=MOST_SHOWN,
    )

"""From what lies in a source to the pictures of its data set: format, votes, labels, boxes, and the report on them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fer_core.data import formats
from fer_core.data.contents import Known, Listing, Picture
from fer_core.data.fer2013 import pixel_rows
from fer_core.data.formats import ferplus
from fer_core.data.formats.class_folders import not_read
from fer_core.data.report import DataReport, folder_around, guessed, listed
from fer_core.data.tree import Found, Placed, Tree
from fer_core.data.votes import COLUMNS, ReadOptions
from fer_core.errors import DatasetError

Read = Callable[[], np.ndarray]


@dataclass
class Reading:
    """The pictures of a data set, each with what is known of it; or tables of pixels, name and part of each."""

    tree: Tree
    options: ReadOptions
    report: DataReport
    placed: list[tuple[Placed, Known]] = field(default_factory=list)
    tables: list[tuple[str, str]] = field(default_factory=list)
    read_table: Callable[..., Iterator[Picture]] = pixel_rows

    def listing(self, reader: Callable[[str], Read]) -> Listing:
        """Returns the images, those of tables one after the other; `reader` makes what reads a file."""
        if self.tables:
            return Listing(self._in_tables(), None, self.report)
        made = (self.picture(one, known, reader(one.name)) for one, known in self.placed)
        return Listing(made, len(self.placed), self.report)

    def _in_tables(self) -> Iterator[Picture]:
        for name, part in self.tables:
            with self.tree.open(name) as stream:
                yield from self.read_table(stream, name, part, options=self.options, report=self.report)

    @staticmethod
    def picture(one: Placed, known: Known, read: Read, *, held_bytes: int = 0) -> Picture:
        """Returns a picture with its box, if it has one."""
        return Picture(one.title, one.part, one.label, read, held_bytes, known, one.box)


def read_tree(tree: Tree, options: ReadOptions) -> Reading:
    """Returns the data set that lies in the tree.

    Raises:
        DatasetError: it is none, or cannot be read as the options want it. ConfigError: the label map does not fit.
    """
    if options.votes is None and options.takes_votes_beside and (votes := ferplus.votes_beside(tree)) is not None:
        options = replace(options, votes=votes)
    is_by_votes = options.votes is not None and not options.rule.keeps_labels
    found = (ferplus.by_names(tree) if is_by_votes else None) or formats.recognise(tree)
    report = DataReport(found.format, is_usual=found.is_usual, notes=list(found.notes))
    root = found.root if found.root is not None else folder_around(one.name for one in found.pictures)
    known = found.left_out.keys() | {one.name for one in found.pictures}
    unknown = dict.fromkeys(tree.picture_names - known, found.rest or f"as {found.format} does not have them")
    report.leave_all_out(found.left_out | unknown, root)
    report.notes += not_read(name for name in tree.others if name not in known)
    if found.read_table and options.votes is not None:
        raise DatasetError(f"{tree.source}: FER+ votes are not joined to {found.format}.", hint="Leave --votes out.")
    if found.tables:
        return Reading(tree, options, report, tables=found.tables, read_table=found.read_table or pixel_rows)
    pictures = _voted(found, options, report)
    meant = options.labels.read(sorted({one.label for one, _ in pictures}))
    report.read_as = {name: label for name, label in meant.items() if name != label}
    named = [_named(one, known, meant) for one, known in pictures if meant[one.label]]
    report.notes = [*guessed({one.label for one, _ in named}), *report.notes]
    named.sort(key=lambda pair: (pair[0].part, pair[0].label, pair[0].name, pair[0].face))
    return Reading(tree, options, report, named)


def _voted(found: Found, options: ReadOptions, report: DataReport) -> list[tuple[Placed, Known]]:
    """Returns the pictures with their labels; votes, where there are some, make the labels."""
    has_own = any(one.votes is not None for one in found.pictures)
    if not has_own and options.votes is None:
        return [(one, Known(person=one.person)) for one in found.pictures]
    if has_own and options.rule.keeps_labels:
        hint = "Train on the votes: --vote-target cross-entropy"
        raise DatasetError(f"These pictures of {found.format} have votes, but no labels to be softened.", hint=hint)
    if options.rule.keeps_labels:
        report.notes += [options.rule.sentence()]
    else:
        report.votes = options.rule.sentence()
        report.format, report.is_usual = ("FER+" if found.is_usual else found.format), False
    kept: list[tuple[Placed, Known]] = []
    left_out: dict[str, str] = {}
    for one in found.pictures:
        usage, votes = (one.part, one.votes) if has_own else (options.votes.of_picture(one.name) or ("", None))
        voted = options.rule.of(votes, one.label)
        if isinstance(voted, str):
            left_out[one.name] = voted
        else:
            known = Known(one.person, voted.shares, voted.only_trains)
            part = one.part if options.rule.keeps_labels else usage
            kept.append((replace(one, part=part, label=voted.label), known))
    if not any(known.shares for _, known in kept):
        raise DatasetError(
            f"None of the {len(found.pictures):,} pictures has votes: by their names they are not of FER-2013.",
            hint="Leave --votes out, or give FER-2013 as it is downloaded (csv, or Training_123.jpg).",
        )
    report.leave_all_out(left_out, folder_around(one.name for one in found.pictures))
    missing = {*COLUMNS[: options.rule.classes]} - {one.label for one, _ in kept}
    if missing and not options.rule.keeps_labels:
        report.notes += [f"No picture is called {listed(missing)} by its votes."]
    return kept


def _named(one: Placed, known: Known, meant: Mapping[str, str]) -> tuple[Placed, Known]:
    if meant[one.label] != one.label:
        one = replace(one, label=meant[one.label])
    if known.shares:
        known = known._replace(shares=tuple((meant.get(name, name), share) for name, share in known.shares))
    return one, known

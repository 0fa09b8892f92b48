"""Tables of pixels: fer2013.csv, icml_face_data.csv, CK+ as csv, and the challenge's train.csv and test.csv.

One lies beside other things; a table with the column Usage is taken before parts without it. Where folders of splits or
emotions have pictures, these are the data set.
"""

from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.fer2013 import columns_of
from fer_core.data.folder_names import is_fer2013_csv, split_in, split_of
from fer_core.data.report import listed
from fer_core.data.tree import Found, Tree, first_rows
from fer_core.errors import DatasetError
from fer_core.labels import is_emotion

_HEADER_BYTES = 4096


def recognise(tree: Tree) -> Found | None:
    """Returns the table, or tables by the splits in their names. Raises DatasetError where it is not clear which."""
    tables = [name for name in tree.others if is_fer2013_csv(PurePosixPath(name).name)]
    headers = {name: start[:_HEADER_BYTES].partition(b"\n")[0] + b"\n" for name, start in tree.beginnings.items()}
    columns = {name: columns_of(next(iter(first_rows(line, 1)), [])) for name, line in headers.items()}
    columns = {name: found for name, found in columns.items() if "pixels" in found}
    folders = {folder for path in tree.pictures for folder in path.parts[:-1]}
    if not (tables or columns) or any(split_of(folder) or is_emotion(folder) for folder in folders):
        return None
    with_usage = tables or sorted(name for name, found in columns.items() if len(found) == len(("e", "p", "u")))
    labelled = sorted(name for name, found in columns.items() if "emotion" in found)
    chosen = [(with_usage[0], ALL_IMAGES)] if with_usage else _by_names(labelled, tree.source)
    if not chosen:
        raise DatasetError(
            f"{tree.source}: {listed(columns)} has pixels but no labels.", hint="Give the table with the labels too."
        )
    used = {name for name, _ in chosen}
    notes = [f"Left out, as it has no labels: {name}." for name in sorted(columns.keys() - {*labelled} - used)]
    notes += [f"Left out, as beside {listed(used)}: {name}." for name in labelled if name not in used]
    return Found("a table of pixels", tables=chosen, rest=f"as beside {listed(used)}", notes=notes, is_usual=True)


def _by_names(names: list[str], source: str) -> list[tuple[str, str]]:
    """Returns tables without splits of their own, with the splits that they are named after."""
    splits = {name: split_in(PurePosixPath(name).stem) for name in names}
    if len(names) == 1 or set(splits.values()) == {"train"}:
        return [(names[0], ALL_IMAGES)]
    if len(set(splits.values())) < len(names) or None in splits.values():
        raise DatasetError(
            f"{source} could be {len(names):,} data sets: {listed(names)}.", hint="Give one of them as --data."
        )
    return list(splits.items())

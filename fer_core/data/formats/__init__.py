"""The formats of data sets: a file for each, which recognises it by what lies there, never by what it is called.

Each has `recognise(tree)`, which returns what it found, or None where it is another format. They are asked in this
order, the most specific first; class folders take what is left, or say why it is no data set.
"""

from importlib import import_module
from types import ModuleType

from fer_core.data.tree import Found, Tree

_ORDER = (
    *("pixel_tables", "ferplus", "affectnet", "rafdb", "expw", "ckplus", "file_names", "yolo", "voc", "coco"),
    *("parquet", "pictures_and_table", "class_folders"),
)


def formats() -> list[ModuleType]:
    """Returns the files of all formats, in the order in which they are asked."""
    return [import_module(f"{__name__}.{name}") for name in _ORDER]


def recognise(tree: Tree) -> Found:
    """Returns the data set that lies there. Raises DatasetError where it is none."""
    return next(found for one in formats() if (found := one.recognise(tree)) and (found.pictures or found.tables))

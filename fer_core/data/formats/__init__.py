"""The formats of data sets: a file for each, which recognises it by what lies there, never by what it is called.

Each has `recognise(tree)`, which returns what it found, or None where it is another format. They are asked in this
order, the most specific first; class folders take what is left, or say why it is no data set.
"""

from types import ModuleType

from fer_core.data.formats import (
    affectnet,
    ckplus,
    class_folders,
    coco,
    expw,
    ferplus,
    jaffe,
    kdef,
    parquet,
    pictures_and_table,
    pixel_tables,
    rafdb,
    voc,
    yolo,
)
from fer_core.data.tree import Found, Tree

FORMATS: tuple[ModuleType, ...] = (
    *(pixel_tables, ferplus, affectnet, rafdb, expw, ckplus, kdef, jaffe, yolo, voc, coco, parquet),
    *(pictures_and_table, class_folders),
)


def recognise(tree: Tree) -> Found:
    """Returns the data set that lies there. Raises DatasetError where it is none."""
    return next(found for one in FORMATS if (found := one.recognise(tree)) and (found.pictures or found.tables))

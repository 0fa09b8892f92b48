"""Looks through the HDF5 objects of a model file, before Keras reads weights out of them.

HDF5 can point to other files, can announce arrays far larger than the file, and has types of data that its library does
not survive reading out of a damaged file. Weights need none of them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

_LARGEST_ARRAY = 150_000_000
"""Numbers. A whole VGG-16 with its dense layers has 138 million."""
_LARGEST_FILE = 500_000_000
"""Numbers: as many, with the two moments that an optimizer keeps of each."""
_MOST_OBJECTS = 50_000
_NUMBERS = "biuf"


def attributes_objection(item: "h5py.Group | h5py.Dataset") -> str | None:
    """Returns what is wrong with the attributes of an HDF5 object, without reading one; None if they are plain."""
    from h5py import h5a, h5t

    plain = (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM)
    for number in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=number)
        if attribute.get_type().get_class() not in plain:
            return f"the attribute {attribute.name.decode(errors='replace')!r} in it is neither text nor numbers"
    return None


def weights_objection(file: "h5py.File") -> str | None:
    """Returns what is in an open HDF5 file that plain weights have not, as a sentence; None if there is nothing."""
    return next(_objections(file), None)


def _objections(file: "h5py.File") -> Iterator[str]:
    import h5py

    values = 0
    for number, item in enumerate(_items(file)):
        if not isinstance(item, str):
            yield from filter(None, [attributes_objection(item)])
        if isinstance(item, h5py.Dataset):
            yield from _dataset_objections(item)
            values += item.size or 0
        elif not isinstance(item, h5py.Group):
            yield item if isinstance(item, str) else f"{item.name!r} in it is no weights"
        if values > _LARGEST_FILE or number > _MOST_OBJECTS:
            yield f"it has more than {_LARGEST_FILE:,} weights, or more than {_MOST_OBJECTS:,} parts"


def _items(file: "h5py.File") -> Iterator["h5py.Group | h5py.Dataset | str"]:
    """All objects; a sentence where a name points elsewhere. A group that is in itself is gone through once."""
    import h5py

    waiting, known = [file], set()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in known:
            continue
        known.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield f"{name!r} in it points elsewhere ({type(link).__name__})"
                continue
            item = group[name]
            yield item
            if isinstance(item, h5py.Group):
                waiting.append(item)


def _dataset_objections(dataset: "h5py.Dataset") -> Iterator[str]:
    if dataset.external or dataset.is_virtual:
        yield f"the weights {dataset.name!r} lie in another file"
    if dataset.dtype.kind not in _NUMBERS:
        yield f"the weights {dataset.name!r} are no numbers"
    if (dataset.size or 0) > _LARGEST_ARRAY:
        yield f"the weights {dataset.name!r} are {dataset.size:,} numbers"

"""Looks through the HDF5 objects of a model file, before Keras reads weights out of them.

HDF5 can point to other files, can announce arrays far larger than the file, and has types of data that its library does
not survive reading out of a damaged file. Weights need none of them.
"""

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_core.resources import memory_bytes

if TYPE_CHECKING:
    import h5py

_LARGEST_ARRAY = 150_000_000
"""Numbers. A whole VGG-16 with its dense layers has 138 million."""
_LARGEST_FILE = 500_000_000
"""Numbers: as many, with the two moments that an optimizer keeps of each."""
_MOST_OBJECTS = 50_000
_NUMBERS = "biuf"
_LARGEST_NUMBER = 8
"""Bytes: a float64. HDF5 knows larger ones, of which Keras has no use."""
_LARGEST_ATTRIBUTE = 2**24
"""Bytes: a description, or the names of all weights."""
_SURELY_SMALL = 2**26
_MOST_COMPRESSION = 100
_LISTS = re.compile(r"(layer|weight)_names\d*")
"""The attributes by which Keras finds the weights of a .h5."""


def attributes_objection(item: "h5py.Group | h5py.Dataset") -> str | None:
    """Returns what is wrong with the attributes of an HDF5 object, without reading one; None if they are plain."""
    from h5py import h5a, h5t

    plain = (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM)
    for number in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=number)
        if attribute.get_type().get_class() not in plain:
            return f"the attribute {attribute.name.decode(errors='replace')!r} in it is neither text nor numbers"
        if attribute.get_space().get_simple_extent_npoints() * attribute.get_type().get_size() > _LARGEST_ATTRIBUTE:
            return f"the attribute {attribute.name.decode(errors='replace')!r} in it is far too long"
    return None


def weights_objection(file: "h5py.File") -> str | None:
    """Returns what is in an open HDF5 file that plain weights have not, as a sentence; None if there is nothing."""
    return next(_objections(file), None)


def _objections(file: "h5py.File") -> Iterator[str]:
    import h5py

    groups, values, held = [file], 0, 0
    for number, item in enumerate(_items(file)):
        if not isinstance(item, str):
            yield from filter(None, [attributes_objection(item)])
        if isinstance(item, h5py.Dataset):
            yield from _dataset_objections(item)
            values, held = values + (item.size or 0), held + item.nbytes
        elif isinstance(item, h5py.Group):
            groups.append(item)
        else:
            yield item if isinstance(item, str) else f"{item.name!r} in it is no weights"
        if values > _LARGEST_FILE or number > _MOST_OBJECTS:
            yield f"it has more than {_LARGEST_FILE:,} weights, or more than {_MOST_OBJECTS:,} parts"
    yield from _names_objections(groups)
    yield from _memory_objections(max(held, _named_bytes(groups)), file.id.get_filesize())


def _memory_objections(held: int, file_bytes: int) -> Iterator[str]:
    """What is announced and never written takes no room in a file, and all of it in memory."""
    if held > max(_SURELY_SMALL, _MOST_COMPRESSION * file_bytes):
        yield f"its weights have {held:,} bytes, most of which are not in it"
    if held > memory_bytes() // 3:
        yield f"its weights have {held:,} bytes, more than a third of this machine's memory"


def _items(file: "h5py.File") -> Iterator["h5py.Group | h5py.Dataset | str"]:
    """All objects; a sentence where a name points elsewhere, or where an object has two names, as Keras gives none.

    Whatever is named again would be read again.
    """
    import h5py

    waiting, known = [file], {h5py.h5o.get_info(file.id).addr}
    while waiting:
        group = waiting.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield f"{name!r} in it points elsewhere ({type(link).__name__})"
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in known:
                yield f"{item.name!r} in it is there under another name too"
                continue
            known.add(address)
            yield item
            if isinstance(item, h5py.Group):
                waiting.append(item)


def _dataset_objections(dataset: "h5py.Dataset") -> Iterator[str]:
    if dataset.external or dataset.is_virtual:
        yield f"the weights {dataset.name!r} lie in another file"
    if dataset.dtype.kind not in _NUMBERS:
        yield f"the weights {dataset.name!r} are no numbers"
    if dataset.dtype.itemsize > _LARGEST_NUMBER:
        yield f"the weights {dataset.name!r} are numbers of {dataset.dtype.itemsize} bytes"
    if (dataset.size or 0) > _LARGEST_ARRAY:
        yield f"the weights {dataset.name!r} are {dataset.size:,} numbers"


def _names_objections(groups: "list[h5py.Group]") -> Iterator[str]:
    """Keras reads whatever stands in a list of names: nothing is to stand there twice, or to be counted nowhere."""
    for group in groups:
        names = [name for attribute in filter(_LISTS.fullmatch, group.attrs) for name in _names(group, attribute)]
        if len(names) > _MOST_OBJECTS or len(set(names)) < len(names):
            yield f"the names in {group.name!r} are more than {_MOST_OBJECTS:,}, or one of them is there twice"
        if any(part in ("", ".", "..") for name in names for part in name.split("/")):
            yield f"the names in {group.name!r} lead elsewhere"


def _names(group: "h5py.Group", attribute: str) -> list[str]:
    """Returns the names in a list; one name twice where there are too many to be read."""
    if math.prod(group.attrs.get_id(attribute).shape or ()) > _MOST_OBJECTS:
        return ["", ""]
    value = group.attrs[attribute]
    names = value.ravel().tolist() if hasattr(value, "ravel") else [value]
    return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]


def _named_bytes(groups: "list[h5py.Group]") -> int:
    """Returns how much Keras would read: what lies in groups in each other can be named in each."""
    import h5py

    lists = [(group, name) for group in groups for name in group.attrs if name.startswith("weight_names")]
    found = [group.get(name) for group, attribute in lists for name in _names(group, attribute)]
    return sum(item.nbytes for item in found if isinstance(item, h5py.Dataset))

"""Goes through the description of a network, before Keras does, and says what in it may not be there.

A description is what Keras keeps in a file, as parsed JSON: {"class_name": "Functional", "config": {"layers": …}}.
Besides code, numbers are refused that would have Keras take all memory, and nesting that no network has.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fer_core.store.allowed import MODELS, activation_objection, class_objection, shown, text_objection

_DEEPEST = 60
_MOST_PARTS = 300_000
_MOST_CALLS = 3_000
"""Of layers. The largest networks in use have a thousand; a model in a model that is called twice has twice its own."""
_LARGEST_NUMBER = 65_536
_LARGEST = {
    "units": 8192,
    "filters": 8192,
    "kernel_size": 512,
    "depth_multiplier": 512,
    "size": 64,
    "padding": 2048,
    "height": 2048,
    "width": 2048,
    "batch_shape": 2048,
    "batch_input_shape": 2048,
    # What a layer gets or gives, also a flattened picture.
    "shape": 2**24,
    "input_shape": 2**24,
    "build_input_shape": 2**24,
    "target_shape": 2**24,
}
_ANY_NUMBER = frozenset({"seed", "shared_object_id"})
_LAYER_KEYS = frozenset({"layers", "layer", "forward_layer", "backward_layer", "config"})
"""Under these stand layers; under others things without a name of their own, such as initializers."""


class _Part(NamedTuple):
    """One value of a description: under which setting it stands, of which layer, and how deep."""

    value: Any
    key: str
    owner: str
    depth: int
    calls: int = 1
    """How often the layer is called that it belongs to."""


def first_objection(description: Any) -> str | None:
    """Returns what must not be in a description, e.g. "the layer 'x' is a Lambda, which is code"; None if nothing."""
    return next(_objections(description), None)


def _objections(description: Any) -> Iterator[str]:
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict | list):
        yield "it describes no network"
        return
    if description.get("class_name") not in MODELS:
        named = description.get("registered_name") or description.get("class_name")
        yield f"the model is of the class {shown(named)}, which is no stock model of Keras"
    # What the model itself was compiled with is never loaded; that of models inside it would be.
    yield from _objections_inside({**description, "compile_config": None})


def _objections_inside(description: dict[str, Any]) -> Iterator[str]:
    waiting, calls = [_Part(description, "", "the model", 0)], 0
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        if part.depth > _DEEPEST:
            yield f"it is nested more than {_DEEPEST} deep"
            return
        yield from _objections_to(part)
        calls += _calls(part) if _is_layer_node(part) else 0
        if calls > _MOST_CALLS:
            yield f"its layers are called more than {_MOST_CALLS:,} times"
            return
        waiting.extend(_parts_of(part))
    yield f"it has more than {_MOST_PARTS:,} parts"


def _parts_of(part: _Part) -> Iterator[_Part]:
    """The last comes first, since they are taken from the end."""
    value, depth = part.value, part.depth + 1
    if isinstance(value, list):
        yield from (_Part(item, part.key, part.owner, depth, part.calls) for item in reversed(value))
    elif isinstance(value, dict):
        owner, calls = (_layer(value), _calls(part)) if _is_layer_node(part) else (part.owner, part.calls)
        for key, item in reversed(value.items()):
            # The items of a tuple or a shape stand for the setting that has it.
            yield _Part(item, part.key if key == "items" else key, owner, depth, calls)


def _objections_to(part: _Part) -> Iterator[str]:
    value, kind = part.value, part.key.rpartition("_")[2]
    found = None
    if kind == "activation":
        found = activation_objection(value)
    elif isinstance(value, dict) and "class_name" in value:
        found = class_objection(value)
    elif isinstance(value, str):
        found = text_objection(kind, value)
    elif isinstance(value, int | float):
        found = _number_objection(part.key, value)
    if part.key == "compile_config" and value:
        found = "would be loaded too, an optimizer and losses"
    if found:
        yield f"{_place(part)} {found}"


def _number_objection(key: str, number: float) -> str | None:
    if key in _ANY_NUMBER or (isinstance(number, float) and key not in _LARGEST):
        return None
    largest = _LARGEST.get(key, _LARGEST_NUMBER)
    return f"is {shown(number)}; more than {largest:,} is refused" if abs(number) > largest else None


def _place(part: _Part) -> str:
    if _is_layer_node(part):
        return _layer(part.value)
    return f"the {part.key} of {part.owner}"


def _is_layer_node(part: _Part) -> bool:
    return isinstance(part.value, dict) and "class_name" in part.value and _is_layer(part)


def _calls(part: _Part) -> int:
    """Returns how often a layer is called, also in a model that is called several times itself."""
    nodes = part.value.get("inbound_nodes")
    return part.calls * max(1, len(nodes) if isinstance(nodes, list) else 1)


def _is_layer(part: _Part) -> bool:
    return part.key in _LAYER_KEYS or not part.key


def _layer(node: dict[str, Any]) -> str:
    config = node.get("config")
    name = (config.get("name") if isinstance(config, dict) else None) or node.get("name")
    what = "model" if node["class_name"] in MODELS else "layer"
    return f"the {what} {shown(name)}" if isinstance(name, str) else f"a {what} without a name"

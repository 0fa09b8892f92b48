"""The emotions of FER-2013: their names, their two orders and their colours. Any other set of classes works too."""

from collections.abc import Iterable

FER2013_CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""What the numbers 0..6 of fer2013.csv mean. Folders sort alphabetically: three of the seven then stand elsewhere."""

FER2013_LABELS = tuple(sorted(FER2013_CSV_ORDER))

COLOURS = {
    "angry": "#d62728",
    "contempt": "#8c6d31",
    "disgust": "#2ca02c",
    "fear": "#9467bd",
    "happy": "#e6a700",
    "neutral": "#7f7f7f",
    "sad": "#1f77b4",
    "surprise": "#e377c2",
}
SPARE_COLOURS = ("#17becf", "#bcbd22", "#ff7f0e", "#8c564b", "#393b79", "#637939", "#843c39", "#7b4173")


def in_model_order(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the labels in the one order that every model here uses: lower case, alphabetical, once each."""
    return tuple(sorted({name.strip().lower() for name in names}))


def colour(label: str, labels: tuple[str, ...] = ()) -> str:
    """Returns the colour of `label` as #rrggbb; for a class that is no emotion of ours, by its place in `labels`."""
    place = labels.index(label) if label in labels else 0
    return COLOURS.get(label.strip().lower(), SPARE_COLOURS[place % len(SPARE_COLOURS)])

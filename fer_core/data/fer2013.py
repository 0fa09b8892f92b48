"""Recognises FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414) by how many images of each class its splits have."""

from fer_core.data.contents import Contents
from fer_core.data.listing import MORE_IMAGES
from fer_core.emotions import FER2013_LABELS

NAME = "FER-2013"
TRAINING, PUBLIC, PRIVATE = "Training", "PublicTest", "PrivateTest"
BOTH = f"{PUBLIC} + {PRIVATE}"

_COUNTS = {
    TRAINING: (3995, 436, 4097, 7215, 4965, 4830, 3171),
    PUBLIC: (467, 56, 496, 895, 607, 653, 415),
    PRIVATE: (491, 55, 528, 879, 626, 594, 416),
    BOTH: (958, 111, 1024, 1774, 1233, 1247, 831),
}


def fer2013_titles(contents: Contents) -> dict[str, str] | None:
    """Returns what each part of the source is called in FER-2013, or None where it is another data set.

    Images that were added to it keep the name of their part.
    """
    if contents.labels != FER2013_LABELS:
        return None
    by_counts = {counts: title for title, counts in _COUNTS.items()}
    counts = contents.counts()
    added = {part: part for part in (MORE_IMAGES,) if counts.pop(part, None)}
    titles = {part: by_counts.get(tuple(of_part.values())) for part, of_part in counts.items()}
    return titles | added if TRAINING in titles.values() and None not in titles.values() else None

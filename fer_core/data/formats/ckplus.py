"""CK+ (Lucey et al. 2010) as its authors hand it out: sequences of frames, and Emotion/…_emotion.txt of some of them.

A sequence begins neutral and ends at the peak of its emotion. As is usual, the last three frames have the label of the
sequence, and the first one is neutral. As class folders (CK+48) or csv it is read by these formats.
"""

import re
from collections import defaultdict
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.tree import Found, Placed, Tree
from fer_core.labels import NUMBERS

_FILE = re.compile(r"(S\d+_\d+)_\d+_emotion\.txt", re.IGNORECASE)
_FRAME = re.compile(r"(S\d+_\d+)_(\d+)", re.IGNORECASE)
_LABELS = NUMBERS["ckplus"]
_PEAK_FRAMES = 3
_MOST_BYTES = 4096


def recognise(tree: Tree) -> Found | None:
    """Returns the frames of the sequences that have a label."""
    files = {name: match[1].upper() for name in tree.others if (match := _FILE.fullmatch(PurePosixPath(name).name))}
    if not files:
        return None
    read = tree.read(list(files), _MOST_BYTES)
    labels = {files[name]: label for name, content in read.items() if (label := _label(content))}
    sequences: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.pictures:
        if match := _FRAME.fullmatch(path.stem):
            sequences[match[1].upper()].append(path)
    placed, left_out = [], {}
    for sequence in sequences.keys() & labels.keys():
        frames = sorted(sequences[sequence], key=lambda path: path.stem)
        left_out |= {str(path): "as they lie between the first and the peak of a sequence" for path in frames}
        chosen = dict.fromkeys(frames[-_PEAK_FRAMES:], labels[sequence])
        if len(frames) > _PEAK_FRAMES:
            chosen[frames[0]] = "neutral"
        person = sequence.partition("_")[0]
        placed += [Placed(str(path), ALL_IMAGES, label, person=person) for path, label in chosen.items()]
    for one in placed:
        del left_out[one.name]
    what = "CK+ (last three frames of a sequence; its first as neutral)"
    return Found(what, placed, left_out=left_out, rest="as their sequence has no label")


def _label(content: bytes) -> str | None:
    try:
        return _LABELS.get(str(int(float(content.decode("ascii")))))
    except (ValueError, OverflowError):
        return None

"""How each emotion looks in a drawn face: the table that `sample.py` draws from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    """What the muscles do. Lengths in half heights of the head; 0 = at rest where nothing else is said."""

    brow_height: float = 0.25
    """Of the brow above the middle of the eye."""
    brow_inner: float = 0.0
    """Inner ends of the brows: above 0 raised (fear, sadness), below 0 lowered (anger)."""
    brow_arch: float = 0.05
    upper_lid: float = 0.09
    """Of the upper lid above the middle of the eye."""
    lower_lid: float = 0.06
    lid_droop: float = 0.0
    """Outer corners of the eyes lowered."""
    wrinkles: float = 0.0
    """Of the nose: 0 none to 1 deep."""
    frown: float = 0.0
    """Creases between the brows: 0 none to 1 deep."""
    mouth_width: float = 0.27
    corners: float = 0.0
    """Of the mouth: above 0 raised, below 0 lowered."""
    upper_lip: float = 0.0
    """Middle of the upper lip raised."""
    lower_lip: float = 0.0
    """Middle of the lower lip lowered."""
    sneer: float = 0.0
    """One side of the upper lip raised."""
    teeth: float = 0.0
    """Height of the upper teeth that an open mouth shows."""
    lip_fullness: float = 0.05


AT_REST = Expression()

EXPRESSIONS = {
    "angry": Expression(
        brow_height=0.15, brow_inner=-0.19, brow_arch=0.01, upper_lid=0.06, lower_lid=0.05, frown=1.0,
        mouth_width=0.22, corners=-0.06, lip_fullness=0.02,
    ),
    "disgust": Expression(
        brow_height=0.20, brow_inner=-0.06, brow_arch=0.03, upper_lid=0.045, lower_lid=0.025, wrinkles=1.0,
        mouth_width=0.29, corners=-0.08, upper_lip=0.06, sneer=0.14, teeth=0.13,
    ),
    "fear": Expression(
        brow_height=0.29, brow_inner=0.16, brow_arch=0.0, upper_lid=0.16, lower_lid=0.09, frown=0.4,
        mouth_width=0.38, corners=-0.10, lower_lip=0.12, teeth=0.10,
    ),
    "happy": Expression(
        brow_height=0.28, brow_arch=0.08, upper_lid=0.075, lower_lid=-0.01,
        mouth_width=0.41, corners=0.17, upper_lip=-0.06, lower_lip=0.20, teeth=0.10,
    ),
    "neutral": AT_REST,
    "sad": Expression(
        brow_height=0.25, brow_inner=0.18, brow_arch=-0.02, upper_lid=0.045, lower_lid=0.045, lid_droop=0.06,
        mouth_width=0.25, corners=-0.17, upper_lip=0.01, lip_fullness=0.06,
    ),
    "surprise": Expression(
        brow_height=0.40, brow_arch=0.12, upper_lid=0.17, lower_lid=0.11,
        mouth_width=0.19, corners=-0.02, upper_lip=0.13, lower_lip=0.24, lip_fullness=0.06,
    ),
}  # fmt: skip

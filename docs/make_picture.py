"""Draws the picture of the drawn faces in docs/data.md: `python -m docs.make_picture [--model MODEL.h5]`.

With a model, each face gets the probabilities that this model gives it, as the live window shows them. Without one the
faces have their names only: nothing here is made up.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.labels import colour

WIDTH, HEIGHT = 1280, 544
MARGIN, GAP, TOP = 28, 16, 104
NAME = 34
CARD = (WIDTH - 2 * MARGIN - 6 * GAP) / 7
FACE = 384
INK, PALE_INK, PAPER, CARD_PAPER, TRACK = "#1c2430", "#667180", "#f5f6f8", "#ffffff", "#e9ecf0"


def main() -> None:
    """Writes the picture."""
    options = parse_options()
    rows = 1 if options.model else 2
    random = np.random.default_rng(options.seed)
    faces = [[draw_face(emotion, random, side=FACE) for emotion in SAMPLE_LABELS] for _ in range(rows)]
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=PAPER)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    page.axis("off")
    _draw_title(page)
    if options.model:
        _draw_rated_row(page, faces[0], _probabilities(options.model, faces[0]))
    else:
        _draw_named_rows(page, faces)
    _save(figure, options.output)


def _save(figure: Figure, path: Path) -> None:
    """Writes a PNG of 256 colours, which is smaller and looks the same."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _draw_title(page: Axes) -> None:
    page.text(MARGIN, 46, "Facial emotion workbench", size=21, weight="bold", color=INK, va="center")
    page.text(MARGIN, 78, "train  ·  evaluate  ·  keep every run  ·  classify", size=12.5, color=PALE_INK, va="center")


def _draw_named_rows(page: Axes, faces: list[list[np.ndarray]]) -> None:
    tall = CARD + NAME
    for row, people in enumerate(faces):
        for column, (emotion, face) in enumerate(zip(SAMPLE_LABELS, people, strict=True)):
            x, y = MARGIN + column * (CARD + GAP), TOP + 4 + row * (tall + GAP)
            _draw_card(page, (x, y, tall), face, emotion)


def _draw_rated_row(page: Axes, people: list[np.ndarray], probabilities: np.ndarray) -> None:
    for column, (face, shares) in enumerate(zip(people, probabilities, strict=True)):
        x = MARGIN + column * (CARD + GAP)
        _draw_card(page, (x, TOP, HEIGHT - TOP - MARGIN), face, SAMPLE_LABELS[shares.argmax()])
        for place, (emotion, share) in enumerate(zip(SAMPLE_LABELS, shares, strict=True)):
            _draw_bar(page, (x + 10, TOP + CARD + NAME + 10 + place * 29), emotion, share)


def _draw_card(page: Axes, box: tuple[float, float, float], face: np.ndarray, emotion: str) -> None:
    x, y, tall = box
    page.add_patch(_rounded((x, y, CARD, tall), CARD_PAPER, edge=TRACK))
    inner = CARD - 12
    place = (x + 6, y + 6, inner, inner)
    # Shrunk first, so that the noise is averaged away instead of filling the file.
    small = cv2.resize(face, (round(inner), round(inner)), interpolation=cv2.INTER_AREA)
    image = page.imshow(small, cmap="gray", vmin=0, vmax=255, extent=(x + 6, x + 6 + inner, y + 6 + inner, y + 6))
    image.set(zorder=2, clip_path=_rounded(place, "none", transform=page.transData))
    page.add_patch(_rounded(place, "none", edge=colour(emotion), line=3, zorder=3))
    centred = {"ha": "center", "va": "center"}
    page.text(x + CARD / 2, y + CARD + NAME / 2 - 3, emotion, size=13, weight="bold", color=INK, **centred)
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), aspect="auto")


def _draw_bar(page: Axes, corner: tuple[float, float], emotion: str, share: float) -> None:
    x, y = corner
    long = CARD - 20
    page.text(x, y, emotion, size=8.5, color=PALE_INK, va="center")
    page.text(x + long, y, f"{share:.0%}", size=8.5, color=PALE_INK, va="center", ha="right")
    page.add_patch(_rounded((x, y + 8, long, 6), TRACK, corner=3))
    if share * long >= 6:
        page.add_patch(_rounded((x, y + 8, long * share, 6), colour(emotion), corner=3))


def _rounded(
    box: tuple[float, float, float, float],
    face: str,
    *,
    edge: str = "none",
    line: float = 1,
    corner: float = 10,
    **more,
) -> FancyBboxPatch:
    style = f"round,pad=0,rounding_size={corner}"
    return FancyBboxPatch(box[:2], *box[2:], boxstyle=style, facecolor=face, edgecolor=edge, linewidth=line, **more)


def _probabilities(model_path: Path, faces: list[np.ndarray]) -> np.ndarray:
    """Returns what the model says of the faces: float32 (faces, 7), in the order of SAMPLE_LABELS."""
    import keras

    model = keras.models.load_model(model_path, compile=False)
    if model.output_shape[-1] != len(SAMPLE_LABELS):
        raise SystemExit(
            f"{model_path} has {model.output_shape[-1]} classes; the drawn faces show {len(SAMPLE_LABELS)}."
        )
    side = model.input_shape[1]
    pixels = np.stack([cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces])
    return model.predict(pixels[..., None].astype("float32"), verbose=0)


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="an .h5 of this project, of the seven emotions, for the bars")
    parser.add_argument("--seed", type=int, default=7, help="other faces (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "overview.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()

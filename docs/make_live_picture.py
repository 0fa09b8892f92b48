"""Makes the README's picture of the live view: `python -m docs.make_live_picture`.

Three drawn faces become a short video, realtime_emotion_detector.py reads it with the model that comes with the
project, and the last frame that it has written is the picture. So no photograph of a person is in it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_core.data.sample import draw_face

DETECTOR = Path(__file__).parents[1] / "realtime_emotion_detector.py"
WIDTH, HEIGHT, FACE = 1350, 370, 270
FRAMES, FRAMES_PER_SECOND = 60, 30
WALL_BGR = (58, 52, 46)
OPTIONS = ("--model", "best", "--detector", "yunet", "--no-display")
PEOPLE = {"happy": 5, "surprise": 23, "angry": 19}
"""Emotions and seeds: people whom yunet finds."""


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "live.png")
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        clip, annotated = Path(folder, "clip.avi"), Path(folder, "annotated.mp4")
        _write_clip(clip)
        command = [sys.executable, DETECTOR, "--source", clip, "--output", annotated, "--folder", folder]
        subprocess.run([*command, *OPTIONS], check=True)
        _save(_last_frame(annotated), output)


def _write_clip(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FRAMES_PER_SECOND, (WIDTH, HEIGHT))
    frame_bgr = _frame()
    for _ in range(FRAMES):
        writer.write(frame_bgr)
    writer.release()


def _frame() -> np.ndarray:
    frame_bgr = np.full((HEIGHT, WIDTH, 3), WALL_BGR, np.uint8)
    top, column = (HEIGHT - FACE) // 2, WIDTH // len(PEOPLE)
    for place, (emotion, seed) in enumerate(PEOPLE.items()):
        left = (place + 1) * column - FACE - 20  # leaves room for the panel beside each face
        face = draw_face(emotion, np.random.default_rng(seed), side=FACE)
        frame_bgr[top : top + FACE, left : left + FACE] = face[..., None]
    return frame_bgr


def _last_frame(path: Path) -> np.ndarray:
    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_FRAMES, FRAMES - 1)
    is_read, frame_bgr = video.read()
    video.release()
    if not is_read:
        raise SystemExit(f"{path} has no frame {FRAMES}.")
    return frame_bgr


def _save(frame_bgr: np.ndarray, path: Path) -> None:
    """Writes a PNG of 256 colours, which is smaller and looks the same."""
    picture = Image.fromarray(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB))
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()

"""The peer of the live view: a loop as tutorials write it, Haar on the full frame and `model.predict` for each face.

Uses nothing of this project but a model file. Prints one line per frame: seconds since the loop began, and the labels.
"""

import argparse
import json
import time

import cv2
import keras
import numpy as np

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def main() -> None:
    """Reads a video to its end, or so many frames."""
    options = parse_options()
    model = keras.models.load_model(options.model, compile=False)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    capture = cv2.VideoCapture(options.video)
    for _ in range(options.frames):
        began = time.perf_counter()
        readable, frame = capture.read()
        if not readable:
            break
        labels = annotate(frame, model, cascade)
        print(json.dumps({"seconds": time.perf_counter() - began, "labels": labels}), flush=True)


def annotate(frame: np.ndarray, model: keras.Model, cascade: cv2.CascadeClassifier) -> list[str]:
    """Draws box and label of each face into the frame (BGR) and returns the labels."""
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    labels = []
    for x, y, width, height in cascade.detectMultiScale(gray, scaleFactor=1.3, minNeighbors=5):
        face = cv2.resize(gray[y : y + height, x : x + width], (48, 48))
        probabilities = model.predict(face[np.newaxis, :, :, np.newaxis].astype("float32"), verbose=0)[0]
        labels.append(LABELS[int(np.argmax(probabilities))])
        cv2.rectangle(frame, (x, y), (x + width, y + height), (255, 0, 0), 2)
        cv2.putText(frame, labels[-1], (x, y - 10), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    return labels


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", type=int, default=10**9)
    return parser.parse_args()


if __name__ == "__main__":
    main()

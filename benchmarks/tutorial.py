"""The peer of the live view and of the web page, as tutorials write both: Haar on the full picture, `model.predict`.

    python benchmarks/tutorial.py MODEL loop VIDEO [FRAMES]   # a line of JSON for each frame
    python benchmarks/tutorial.py MODEL web PORT              # Flask with its own server, as `app.run()` starts it

Uses nothing of this project but a model file.
"""

import json
import sys
import time

import cv2
import keras
import numpy as np

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def find_emotions(picture_bgr: np.ndarray, model: keras.Model, cascade: cv2.CascadeClassifier) -> list[tuple]:
    """Returns box, label and confidence of each face."""
    gray = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY)
    found = []
    for x, y, width, height in cascade.detectMultiScale(gray, scaleFactor=1.3, minNeighbors=5):
        face = cv2.resize(gray[y : y + height, x : x + width], (48, 48))
        probabilities = model.predict(face[np.newaxis, :, :, np.newaxis].astype("float32"), verbose=0)[0]
        found.append(((x, y, width, height), LABELS[int(np.argmax(probabilities))], float(probabilities.max())))
    return found


def loop(model: keras.Model, cascade: cv2.CascadeClassifier, video: str, frames: str = "1000000000") -> None:
    """Reads a video to its end, or so many frames, and draws box and label of each face."""
    capture = cv2.VideoCapture(video)
    for _ in range(int(frames)):
        began = time.perf_counter()
        readable, frame = capture.read()
        if not readable:
            break
        faces = find_emotions(frame, model, cascade)
        for (x, y, width, height), label, _ in faces:
            cv2.rectangle(frame, (x, y), (x + width, y + height), (255, 0, 0), 2)
            cv2.putText(frame, label, (x, y - 10), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        labels = [label for _, label, _ in faces]
        print(json.dumps({"seconds": time.perf_counter() - began, "labels": labels}), flush=True)


def web(model: keras.Model, cascade: cv2.CascadeClassifier, port: str) -> None:
    """Serves."""
    from flask import Flask, jsonify, request

    app = Flask(__name__)

    @app.post("/predict")
    def predict():
        data = np.frombuffer(request.files["image"].read(), np.uint8)
        faces = find_emotions(cv2.imdecode(data, cv2.IMREAD_COLOR), model, cascade)
        return jsonify(faces=[{"label": label, "confidence": confidence} for _, label, confidence in faces])

    app.run(port=int(port))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    network = keras.models.load_model(sys.argv[1], compile=False)
    haar = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    {"loop": loop, "web": web}[sys.argv[2]](network, haar, *sys.argv[3:])

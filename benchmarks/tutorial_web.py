"""The peer of the web page: Flask as tutorials write it, Haar on the full picture, `model.predict` for each face.

    python benchmarks/tutorial_web.py --model models/shipped/best/model.h5 --port 5001

Uses nothing of this project but a model file, and Flask's own server, as `app.run()` starts it.
"""

import argparse

import cv2
import keras
import numpy as np
from flask import Flask, jsonify, request

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def make_app(model_file: str) -> Flask:
    """Returns the application."""
    app = Flask(__name__)
    model = keras.models.load_model(model_file, compile=False)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    @app.post("/predict")
    def predict():
        data = np.frombuffer(request.files["image"].read(), np.uint8)
        gray = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2GRAY)
        faces = []
        for x, y, width, height in cascade.detectMultiScale(gray, scaleFactor=1.3, minNeighbors=5):
            face = cv2.resize(gray[y : y + height, x : x + width], (48, 48))
            probabilities = model.predict(face[np.newaxis, :, :, np.newaxis].astype("float32"), verbose=0)[0]
            faces.append({"label": LABELS[int(np.argmax(probabilities))], "confidence": float(probabilities.max())})
        return jsonify(faces=faces)

    return app


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    make_app(options.model).run(port=options.port)


if __name__ == "__main__":
    main()

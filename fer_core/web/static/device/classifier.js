// From what a network answers to calibrated probabilities, as fer_core/live/classifier.py has it.
import { cropFace, gray, squared } from "./pixels.js";

const SMALLEST = 2 ** -126; // of float32, as in fer_core/evaluation/calibration.py

export class Classifier {
  #network;
  #model;

  /** `model` is what model.json says of it. */
  constructor(network, model) {
    this.#network = network;
    this.#model = model;
  }

  /** Returns a frame in the colours that the network sees. */
  seen(frame) {
    return this.#model.colours === "gray" ? gray(frame) : frame;
  }

  /** Returns the small picture that the network sees of a face in `seen(frame)`; of a given face without a box. */
  picture(seen, box, roll = 0) {
    const { side, framing } = this.#model;
    return squared(box ? cropFace(seen, box, framing, roll) : seen, side);
  }

  /** Returns the probabilities of a picture that is as the network sees it. */
  async classify(picture) {
    const { side, channels } = this.#model;
    const answer = await this.#network.run({ data: this.#values(picture), shape: [1, side, side, channels] });
    return calibrated(answer, this.#model);
  }

  #values({ data, channels: given }) {
    const { channels, colours, pixels } = this.#model;
    const order = given === 1 ? [0, 0, 0] : colours === "bgr" ? [2, 1, 0] : [0, 1, 2];
    const [times, minus] = { "0..255": [1, 0], "0..1": [1 / 255, 0], "-1..1": [1 / 127.5, 1] }[pixels];
    return Float32Array.from({ length: (data.length / given) * channels }, (_, place) => {
      return data[Math.floor(place / channels) * given + order[place % channels]] * times - minus;
    });
  }
}

/** Returns probabilities, calibrated, of a network's answer. `outputs`, `divided_by` and `temperature` are the model's. */
export function calibrated(answer, { outputs, divided_by, temperature }) {
  let shares = Array.from(answer);
  if (outputs === "scores") shares = summing(shares);
  if (outputs === "logits") shares = softmax(shares);
  if (divided_by) shares = summing(shares.map((share, place) => share / divided_by[place]));
  if (temperature !== 1) shares = softmax(shares.map((share) => Math.log(Math.max(share, SMALLEST)) / temperature));
  return shares;
}

function softmax(logits) {
  const largest = Math.max(...logits);
  return summing(logits.map((logit) => Math.exp(logit - largest)));
}

function summing(shares) {
  const sum = Math.max(shares.reduce((all, one) => all + one, 0), 1e-9);
  return shares.map((share) => share / sum);
}

// What the worker does: `load` once, then frames of a camera or single pictures. Nothing leaves this device.
import { Classifier } from "./classifier.js";
import { People, readingOf } from "./people.js";
import { pictureOf } from "./pixels.js";
import { Model, quickest, startRuntime } from "./runtime.js";
import { shownOf } from "./steady.js";
import { YuNet } from "./yunet.js";

let model, classifier, detector, people, smoothedBy;

/** Loads all; the addresses are absolute. Returns the model's description. */
export async function load({ description, detector: detectorAddress, runtime }) {
  model = await (await fetch(description)).json();
  const litert = await startRuntime(new URL(runtime));
  const address = new URL(model.weights, description);
  const network = await Model.open(litert, address);
  classifier = new Classifier(network, model);
  detector = new YuNet(await Model.open(litert, detectorAddress), model.detection);
  const nothing = { data: new Uint8Array(320 * 256 * 4), width: 320, height: 256, channels: 4 };
  await detector.find(nothing, model.detection.width);
  await classifier.classify(classifier.picture(classifier.seen(nothing)));
  hurry(litert, address, network).catch(() => {}); // it goes on as it is
  return { result: model };
}

async function hurry(litert, address, network) {
  const shape = [1, model.side, model.side, model.channels];
  const data = Float32Array.from({ length: model.side ** 2 * model.channels }, (_, place) => (place * 7919) % 256);
  const quicker = await quickest(litert, address, network, { data, shape });
  if (quicker !== network) classifier = new Classifier(quicker, model);
}

export async function readFrame({ frame, seconds, smoothing }) {
  const began = performance.now();
  if (smoothing !== smoothedBy) [people, smoothedBy] = [new People(model, smoothing), smoothing];
  const picture = pictureOf(frame);
  const found = await facesIn(picture, model.detection.width);
  const seen = classifier.seen(picture);
  const read = ({ box, roll }) => classifier.classify(classifier.picture(seen, box, roll));
  const faces = await people.update(found, seconds, read);
  const { width, height } = frame;
  return { result: { width, height, faces, milliseconds: performance.now() - began } };
}

/** Reads a picture: as one face where it is said to be one, or (`auto`) is small and no face is found in it. */
export async function readPicture({ picture: given, finding }) {
  const picture = pictureOf(given);
  const longest = Math.max(picture.width, picture.height);
  const { width, photo_width, largest_face_already } = model.detection;
  const found = finding === "given" ? [] : await facesIn(picture, longest <= 2 * width ? width : photo_width);
  const isLikeAFace = longest <= largest_face_already && 0.75 <= picture.width / picture.height && picture.width / picture.height <= 1.33;
  const isGiven = finding === "given" || (finding === "auto" && !found.length && isLikeAFace);
  const faces = [],
    whole = classifier.seen(picture);
  for (const { box, roll } of isGiven ? [{}] : found) {
    const seen = classifier.picture(whole, box, roll);
    const probabilities = await classifier.classify(seen);
    const shown = box ?? { x: 0, y: 0, width: picture.width, height: picture.height };
    faces.push({ ...readingOf(shown, probabilities, shownOf(probabilities, 0).label, model), seen });
  }
  return { result: { faces, isGiven } };
}

async function facesIn(picture, longest) {
  const found = await detector.find(picture, longest);
  if (!model.aligned) return found.map((face) => ({ ...face, roll: 0 }));
  return Promise.all(found.map((face) => detector.aligned(face, picture)));
}

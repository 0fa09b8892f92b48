// The detector YuNet, as OpenCV's FaceDetectorYN reads its answers, and how far a face is turned.
import { cropFace, gray, shrunk, squaredLinear } from "./pixels.js";

const LOOKS = 2; // looks, see fer_core/faces/framing.py
const LOOK_SIDE = 224;
const AROUND = { scale: 1.1, right: 0, down: 0 };
const STRIDES = [8, 16, 32];
const VALUES = 10;

export class YuNet {
  #model;
  #sizes;
  #rules;
  #values;
  #shape = "";

  /** `model` has a signature for each size; `rules` are what model.json says of the detection. */
  constructor(model, rules) {
    this.#model = model;
    this.#rules = rules;
    this.#sizes = model.signatures
      .map((name) => ({ name, sides: name.split("x").map(Number) }))
      .sort((a, b) => a.sides[0] * a.sides[1] - b.sides[0] * b.sides[1]);
  }

  /** Returns the faces ({box, score, roll}) in a picture, the largest first; it is looked at with at most `longest` pixels. */
  async find(picture, longest) {
    const small = shrunk(picture, longest);
    const { name, sides } = this.#sizes.find(({ sides: [w, h] }) => w >= small.width && h >= small.height);
    const rows = await this.#model.run(this.#tensor(small, sides), name);
    const across = picture.width / small.width,
      down = picture.height / small.height;
    const found = kept(facesOf(rows, sides, this.#rules.least_score), this.#rules.most_overlap);
    return found
      .map(({ box: { x, y, width, height }, ...rest }) => {
        return { ...rest, box: { x: x * across, y: y * down, width: width * across, height: height * down } };
      })
      .filter((face) => areaOf(face) >= this.#rules.least_face_pixels ** 2)
      .sort((a, b) => areaOf(b) - areaOf(a));
  }

  #tensor(picture, [across, down]) {
    const shape = `${picture.width}x${picture.height} in ${across}x${down}`;
    if (this.#shape !== shape) [this.#shape, this.#values] = [shape, new Float32Array(across * down * 3)];
    fill(this.#values, across, picture);
    return { data: this.#values, shape: [1, down, across, 3] };
  }

  /** Returns the face with a roll that is measured nearby. */
  async aligned(face, picture) {
    const grays = gray(picture);
    let roll = 0;
    for (let look = 0; look < LOOKS; look++) {
      const near = squaredLinear(cropFace(grays, face.box, AROUND, roll), LOOK_SIDE);
      const found = await this.find(near, LOOK_SIDE);
      if (!found.length) break;
      roll += found[0].roll;
    }
    return { ...face, roll };
  }
}

/** Writes blue, green and red of a picture as the detector takes them, filled up with black. */
function fill(tensor, across, { data, width, height, channels }) {
  const [blue, green, red] = channels === 1 ? [0, 0, 0] : [2, 1, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0, from = y * width * channels, to = y * across * 3; x < width; x++, from += channels) {
      tensor[to++] = data[from + blue];
      tensor[to++] = data[from + green];
      tensor[to++] = data[from + red];
    }
}

function facesOf(rows, [width, height], minScore) {
  const faces = [];
  let at = 0;
  for (const stride of STRIDES)
    for (let row = 0; row < height / stride; row++)
      for (let column = 0; column < width / stride; column++, at += VALUES) {
        const score = Math.sqrt(unit(rows[at]) * unit(rows[at + 1]));
        if (score < minScore) continue;
        const [boxWidth, boxHeight] = [Math.exp(rows[at + 4]) * stride, Math.exp(rows[at + 5]) * stride];
        const box = {
          x: (column + rows[at + 2]) * stride - boxWidth / 2,
          y: (row + rows[at + 3]) * stride - boxHeight / 2,
          width: boxWidth,
          height: boxHeight,
        };
        const eyes = [rows[at + 8] - rows[at + 6], rows[at + 9] - rows[at + 7]];
        faces.push({ box, score, roll: (Math.atan2(eyes[1], eyes[0]) * 180) / Math.PI });
      }
  return faces;
}

/** Returns, of boxes that overlap, the better one; OpenCV compares them in whole pixels. */
function kept(faces, overlap) {
  const chosen = [];
  for (const face of faces.sort((a, b) => b.score - a.score))
    if (chosen.every((one) => overlapOf(one.box, face.box) <= overlap)) chosen.push(face);
  return chosen;
}

function overlapOf(one, other) {
  const [a, b] = [one, other].map((box) => Object.fromEntries(Object.entries(box).map(([k, v]) => [k, Math.trunc(v)])));
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const common = Math.max(0, width) * Math.max(0, height);
  return common / (a.width * a.height + b.width * b.height - common);
}

function areaOf({ box }) {
  return box.width * box.height;
}

function unit(value) {
  return Math.min(1, Math.max(0, value));
}

// Pictures, cut and scaled as OpenCV does it in Python, so that the network sees the same pixels.
// A picture is {data, width, height, channels}: bytes, RGBA (4 channels) or gray (1).

/** Returns an ImageData as a picture. */
export function pictureOf({ data, width, height }) {
  return { data, width, height, channels: 4 };
}

/** Returns the gray picture of one in RGBA. */
export function gray({ data, width, height, channels }) {
  if (channels === 1) return { data, width, height, channels };
  const result = new Uint8Array(width * height);
  for (let to = 0, from = 0; to < result.length; to++, from += 4)
    result[to] = (9798 * data[from] + 19235 * data[from + 1] + 3735 * data[from + 2] + 16384) >> 15;
  return { data: result, width, height, channels: 1 };
}

/** Returns a picture with a longer side of at most `longest` pixels; never enlarged. */
export function shrunk(picture, longest) {
  const factor = Math.min(1, longest / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, halfToEven(side * factor)));
  return resized(picture, width, height, area);
}

/** Returns the square around a box as the network's pictures are framed, before it is turned about its centre. */
export function squareOf({ x, y, width, height }, { scale, right, down }, roll = 0) {
  const reference = Math.sqrt(Math.max(width, 0) * Math.max(height, 0));
  const side = scale * reference,
    [sine, cosine] = [Math.sin(radians(roll)), Math.cos(radians(roll))];
  const centreX = x + width / 2 + (right * cosine - down * sine) * reference;
  const centreY = y + height / 2 + (right * sine + down * cosine) * reference;
  return { x: centreX - side / 2, y: centreY - side / 2, width: side, height: side };
}

/** Returns the face as a square picture; a face turned by `roll` degrees clockwise is turned back. */
export function cropFace(picture, box, framing, roll = 0) {
  const square = squareOf(box, framing, roll);
  return roll ? aligned(picture, square, roll) : cut(picture, square);
}

/** Returns a picture scaled to a square as the network takes it: by area when it shrinks, cubic when it grows. */
export function squared(picture, side) {
  return resized(picture, side, side, Math.max(picture.width, picture.height) > side ? area : cubic);
}

/** As `squared`, but linear when it grows: what the detector looks at a second time. */
export function squaredLinear(picture, side) {
  return picture.width > side ? resized(picture, side, side, area) : enlarged(picture, side);
}

function resized(picture, width, height, weights) {
  if (picture.width === width && picture.height === height) return picture;
  const { channels } = picture;
  const columns = weights(picture.width, width),
    rows = weights(picture.height, height);
  if (weights === area && columns.step === 2 && rows.step === 2) return halved(picture, width, height);
  const between = new Float32Array(picture.height * width * channels);
  for (let y = 0; y < picture.height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let place = columns.starts[x]; place < columns.starts[x + 1]; place++)
          sum += columns.shares[place] * picture.data[(y * picture.width + columns.from[place]) * channels + channel];
        between[(y * width + x) * channels + channel] = sum;
      }
  const result = new Uint8ClampedArray(width * height * channels); // rounds halves to even, as OpenCV does
  const length = width * channels;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < length; x++) {
      let sum = 0;
      for (let place = rows.starts[y]; place < rows.starts[y + 1]; place++)
        sum += rows.shares[place] * between[rows.from[place] * length + x];
      result[y * length + x] = sum;
    }
  return { data: result, width, height, channels };
}

/** Linear, with the whole numbers that OpenCV computes with. */
function enlarged(picture, side) {
  if (picture.width === side) return picture;
  const { data, width, channels } = picture;
  const table = interpolated(width, side, 0, (x) => [1 - x, x]);
  const shares = table.shares.map((share) => halfToEven(2048 * share));
  const result = new Uint8Array(side * side * channels);
  const across = (line, x, channel) =>
    [0, 1].reduce((sum, one) => {
      const pixel = (line * width + table.from[2 * x + one]) * channels + channel;
      return sum + shares[2 * x + one] * data[pixel];
    }, 0) >> 4;
  for (let y = 0, to = 0; y < side; y++) {
    const [upper, lower, one, other] = [table.from[2 * y], table.from[2 * y + 1], shares[2 * y], shares[2 * y + 1]];
    for (let x = 0; x < side; x++)
      for (let channel = 0; channel < channels; channel++, to++) {
        const above = (one * across(upper, x, channel)) >> 16,
          below = (other * across(lower, x, channel)) >> 16;
        result[to] = (above + below + 2) >> 2;
      }
  }
  return { data: result, width: side, height: side, channels };
}

/** The most frequent case, with OpenCV's own rounding. */
function halved({ data, width: across, channels }, width, height) {
  const result = new Uint8Array(width * height * channels),
    line = across * channels;
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < channels; channel++, to++) {
        const from = 2 * y * line + 2 * x * channels + channel;
        result[to] = (data[from] + data[from + channels] + data[from + line] + data[from + line + channels] + 2) >> 2;
      }
  return { data: result, width, height, channels };
}

/** Returns for each pixel along one direction which ones it is made of, and with what shares. */
function collected(size, pixelsOf) {
  const table = { starts: [0], from: [], shares: [] };
  for (let place = 0; place < size; place++) {
    for (const [from, share] of pixelsOf(place)) {
      table.from.push(from);
      table.shares.push(share);
    }
    table.starts.push(table.from.length);
  }
  return table;
}

function area(from, to) {
  const step = from / to;
  const pixelsOf = (place) => {
    const [start, end] = [place * step, (place + 1) * step];
    const whole = Math.min(step, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const first = Math.min(Math.ceil(start), last);
    const pixels = [];
    if (first - start > 1e-3) pixels.push([first - 1, (first - start) / whole]);
    for (let pixel = first; pixel < last; pixel++) pixels.push([pixel, 1 / whole]);
    if (end - last > 1e-3) pixels.push([last, Math.min(end - last, 1, whole) / whole]);
    return pixels;
  };
  return Object.assign(collected(to, pixelsOf), { step });
}

function cubic(from, to) {
  const A = -0.75;
  return interpolated(from, to, -1, (x) => {
    const near = (t) => ((A + 2) * t - (A + 3)) * t * t + 1;
    const before = ((A * (x + 1) - 5 * A) * (x + 1) + 8 * A) * (x + 1) - 4 * A;
    const shares = [before, near(x), near(1 - x)];
    return [...shares, 1 - shares[0] - shares[1] - shares[2]];
  });
}

function interpolated(from, to, offset, sharesOf) {
  const step = from / to;
  return collected(to, (place) => {
    const at = (place + 0.5) * step - 0.5,
      first = Math.floor(at);
    return sharesOf(at - first).map((share, more) => [within(first + offset + more, from), share]);
  });
}

const LARGEST_CROP = 4;

function cut({ data, width, height, channels }, square) {
  const side = Math.min(Math.max(rounded(square.width), 1), LARGEST_CROP * Math.max(width, height));
  const left = rounded(square.x + square.width / 2 - side / 2),
    top = rounded(square.y + square.height / 2 - side / 2);
  const result = new Uint8Array(side * side * channels);
  for (let y = 0, to = 0; y < side; y++) {
    const line = within(top + y, height) * width;
    for (let x = 0; x < side; x++) {
      const from = (line + within(left + x, width)) * channels;
      for (let channel = 0; channel < channels; channel++) result[to++] = data[from + channel];
    }
  }
  return { data: result, width: side, height: side, channels };
}

function aligned(picture, square, roll) {
  const [sine, cosine] = [Math.sin(radians(roll)), Math.cos(radians(roll))];
  const reach = (Math.abs(sine) + Math.abs(cosine)) * square.width;
  const [centreX, centreY] = [square.x + square.width / 2, square.y + square.height / 2];
  const around = cut(picture, { x: centreX - reach / 2, y: centreY - reach / 2, width: reach, height: reach });
  const side = Math.min(Math.max(rounded(square.width), 1), around.width);
  const [middle, half] = [(around.width - 1) / 2, (side - 1) / 2];
  const startX = middle - cosine * half + sine * half,
    startY = middle - sine * half - cosine * half;
  const { channels } = picture;
  const result = new Uint8Array(side * side * channels);
  for (let y = 0, to = 0; y < side; y++) {
    const [lineX, lineY] = [halfToEven((startX - sine * y) * FINE) + 16, halfToEven((startY + cosine * y) * FINE) + 16];
    for (let x = 0; x < side; x++, to += channels)
      blend(around, (lineX + halfToEven(cosine * x * FINE)) >> 5, (lineY + halfToEven(sine * x * FINE)) >> 5, result, to);
  }
  return { data: result, width: side, height: side, channels };
}

const FINE = 1024; // OpenCV steps along a line in such parts of a pixel, and blends in 1/32 of one

/** Writes the pixel at a place between pixels, in 1/32 of one. */
function blend({ data, width, height, channels }, x, y, result, to) {
  const [left, top, right, down] = [x >> 5, y >> 5, x & 31, y & 31];
  const columns = [within(left, width) * channels, within(left + 1, width) * channels];
  const lines = [within(top, height) * width * channels, within(top + 1, height) * width * channels];
  for (let channel = 0; channel < channels; channel++) {
    const at = (column, line) => data[lines[line] + columns[column] + channel];
    const upper = (32 - right) * at(0, 0) + right * at(1, 0),
      lower = (32 - right) * at(0, 1) + right * at(1, 1);
    result[to + channel] = ((32 - down) * upper + down * lower + 512) >> 10;
  }
}

function within(place, size) {
  return place < 0 ? 0 : place >= size ? size - 1 : place;
}

function radians(degrees) {
  return (degrees * Math.PI) / 180;
}

function rounded(value) {
  return Math.floor(value + 0.5);
}

/** Rounds as Python does. */
function halfToEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

// Draws boxes over a frame, and the bars of the nearest person where they hide nobody.
const PAD = 6;
const NARROW = 480; // CSS pixels: on a phone the bars would hide half of the picture; the list below has them too
const ROW = 17,
  WIDTH = 128,
  NAME = 62;

/** Draws each face's box with its label. Text is as large on a phone as on a desktop. */
export function drawReadings(pen, faces, settings) {
  const { width, height, clientWidth, clientHeight } = pen.canvas;
  const scale = clientWidth ? Math.max(width / clientWidth, height / clientHeight) : 1;
  for (const face of faces) drawBox(pen, face, settings.colours[face.label] ?? "#ffffff", scale);
  const taken = drawLabels(pen, faces, scale);
  const nearest = faces.reduce((best, one) => (!best || area(one.box) > area(best.box) ? one : best), null);
  if (nearest && clientWidth >= NARROW) drawBars(pen, nearest, taken, settings, scale);
}

/** Returns a reading in words, as they stand beside a box and over a person's bars. */
export function wordsOf({ label, unsure, held }) {
  return `${label}${unsure ? " (unsure)" : held ? " (changing)" : ""}`;
}

function drawBox(pen, { box, unsure }, colour, scale) {
  pen.lineWidth = 5 * scale;
  pen.strokeStyle = "rgba(0, 0, 0, 0.5)";
  pen.strokeRect(box.x, box.y, box.width, box.height);
  pen.lineWidth = 3 * scale;
  pen.strokeStyle = colour;
  pen.setLineDash(unsure ? [8 * scale, 6 * scale] : []);
  pen.strokeRect(box.x, box.y, box.width, box.height);
  pen.setLineDash([]);
}

/**
 * Writes beside each box what was read, the nearest first; in a crowd, where that would hide others, the number only.
 * Returns what must not be hidden: faces and words.
 */
function drawLabels(pen, faces, scale) {
  const taken = faces.map((face) => face.box);
  pen.font = `600 ${15 * scale}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const face of [...faces].sort((a, b) => area(b.box) - area(a.box))) {
    const end = `  ${Math.round(100 * face.confidence)}%`;
    const whole = fitting(pen, `${face.person}  ${wordsOf(face)}`, end, pen.canvas.width / 2);
    const places = [whole, String(face.person)].flatMap((words) => labelPlaces(pen, face.box, words, scale));
    const place = places.find((one) => !taken.some((other) => other !== face.box && overlap(one, other))) ?? places.at(-2);
    taken.push(place);
    pen.fillStyle = "rgba(5, 8, 12, 0.82)";
    pen.fillRect(place.x, place.y, place.width, place.height);
    pen.fillStyle = "#fff";
    pen.fillText(place.words, place.x + PAD * scale, place.y + place.height / 2);
  }
  return taken;
}

/** Returns where words can stand: over a box, and under it. */
function labelPlaces(pen, box, words, scale) {
  const width = pen.measureText(words).width + 2 * PAD * scale,
    height = 23 * scale;
  const x = Math.max(0, Math.min(box.x, pen.canvas.width - width));
  const lowest = pen.canvas.height - height;
  return [box.y - height, box.y + box.height].map((top) => {
    return { words, x, y: Math.max(0, Math.min(top, lowest)), width, height };
  });
}

/** Returns words and what ends them, the words cut where both would be wider than `most`. */
function fitting(pen, words, end, most) {
  if (pen.measureText(words + end).width <= most) return words + end;
  let kept = words;
  while (kept.length > 1 && pen.measureText(`${kept}…${end}`).width > most) kept = kept.slice(0, -1);
  return `${kept}…${end}`;
}

function drawBars(pen, face, taken, { colours }, scale) {
  const row = ROW * scale,
    width = WIDTH * scale,
    name = NAME * scale;
  const entries = Object.entries(face.probabilities);
  const height = entries.length * row + PAD * scale;
  const place = freePlace(face.box, { width, height }, taken, pen.canvas, PAD * scale);
  if (!place) return;
  const { left, top } = place;
  pen.fillStyle = "rgba(5, 8, 12, 0.72)";
  pen.fillRect(left, top, width, height);
  entries.forEach(([label, share], order) => {
    const y = top + (PAD * scale) / 2 + (order + 0.5) * row;
    pen.font = `${label === face.label ? 700 : 400} ${12 * scale}px system-ui, sans-serif`;
    pen.fillStyle = "#fff";
    pen.fillText(fitting(pen, label, "", name - PAD * scale), left + PAD * scale, y);
    pen.fillStyle = "rgba(255, 255, 255, 0.18)";
    pen.fillRect(left + name + 3 * scale, y - 4 * scale, width - name - 9 * scale, 8 * scale);
    pen.fillStyle = colours[label] ?? "#ffffff";
    pen.fillRect(left + name + 3 * scale, y - 4 * scale, share * (width - name - 9 * scale), 8 * scale);
  });
}

/** Returns where a panel hides no face: right of the box, left of it, or in a corner; null where there is no room. */
function freePlace(box, { width, height }, taken, canvas, gap) {
  const [right, bottom] = [canvas.width - width, canvas.height - height];
  const beside = Math.max(0, Math.min(box.y, bottom));
  const places = [
    { left: box.x + box.width + gap, top: beside },
    { left: box.x - width - gap, top: beside },
    ...[right, 0].flatMap((left) => [0, bottom].map((top) => ({ left, top }))),
  ];
  const isInside = ({ left, top }) => left >= 0 && left <= right && top >= 0 && top <= bottom;
  const hides = ({ left, top }, one) => overlap({ x: left, y: top, width, height }, one);
  return places.find((place) => isInside(place) && !taken.some((one) => hides(place, one))) ?? null;
}

function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function area(box) {
  return box.width * box.height;
}

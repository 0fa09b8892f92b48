// Follows faces from frame to frame, by the rules of fer_core/live/tracker.py: tests/live/rules.py holds it to them.
const BRIDGE_SECONDS = 0.7,
  CERTAIN_SECONDS = 0.1,
  COASTING_SECONDS = 0.3,
  SPEED_SECONDS = 0.2;
const FARTHEST = 1.7,
  INSIDE = 0.5;

class Track {
  person = null;
  isFound = true;
  #observed;
  #observedAt;
  #speed = [0, 0];

  constructor(face, seconds) {
    this.box = this.#observed = face.box;
    this.roll = face.roll;
    this.firstAt = this.foundAt = this.#observedAt = seconds;
  }

  expected(seconds) {
    const elapsed = Math.max(0, seconds - this.#observedAt);
    const far = COASTING_SECONDS * (1 - Math.exp(-elapsed / COASTING_SECONDS));
    const { x, y, width, height } = this.#observed;
    return { x: x + this.#speed[0] * far, y: y + this.#speed[1] * far, width, height };
  }

  find(face, seconds) {
    this.isFound = Boolean(face);
    if (!face) {
      this.box = this.expected(seconds);
      return;
    }
    this.#observe(face.box, seconds);
    this.roll = face.roll;
    this.foundAt = seconds;
  }

  #observe(box, seconds) {
    const elapsed = seconds - this.#observedAt;
    if (elapsed > 0) {
      const share = 1 - Math.exp(-elapsed / SPEED_SECONDS);
      const [now, before] = [centreOf(box), centreOf(this.#observed)];
      this.#speed = this.#speed.map((speed, axis) => (1 - share) * speed + (share / elapsed) * (now[axis] - before[axis]));
    }
    this.box = this.#observed = box;
    this.#observedAt = Math.max(this.#observedAt, seconds);
  }
}

export class Tracker {
  tracks = [];
  #people = 0;
  #hasChecked = false;

  /** The tracks that have a number, in its order. */
  get people() {
    return this.tracks.filter((track) => track.person !== null).sort((a, b) => a.person - b.person);
  }

  /** Takes what the detector found in a frame, [{box, roll}], at this time. */
  find(faces, seconds) {
    const pairs = matched(
      this.tracks.map((track) => track.expected(seconds)),
      faces.map((face) => face.box),
    );
    this.tracks.forEach((track, place) => track.find(faces[pairs.get(place)], seconds));
    this.tracks = this.tracks.filter(
      (track) => track.isFound || (track.person && seconds - track.foundAt <= BRIDGE_SECONDS),
    );
    const seen = this.tracks.filter((track) => track.isFound).map((track) => track.box);
    const known = new Set(pairs.values());
    faces.forEach((face, place) => {
      const isNew = !known.has(place) && seen.every((box) => commonArea(face.box, box) / areaOf(face.box) <= INSIDE);
      if (isNew) this.tracks.push(new Track(face, seconds));
    });
    for (const track of this.tracks) {
      const isCertain = track.foundAt - track.firstAt >= CERTAIN_SECONDS || !this.#hasChecked;
      if (track.person === null && isCertain) track.person = ++this.#people;
    }
    this.#hasChecked = true;
  }
}

/** Returns a Map from places in `expected` to places in `found`: nearest pairs first, then those that cross change. */
function matched(expected, found) {
  const costs = expected.map((box) => found.map((other) => costOf(box, other)));
  const all = costs.flatMap((row, place) => row.map((cost, other) => ({ place, other, cost })));
  const pairs = new Map();
  for (const { place, other } of all.filter(({ cost }) => cost <= FARTHEST).sort((a, b) => a.cost - b.cost))
    if (!pairs.has(place) && ![...pairs.values()].includes(other)) pairs.set(place, other);
  const allowed = (place, other) => (costs[place][other] <= FARTHEST ? costs[place][other] : Infinity);
  for (const first of pairs.keys())
    for (const second of pairs.keys()) {
      const [one, two] = [pairs.get(first), pairs.get(second)];
      if (allowed(first, two) + allowed(second, one) < costs[first][one] + costs[second][two]) {
        pairs.set(first, two);
        pairs.set(second, one);
      }
    }
  return pairs;
}

function costOf(box, other) {
  const common = commonArea(box, other);
  const overlap = common / Math.max(areaOf(box, 0) + areaOf(other, 0) - common, 1e-9);
  const size = Math.sqrt(Math.max(box.width * other.width, 1e-9));
  const [a, b] = [centreOf(box), centreOf(other)];
  return 1 - overlap + Math.hypot(a[0] - b[0], a[1] - b[1]) / size;
}

function commonArea(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, width) * Math.max(0, height);
}

function areaOf(box, least = 1e-9) {
  return Math.max(box.width * box.height, least);
}

function centreOf({ x, y, width, height }) {
  return [x + width / 2, y + height / 2];
}

// What was read since the beginning, in numbers: never a picture. It stays in this page until saved, deleted or closed.
const COLUMNS = ["utc", "seconds", "frame", "person", "x", "y", "width", "height", "label", "confidence", "unsure"];
const ROWS_PER_SECOND = 10,
  MOST_ROWS = 100_000;
const BIN_SECONDS = 0.5,
  GAP_SECONDS = 1;

export class Session {
  #labels;

  constructor(labels) {
    this.#labels = labels;
    this.clear();
  }

  /** Forgets everything. */
  clear() {
    this.rows = [];
    this.markers = [];
    this.people = new Map();
    this.frames = 0;
    this.seconds = 0;
    this.began = null;
    this.kept = -Infinity;
  }

  get isFull() {
    return this.rows.length >= MOST_ROWS;
  }

  /** Adds what was read in a frame. Rows are kept ten times a second; a frame without a face has a row too. */
  add(seconds, faces) {
    this.began ??= new Date();
    this.frames += 1;
    for (const face of faces) this.#count(face, seconds - this.seconds, seconds);
    this.seconds = seconds;
    if (this.isFull || seconds - this.kept < 1 / ROWS_PER_SECOND) return;
    this.kept = seconds;
    const utc = new Date().toISOString();
    for (const face of faces.length ? faces : [null]) this.rows.push({ utc, seconds, frame: this.frames, face });
  }

  /** Marks this moment. */
  mark(note) {
    this.markers.push({ utc: new Date().toISOString(), seconds: this.seconds, note });
  }

  #count(face, elapsed, seconds) {
    const person = this.people.get(face.person) ?? { number: face.person, seconds: 0, byLabel: new Map(), bins: [] };
    this.people.set(face.person, person);
    const share = Math.min(elapsed, GAP_SECONDS);
    person.seconds += share;
    person.byLabel.set(face.label, (person.byLabel.get(face.label) ?? 0) + share);
    const start = Math.floor(seconds / BIN_SECONDS) * BIN_SECONDS;
    if (person.bins.at(-1)?.start !== start) person.bins.push({ start, length: BIN_SECONDS });
    Object.assign(person.bins.at(-1), { label: face.label, confidence: face.confidence, unsure: face.unsure });
  }

  /** Returns the rows as CSV, with the columns that the live view of the command line writes, and the marker. */
  csv() {
    const names = this.#labels.map((label) => (COLUMNS.includes(label) ? `p_${label}` : label));
    const notes = this.#notes();
    const lines = this.rows.map((row) => [...this.#cells(row), (notes.get(row.frame) ?? []).join("; ")]);
    lines.unshift([...COLUMNS, ...names, "marker"]);
    return `${lines.map((line) => line.map(cell).join(",")).join("\n")}\n`;
  }

  #cells({ utc, seconds, frame, face }) {
    const moment = [utc, seconds.toFixed(3), frame];
    if (!face) return [...moment, ...Array(COLUMNS.length - 3 + this.#labels.length).fill("")];
    const { person, box, label, confidence, unsure, probabilities } = face;
    const told = [person, tenths(box.x), tenths(box.y), tenths(box.width), tenths(box.height), label, short(confidence)];
    const shares = this.#labels.map((name) => short(probabilities[name] ?? 0));
    return [...moment, ...told, unsure ? "True" : "False", ...shares];
  }

  /** Returns the notes of the markers, each at the frame among the rows that is nearest to it. */
  #notes() {
    const notes = new Map();
    for (const { seconds, note } of this.markers) {
      const far = (row) => Math.abs(row.seconds - seconds);
      const nearest = this.rows.reduce((best, row) => (best && far(best) <= far(row) ? best : row), null);
      if (nearest) notes.set(nearest.frame, [...(notes.get(nearest.frame) ?? []), note || "marker"]);
    }
    return notes;
  }

  /** Returns everything as JSON: summary, markers, and the rows. */
  json(about) {
    const rows = this.rows.map(({ face, ...moment }) => ({ ...moment, ...face }));
    return JSON.stringify({ ...about, ...this.summary(), markers: this.markers, readings: rows }, null, 1);
  }

  /** Returns how long it took, who was seen for how long, and how the emotions were shared. */
  summary() {
    const people = [...this.people.values()].sort((a, b) => b.seconds - a.seconds);
    return {
      began: this.began?.toISOString() ?? null,
      seconds: this.seconds,
      frames: this.frames,
      people: people.map(({ number, seconds, byLabel }) => ({ person: number, seconds, shares: shares(byLabel) })),
    };
  }
}

/** Returns [[label, share], …], the largest first. */
export function shares(byLabel) {
  const all = [...byLabel.values()].reduce((sum, one) => sum + one, 0) || 1;
  return [...byLabel].map(([label, seconds]) => [label, seconds / all]).sort((a, b) => b[1] - a[1]);
}

function cell(value) {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function tenths(value) {
  return Math.round(10 * value) / 10;
}

function short(value) {
  return Math.round(1e4 * value) / 1e4;
}

// A strip for each person: the emotion that was shown, by colour, as high as it was sure; and the same in words.
import { shares } from "./session.js";
import { clock } from "./timeline.js";

const MOST = 8,
  EVERY_MS = 500,
  TOP = 3;

export class Strips {
  #list;
  #colours;
  #rows = new Map();
  #drawn = 0;

  constructor(list, colours) {
    this.#list = list;
    this.#colours = colours;
  }

  /** Forgets everybody. */
  clear() {
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  /** Shows who was longest in view. */
  show(session) {
    const now = performance.now();
    if (now - this.#drawn < EVERY_MS) return;
    this.#drawn = now;
    const people = [...session.people.values()].sort((a, b) => b.seconds - a.seconds).slice(0, MOST);
    const shown = new Set(people.map(({ number }) => number));
    for (const [number, row] of this.#rows)
      if (!shown.has(number)) {
        row.item.remove();
        this.#rows.delete(number);
      }
    for (const person of people.sort((a, b) => a.number - b.number)) this.#draw(person, session);
  }

  #draw(person, session) {
    const row = this.#rows.get(person.number) ?? this.#add(person.number);
    const parts = shares(person.byLabel).slice(0, TOP);
    const words = parts.map(([label, share]) => `${label} ${Math.round(100 * share)}%`).join(", ");
    row.words.textContent = `${clock(person.seconds)} in view: ${words}`;
    const ratio = devicePixelRatio || 1,
      { clientWidth: width, clientHeight: height } = row.canvas;
    row.canvas.width = Math.round(width * ratio);
    row.canvas.height = Math.round(height * ratio);
    const pen = row.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const x = (seconds) => Math.round((seconds * width * ratio) / Math.max(10, session.seconds)) / ratio; // no seams
    for (const { start, length, label, confidence, unsure } of person.bins) {
      const left = x(start);
      pen.globalAlpha = unsure ? 0.45 : 1;
      pen.fillStyle = this.#colours[label] ?? "#888888";
      pen.fillRect(left, height * (1 - confidence), Math.max(1, x(start + length) - left), height * confidence);
    }
    pen.globalAlpha = 1;
    pen.fillStyle = getComputedStyle(row.canvas).color;
    for (const { seconds } of session.markers) pen.fillRect(x(seconds), 0, 1.5, height);
  }

  #add(number) {
    const item = document.createElement("li");
    const name = Object.assign(document.createElement("strong"), { textContent: `Person ${number}` });
    const words = Object.assign(document.createElement("span"), { className: "muted small" });
    const canvas = Object.assign(document.createElement("canvas"), { className: "strip" });
    canvas.setAttribute("aria-hidden", "true"); // the words beside it say the same
    item.append(name, " ", words, canvas);
    const later = [...this.#rows].find(([other]) => other > number)?.[1].item ?? null;
    this.#list.insertBefore(item, later);
    const row = { item, words, canvas };
    this.#rows.set(number, row);
    this.#rows = new Map([...this.#rows].sort(([a], [b]) => a - b));
    return row;
  }
}

// Parallel coordinates: a line for each trial from its score across its settings. The best quarter stands out.
import { number, words } from "../format.js";
import { Readout } from "./readout.js";
import { linear } from "./scale.js";
import { svg } from "./svg.js";

const EDGE = { left: 40, right: 60, top: 52, bottom: 16 },
  HEIGHT = 320,
  AXIS_WIDTH = 78;
const LONGEST_NAME = 22, // names stand in two rows, so that each has twice the room of a mark
  LONGEST_MARK = 11;
const RANKS = ["best quarter", "second", "third", "last quarter"];

/** A drawing in `place`; `show(trials, parameters, objective)` fills it. `chosen` is called with a trial's number. */
export class Parallel {
  #place;
  #figure = document.createElement("div");
  #readout;
  #chosen;
  #ways = [];
  #at = null;
  #data = null;

  constructor(place, chosen) {
    this.#place = place;
    this.#chosen = chosen;
    this.#figure.className = "scroll";
    place.classList.add("chart", "parallel");
    place.replaceChildren(this.#figure);
    this.#readout = new Readout(place);
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  show(trials, parameters, objective) {
    this.#data = { trials: trials.filter((trial) => trial.score != null), parameters, objective };
    this.#draw();
  }

  #draw() {
    const { trials, parameters, objective } = this.#data ?? { trials: [] };
    if (!this.#place.clientWidth) return;
    if (!trials.length)
      return this.#figure.replaceChildren(
        Object.assign(document.createElement("p"), {
          className: "chart-empty",
          textContent: "No trial has a score yet.",
        }),
      );
    const width = Math.max(this.#place.clientWidth, EDGE.left + EDGE.right + parameters.length * AXIS_WIDTH);
    const axes = axesOf(trials, parameters, objective, width);
    const lowerIsBetter = objective.includes("loss");
    const order = [...trials].sort((a, b) => (lowerIsBetter ? a.score - b.score : b.score - a.score));
    this.#ways = order.map((trial, rank) => ({
      trial,
      path: wayOf(trial, axes, 1 + Math.floor((4 * rank) / order.length)),
    }));
    const root = svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${HEIGHT}`,
        height: HEIGHT,
        role: "img",
        tabindex: 0,
        "aria-label": `${trials.length} trials from their ${words(objective)} to their settings. Arrow keys go through them from the best on; the table below says the same.`,
      },
      [...axes.flatMap(drawnAxis), ...[...this.#ways].reverse().map((way) => way.path)],
    );
    root.style.width = `${width}px`;
    this.#listen(root, width);
    this.#figure.replaceChildren(root);
  }

  #listen(root, width) {
    this.#ways.forEach(({ path }, place) => path.addEventListener("pointerenter", () => this.mark(place, width)));
    root.addEventListener("pointerleave", () => this.mark(null));
    root.addEventListener("blur", () => this.mark(null));
    root.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") this.mark(null);
      if (!step) return;
      event.preventDefault();
      const next = this.#at == null ? 0 : this.#at + step;
      this.mark(Math.max(0, Math.min(this.#ways.length - 1, next)), width);
    });
  }

  /** Brings out one line by its place from the best on; null none. */
  mark(place, width = this.#place.clientWidth) {
    this.#at = place;
    this.#ways.forEach(({ path }, one) => {
      path.classList.toggle("chosen", one === place);
      path.classList.toggle("dim", place != null && one !== place);
    });
    this.#chosen(place == null ? null : this.#ways[place].trial.number);
    if (place == null) return this.#readout.hide();
    const { trial } = this.#ways[place];
    const lines = Object.entries(trial.settings).map(([name, value]) => ({
      words: `${words(name)}: ${number(value)}`,
    }));
    this.#readout.show(
      `Trial ${trial.number}: ${number(trial.score)} (${RANKS[Math.floor((4 * place) / this.#ways.length)]})`,
      lines,
      { x: 30, y: EDGE.top, width },
    );
  }

  markTrial(number_) {
    this.mark(number_ == null ? null : this.#ways.findIndex(({ trial }) => trial.number === number_));
  }
}

function axesOf(trials, parameters, objective, width) {
  // The score comes first: where there are more axes than room, it is the one that must be seen without scrolling.
  // A setting that no trial with a score has (one that depends on another) has no axis.
  const names = [
    { name: objective, of: (trial) => trial.score },
    ...parameters.map((one) => ({ ...one, of: (trial) => trial.settings[one.name] })),
  ].filter((one) => trials.some((trial) => one.of(trial) != null));
  return names.map((one, place) => {
    const values = trials.map(one.of).filter((value) => value != null);
    const x =
      names.length === 1 ? width / 2 : EDGE.left + (place / (names.length - 1)) * (width - EDGE.left - EDGE.right);
    return {
      ...one,
      x,
      ...(values.every((value) => typeof value === "number") ? measured(one, values) : named(values)),
    };
  });
}

function measured({ log }, values) {
  const at = log && Math.min(...values) > 0 ? Math.log : (value) => value;
  const low = Math.min(...values),
    high = Math.max(...values);
  const toPixels = linear(at(low), at(high), HEIGHT - EDGE.bottom, EDGE.top);
  return { y: (value) => toPixels(at(value)), marks: low === high ? [low] : [low, high] };
}

function named(values) {
  const choices = [...new Set(values.map(String))].sort();
  const toPixels = linear(0, choices.length - 1, HEIGHT - EDGE.bottom, EDGE.top);
  return { y: (value) => toPixels(choices.indexOf(String(value))), marks: choices };
}

function wayOf(trial, axes, rank) {
  const points = axes.map((axis) => [axis.x, axis.of(trial), axis]).filter(([, value]) => value != null);
  const d = points
    .map(([x, value, axis], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${axis.y(value).toFixed(1)}`)
    .join("");
  return svg("path", { class: `way rank-${rank}`, d });
}

function drawnAxis({ name, x, y, marks }, place, all) {
  const anchor = place === 0 ? "start" : place === all.length - 1 ? "end" : "middle";
  const nameAt = { start: x - EDGE.left + 4, middle: x, end: x + EDGE.right - 4 }[anchor];
  const title = { class: "axis-name", x: nameAt, y: place % 2 ? 30 : 14, "text-anchor": anchor };
  const texts = marks.map((mark, order) => {
    const isTop = marks.length > 1 && order === marks.length - 1;
    const at = { class: "axis-text", x: x + 6, y: y(mark) + (isTop ? 12 : -3) };
    return svg("text", at, [short(number(mark))]);
  });
  const line = svg("line", { class: "axis", x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
  return [line, svg("text", title, [short(words(name), LONGEST_NAME), svg("title", {}, [words(name)])]), ...texts];
}

/** Returns a text that stays between two axes. */
function short(text, most = LONGEST_MARK) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

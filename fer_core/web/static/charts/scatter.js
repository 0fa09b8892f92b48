// Points over two settings, or over a setting and the score; a map of expected scores may lie below them.
import { number, words } from "../format.js";
import { Readout } from "./readout.js";
import { linear, ticks } from "./scale.js";
import { svg } from "./svg.js";

const EDGE = { left: 62, right: 16, top: 12, bottom: 40 };

/**
 * A drawing in `place`. `show({x, y, points, cells})`: x and y are {name, log, format, choices}; a point is
 * {x, y, trial, rank} with the rank 1 (best quarter) to 4; cells are {xs, ys, ranks} with a row of ranks 0..5 per y.
 */
export class Scatter {
  #figure = document.createElement("div");
  #place;
  #readout;
  #chosen;
  #height;
  #data = null;

  constructor(place, chosen = () => {}, height = 220) {
    this.#place = place;
    this.#chosen = chosen;
    this.#height = height;
    place.classList.add("chart", "scatter");
    place.replaceChildren(this.#figure);
    this.#readout = new Readout(place);
    new ResizeObserver(() => this.#draw()).observe(place);
  }

  show(data) {
    this.#data = data;
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.#place.clientWidth);
    if (!width || !this.#data) return;
    const { x, y, points, cells } = this.#data;
    const right = scale(x, [...points.map((one) => one.x), ...(cells?.xs ?? [])], EDGE.left, width - EDGE.right);
    const up = scale(y, [...points.map((one) => one.y), ...(cells?.ys ?? [])], this.#height - EDGE.bottom, EDGE.top);
    const label = `${words(y.name)} by ${words(x.name)}, ${points.length} trials; the table of the trials says the same.`;
    const root = svg(
      "svg",
      { viewBox: `0 0 ${width} ${this.#height}`, height: this.#height, role: "img", "aria-label": label },
      [
        ...(cells ? drawnCells(cells, right, up) : []),
        ...this.#axes(right, up, width),
        ...points.map((one) => this.#point(one, right, up, width)),
      ],
    );
    this.#figure.replaceChildren(root);
  }

  #axes(right, up, width) {
    const bottom = this.#height - EDGE.bottom;
    const { x, y } = this.#data;
    const text = (content, at) => svg("text", { class: "axis-text", ...at }, [short(content)]);
    return [
      ...up.marks.flatMap((mark) => [
        svg("line", { class: "grid-line", x1: EDGE.left, x2: width - EDGE.right, y1: up.at(mark), y2: up.at(mark) }),
        text((y.format ?? rounded)(mark), { x: EDGE.left - 8, y: up.at(mark) + 4, "text-anchor": "end" }),
      ]),
      ...right.marks.map((mark, place, all) => {
        const anchor = right.choices ? "middle" : place === 0 ? "start" : place === all.length - 1 ? "end" : "middle";
        return text((x.format ?? rounded)(mark), { x: right.at(mark), y: bottom + 16, "text-anchor": anchor });
      }),
      text(words(x.name), { x: (EDGE.left + width) / 2, y: bottom + 34, "text-anchor": "middle" }),
    ];
  }

  #point(one, right, up, width) {
    const at = { cx: right.at(one.x), cy: up.at(one.y) };
    const dot = svg("circle", { class: `series-point rank-point-${one.rank}`, r: 4.5, ...at });
    dot.addEventListener("pointerenter", () => {
      const lines = [this.#data.x, this.#data.y].map((axis, place) => ({
        words: `${words(axis.name)}: ${(axis.format ?? number)(place ? one.y : one.x)}`,
      }));
      if (one.words) lines.push({ words: one.words });
      this.#readout.show(`Trial ${one.trial}`, lines, { x: at.cx, y: at.cy, width });
      this.#chosen(one.trial);
    });
    dot.addEventListener("pointerleave", () => {
      this.#readout.hide();
      this.#chosen(null);
    });
    return dot;
  }
}

/** Returns {at, marks}: where values stand in pixels, and which of them the axis names. */
function scale({ log, choices }, values, from, to) {
  const known = values.filter((value) => value != null);
  if (choices || known.some((value) => typeof value !== "number")) {
    const names = choices?.map(String) ?? [...new Set(known.map(String))];
    const step = (to - from) / names.length;
    return { choices: names, marks: names, at: (value) => from + step * (names.indexOf(String(value)) + 0.5) };
  }
  const low = Math.min(...known),
    high = Math.max(...known);
  if (log && low > 0) {
    const at = linear(Math.log(low), Math.log(high), from, to);
    return { marks: low === high ? [low] : [low, Math.sqrt(low * high), high], at: (value) => at(Math.log(value)) };
  }
  const marks = from > to ? ticks(low, high, 4) : low === high ? [low] : [low, (low + high) / 2, high];
  const at = linear(marks[0], marks.at(-1), from, to);
  return { marks, at };
}

function drawnCells({ xs, ys, ranks }, right, up) {
  const edges = (values, axis) => {
    const at = values.map(axis.at);
    const half = (one, other) => (one + other) / 2;
    const step = at.length > 1 ? at[1] - at[0] : 20;
    return [at[0] - step / 2, ...at.slice(1).map((value, place) => half(at[place], value)), at.at(-1) + step / 2];
  };
  const across = edges(xs, right),
    along = edges(ys, up);
  return ranks.flatMap((row, line) =>
    row.map((rank, place) => {
      const [left, next] = [across[place], across[place + 1]].sort((a, b) => a - b);
      const [top, under] = [along[line], along[line + 1]].sort((a, b) => a - b);
      return svg("rect", {
        class: `cell-${rank}`,
        x: left,
        y: top,
        width: next - left + 0.5,
        height: under - top + 0.5,
      });
    }),
  );
}

function rounded(mark) {
  return number(typeof mark === "number" ? Number(mark.toPrecision(2)) : mark);
}

function short(text) {
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}

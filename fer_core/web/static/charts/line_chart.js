// Lines over a whole-numbered axis: pointer and arrow keys read values off, the legend hides lines, a table says the same.
import { linear, ticks, wholeTicks } from "./scale.js";
import { svg } from "./svg.js";
import { legend, sample } from "./legend.js";
import { Readout } from "./readout.js";
import { tableOf } from "./data_table.js";

const EDGE = { left: 52, right: 14, top: 10, bottom: 34 };

/**
 * A chart in `place`. A series is {name, points: [[x, y], …], colour: 1..8, dashed, dots, lineless}.
 * Options: title, xName, xFormat, format (of y), height, log (of y), empty (words where there is nothing yet).
 * Dragging over it shows a part of the axis; `set` changes options.
 */
export class LineChart {
  #place;
  #options;
  #series = [];
  #hidden = new Set();
  #drawing = null;
  #x = null;
  #range = null;
  #readout;
  #parts;

  constructor(place, options) {
    this.#place = place;
    this.#options = { xName: "epoch", height: 240, format: String, empty: "No values yet.", ...options };
    const parts = {
      title: element("h3", "chart-title", this.#options.title),
      figure: element("div"),
      legend: element("div", "chart-legend"),
      whole: Object.assign(element("button", "button small", "Show the whole"), { type: "button", hidden: true }),
      table: element("details"),
    };
    parts.table.append(element("summary", "", "As a table"), element("div", "scroll"));
    parts.table.addEventListener("toggle", () => this.#fillTable());
    place.classList.add("chart");
    place.replaceChildren(
      ...(this.#options.title ? [parts.title] : []),
      parts.figure,
      parts.whole,
      parts.legend,
      parts.table,
    );
    parts.whole.addEventListener("click", () => this.#zoom(null));
    this.#parts = parts;
    this.#readout = new Readout(place);
    new ResizeObserver(() => this.#draw()).observe(parts.figure);
  }

  /** Shows these series; lines that were hidden stay so. */
  show(series) {
    this.#series = series.filter((one) => one.points.length);
    this.#parts.legend.replaceChildren(
      ...(this.#series.length > 1 ? legend(this.#series, this.#hidden, () => this.#draw()) : []),
    );
    this.#parts.legend.hidden = this.#series.length < 2;
    this.#parts.table.hidden = !this.#series.length;
    this.#draw();
    this.#fillTable();
  }

  /** Changes options: log, xName, xFormat. Another axis is shown whole. */
  set(options) {
    if (options.xName && options.xName !== this.#options.xName) this.#range = null;
    Object.assign(this.#options, options);
    this.#zoom(this.#range);
  }

  get #visible() {
    const [from, to] = this.#range ?? [-Infinity, Infinity];
    return this.#series
      .filter((one) => !this.#hidden.has(one.name))
      .map((one) => ({ ...one, points: one.points.filter(([x]) => x >= from && x <= to) }))
      .filter((one) => one.points.length);
  }

  #zoom(range) {
    this.#range = range;
    this.#parts.whole.hidden = !range;
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.#parts.figure.clientWidth);
    if (!width) return;
    const points = this.#visible.flatMap((one) => one.points);
    if (!points.length) {
      this.#drawing = null;
      this.#parts.figure.replaceChildren(
        element("p", "chart-empty", this.#series.length ? "All lines are hidden." : this.#options.empty),
      );
      return;
    }
    const hadFocus = document.activeElement === this.#drawing?.root;
    this.#drawing = this.#drawn(points, width);
    this.#parts.figure.replaceChildren(this.#drawing.root);
    if (hadFocus) this.#drawing.root.focus();
  }

  #drawn(points, width) {
    const { height, title, xName, log } = this.#options;
    const at = log ? (value) => Math.log10(Math.max(value, 1e-12)) : (value) => value;
    const xs = points.map(([x]) => x),
      ys = points.map(([, y]) => at(y));
    const marks = log ? decades(ys) : ticks(Math.min(...ys), Math.max(...ys), 4);
    const lowest = Math.min(...xs),
      highest = Math.max(...xs);
    const x = linear(lowest, highest, EDGE.left, width - EDGE.right);
    const toPixels = linear(marks[0], marks.at(-1), height - EDGE.bottom, EDGE.top);
    const y = (value) => toPixels(at(value));
    const names = this.#visible.map((one) => one.name).join(", ");
    const label = `${title || "Chart"}: ${names}, by ${xName} ${lowest} to ${highest}. Arrow keys read the values.`;
    const root = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: 0, "aria-label": label },
      [
        ...this.#axes({ marks, toPixels, x, width, lowest, highest }),
        ...this.#visible.flatMap((one) => lineOf(one, x, y)),
      ],
    );
    const cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: height - EDGE.bottom, visibility: "hidden" });
    root.append(cursor);
    this.#listen(root);
    return { root, cursor, x, y, xs: [...new Set(xs)].sort((a, b) => a - b), width };
  }

  #axes({ marks, toPixels, x, width, lowest, highest }) {
    const { height, xName, format, log } = this.#options;
    const bottom = height - EDGE.bottom;
    const rows = marks.map((mark) =>
      svg("g", {}, [
        svg("line", {
          class: "grid-line",
          x1: EDGE.left,
          x2: width - EDGE.right,
          y1: toPixels(mark),
          y2: toPixels(mark),
        }),
        svg("text", { class: "axis-text", x: EDGE.left - 8, y: toPixels(mark) + 4, "text-anchor": "end" }, [
          format(log ? 10 ** mark : mark),
        ]),
      ]),
    );
    const { xFormat } = this.#options;
    const shown = xFormat
      ? ticks(lowest, highest, Math.max(1, Math.floor(width / 130))).filter((mark) => mark >= lowest && mark <= highest)
      : wholeTicks(lowest, highest, width / 90);
    const columns = shown.map((mark) =>
      svg("text", { class: "axis-text", x: x(mark), y: bottom + 17, "text-anchor": "middle" }, [
        (xFormat ?? String)(mark),
      ]),
    );
    return [
      ...rows,
      ...columns,
      svg("text", { class: "axis-text", x: (EDGE.left + width) / 2, y: bottom + 31, "text-anchor": "middle" }, [xName]),
    ];
  }

  #listen(root) {
    let from = null;
    const band = svg("rect", {
      class: "chosen-band",
      y: EDGE.top,
      height: this.#options.height - EDGE.bottom - EDGE.top,
    });
    const at = (event) => event.clientX - root.getBoundingClientRect().left;
    root.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch" || event.button) return;
      from = at(event);
      root.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    root.addEventListener("pointerup", (event) => {
      const edges = [from, at(event)].sort((a, b) => a - b);
      const isWide = from !== null && edges[1] - edges[0] > 8;
      from = null;
      band.remove();
      if (!isWide) return;
      const { xs, x } = this.#drawing;
      const inside = xs.filter((one) => x(one) >= edges[0] && x(one) <= edges[1]);
      if (inside.length > 1) this.#zoom([inside[0], inside.at(-1)]);
    });
    root.addEventListener("pointermove", (event) => {
      this.#readAt(this.#nearest(event));
      if (from === null) return;
      band.setAttribute("x", Math.min(from, at(event)));
      band.setAttribute("width", Math.abs(at(event) - from));
      root.append(band);
    });
    root.addEventListener("pointerleave", () => this.#readAt(null));
    root.addEventListener("blur", () => this.#readAt(null));
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  #nearest(event) {
    const { root, x, xs } = this.#drawing;
    const pixels = event.clientX - root.getBoundingClientRect().left;
    return xs.reduce((best, one) => (Math.abs(x(one) - pixels) < Math.abs(x(best) - pixels) ? one : best));
  }

  #key(event) {
    if (event.key === "Escape") return this.#readAt(null);
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const { xs } = this.#drawing,
      place = this.#x == null ? -1 : xs.indexOf(this.#x);
    this.#readAt(xs[Math.max(0, Math.min(xs.length - 1, place + steps[event.key]))]);
  }

  /** Says what the lines have at x; null hides it. */
  #readAt(value) {
    this.#x = value;
    const { cursor, x, width } = this.#drawing ?? {};
    if (!cursor) return;
    cursor.setAttribute("visibility", value == null ? "hidden" : "visible");
    if (value == null) return this.#readout.hide();
    cursor.setAttribute("x1", x(value));
    cursor.setAttribute("x2", x(value));
    const { format, xName, xFormat } = this.#options;
    const found = this.#visible
      .map((one) => ({ one, y: one.points.find(([at]) => at === value)?.[1] }))
      .filter((entry) => entry.y != null);
    this.#readout.show(
      `${xName} ${(xFormat ?? String)(value)}`,
      found.map(({ one, y }) => ({ mark: sample(one), words: `${one.name}: ${format(y)}` })),
      { x: x(value), y: EDGE.top, width },
    );
  }

  #fillTable() {
    if (this.#parts.table.open) this.#parts.table.lastChild.replaceChildren(tableOf(this.#series, this.#options));
  }
}

function lineOf({ points, colour, dashed, dots, lineless }, x, y) {
  const path = points
    .map(([at, value], place) => `${place ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`)
    .join("");
  const line = lineless ? [] : [svg("path", { class: `series s${colour}${dashed ? " dashed" : ""}`, d: path })];
  const isDotted = dots || points.length === 1;
  return [
    ...line,
    ...(isDotted
      ? points.map(([at, value]) => svg("circle", { class: `series-point f${colour}`, cx: x(at), cy: y(value), r: 4 }))
      : []),
  ];
}

function decades(values) {
  const marks = [];
  for (let power = Math.floor(Math.min(...values) + 1e-9); power <= Math.ceil(Math.max(...values) - 1e-9); power += 1)
    marks.push(power);
  return marks.length > 1 ? marks : [marks[0] - 1, marks[0], marks[0] + 1];
}

function element(name, className = "", words = "") {
  return Object.assign(document.createElement(name), { className, textContent: words });
}

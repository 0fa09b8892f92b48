// The curves of trainings: a chart each for loss, accuracy, macro F1 and learning rate, of one run or of several.
import { duration, number, percent } from "../format.js";
import { LineChart } from "./line_chart.js";

const QUANTITIES = [
  { column: "loss", title: "Loss", format: number },
  { column: "accuracy", title: "Accuracy", format: (value) => percent(value, 0) },
  { column: "macro_f1", title: "Macro F1", format: (value) => percent(value, 0) },
  { column: "class_f1", title: "F1 of each class, validation", format: (value) => percent(value, 0) },
  { column: "learning_rate", title: "Learning rate", format: number, log: true },
];

/**
 * Charts in `place`; `show(runs)` draws them: [{name, epochs: [row, …], best: epoch}, …]. With `controls` people
 * choose smoothing, a logarithmic loss, and epochs or time across.
 */
export class Curves {
  #charts;
  #runs = [];
  #smoothing = 0;
  #byTime = false;

  constructor(place, { columns = QUANTITIES.map((one) => one.column), height = 220, controls = false } = {}) {
    if (controls) place.before(this.#controls());
    this.#charts = QUANTITIES.filter((one) => columns.includes(one.column)).map((quantity) => {
      const box = document.createElement("div");
      place.append(box);
      return {
        ...quantity,
        box,
        chart: new LineChart(box, { ...quantity, height, empty: "No finished epoch has it yet." }),
      };
    });
  }

  show(runs) {
    this.#runs = runs;
    const options = { smoothing: this.#smoothing, byTime: this.#byTime };
    for (const { box, chart, column } of this.#charts) {
      box.hidden = column === "class_f1" && (runs.length > 1 || classesOf(runs[0]?.epochs ?? [], []).length === 0);
      chart.show(runs.flatMap((run, place) => seriesOf(run, column, { place, count: runs.length, ...options })));
    }
  }

  #controls() {
    const bar = Object.assign(document.createElement("div"), { className: "chart-controls" });
    const smoothing = Object.assign(document.createElement("input"), {
      type: "range",
      min: 0,
      max: 0.95,
      step: 0.05,
      value: 0,
    });
    const log = Object.assign(document.createElement("input"), { type: "checkbox" });
    const across = document.createElement("select");
    across.append(new Option("epochs", "epoch"), new Option("time", "time"));
    smoothing.addEventListener("input", () => {
      this.#smoothing = Number(smoothing.value);
      this.show(this.#runs);
    });
    log.addEventListener("change", () =>
      this.#charts.find((one) => one.column === "loss").chart.set({ log: log.checked }),
    );
    across.addEventListener("change", () => {
      this.#byTime = across.value === "time";
      const axis = this.#byTime ? { xName: "after", xFormat: duration } : { xName: "epoch", xFormat: undefined };
      for (const { chart } of this.#charts) chart.set(axis);
      this.show(this.#runs);
    });
    bar.append(labelled("Smoothing", smoothing), labelled("Logarithmic loss", log), labelled("Across", across));
    bar.append(
      Object.assign(document.createElement("span"), {
        className: "muted",
        textContent: "Drag over a chart to enlarge a part.",
      }),
    );
    return bar;
  }
}

/** One run: training dashed, validation drawn through, the kept epoch a dot. Several: a colour each. */
function seriesOf({ name, epochs, best }, column, { place, count, smoothing, byTime }) {
  const before = count > 1 ? `${name}, ` : "";
  const colours = count > 1 ? [(place % 8) + 1, (place % 8) + 1] : [2, 1];
  const across = byTime ? timesOf(epochs) : epochs.map((row, order) => row.epoch ?? order + 1);
  const points = (column_, by) => smoothed(pointsOf(epochs, column_, across), by);
  if (column === "learning_rate")
    return [{ name: count > 1 ? name : "learning rate", colour: colours[1], points: points(column, 0) }];
  if (column === "class_f1")
    return classesOf(epochs, across).map((one) => ({ ...one, points: smoothed(one.points, smoothing) }));
  const kept = epochs.findIndex((row) => row.epoch === best);
  const validation = points(`val_${column}`, smoothing);
  const dot = count === 1 ? validation.filter(([x]) => x === across[kept]) : [];
  return [
    { name: `${before}training`, colour: colours[0], dashed: true, points: points(column, smoothing) },
    { name: `${before}validation`, colour: colours[1], points: validation },
    ...(dot.length ? [{ name: `best epoch, ${best}`, colour: 3, lineless: true, dots: true, points: dot }] : []),
  ];
}

/** A line for each class, as far as epochs were reported with it. */
function classesOf(epochs, across) {
  const columns = Object.keys(epochs.at(-1) ?? {}).filter((column) => column.startsWith("val_f1_"));
  return columns.map((column, place) => ({
    name: column.slice("val_f1_".length),
    colour: (place % 8) + 1,
    points: pointsOf(epochs, column, across),
  }));
}

function pointsOf(epochs, column, across) {
  return epochs
    .map((row, place) => [across[place], row[column]])
    .filter(([x, value]) => x != null && typeof value === "number" && (column !== "learning_rate" || value > 0));
}

/** Returns the seconds of training after which each epoch ended; null where a history does not say. */
function timesOf(epochs) {
  let seconds = 0;
  return epochs.map((row) => (row.seconds == null ? null : (seconds += row.seconds)));
}

/** An exponential moving average, without its pull to the first value. */
function smoothed(points, factor) {
  let sum = 0,
    weight = 0;
  return points.map(([x, y]) => {
    sum = factor * sum + (1 - factor) * y;
    weight = factor * weight + (1 - factor);
    return [x, sum / weight];
  });
}

function labelled(words, field) {
  const label = document.createElement("label");
  label.append(words, field);
  return label;
}

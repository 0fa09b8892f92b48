// The curves of trainings: a chart each for loss, accuracy, macro F1 and learning rate, of one run or of several.
import { number, percent } from "../format.js";
import { LineChart } from "./line_chart.js";

const QUANTITIES = [
  { column: "loss", title: "Loss", format: number },
  { column: "accuracy", title: "Accuracy", format: (value) => percent(value, 0) },
  { column: "macro_f1", title: "Macro F1", format: (value) => percent(value, 0) },
  { column: "learning_rate", title: "Learning rate", format: number, log: true },
];

/** Charts in `place`; `show(runs)` draws them: [{name, epochs: [row, …]}, …]. */
export class Curves {
  #charts;

  constructor(place, { columns = QUANTITIES.map((one) => one.column), height = 220 } = {}) {
    this.#charts = QUANTITIES.filter((one) => columns.includes(one.column)).map((quantity) => {
      const box = document.createElement("div");
      place.append(box);
      return {
        ...quantity,
        chart: new LineChart(box, { ...quantity, height, empty: "No finished epoch has it yet." }),
      };
    });
  }

  show(runs) {
    for (const { chart, column } of this.#charts)
      chart.show(runs.flatMap((run, place) => seriesOf(run, column, place, runs.length)));
  }
}

/** One run: training dashed, validation drawn through. Several: a colour each. */
function seriesOf({ name, epochs }, column, place, count) {
  const before = count > 1 ? `${name}, ` : "";
  const colours = count > 1 ? [(place % 8) + 1, (place % 8) + 1] : [2, 1];
  if (column === "learning_rate")
    return [{ name: count > 1 ? name : "learning rate", colour: colours[1], points: pointsOf(epochs, column) }];
  return [
    { name: `${before}training`, colour: colours[0], dashed: true, points: pointsOf(epochs, column) },
    { name: `${before}validation`, colour: colours[1], points: pointsOf(epochs, `val_${column}`) },
  ];
}

function pointsOf(epochs, column) {
  return epochs
    .map((row, place) => [row.epoch ?? place + 1, row[column]])
    .filter(([, value]) => typeof value === "number" && (column !== "learning_rate" || value > 0));
}

// A search's page: the best over time, all trials across their settings, and their table; all follow a running search.
import { LineChart } from "./charts/line_chart.js";
import { Parallel } from "./charts/parallel.js";
import { duration, number, percent, words } from "./format.js";
import { badge, island } from "./island.js";
import { poll } from "./poll.js";
import { sortable } from "./table_sort.js";

const table = document.getElementById("trials");
const first = island("search-data");
const isShare = !first.search.objective.includes("loss");
const score = (value) => (isShare ? percent(value) : number(value));
const best = new LineChart(document.getElementById("best"), {
  xName: "finished trials",
  format: score,
  height: 260,
  empty: "No trial has ended yet.",
});
const parallel = new Parallel(document.getElementById("parallel"), mark);

sortable(table);
show(first);
if (first.search.status === "RUNNING")
  poll(table.dataset.url, 2, (detail) => {
    if (detail.search.status !== "RUNNING") {
      location.reload();
      return false;
    }
    show(detail);
    return true;
  });

function show(detail) {
  const points = detail.best_over_time;
  best.show([
    {
      name: "score of each trial",
      colour: 2,
      lineless: true,
      dots: true,
      points: points.map((one, place) => [place + 1, one.score]),
    },
    { name: "best so far", colour: 1, points: points.map((one, place) => [place + 1, one.best]) },
  ]);
  parallel.show(
    detail.trials.filter((trial) => trial.kind === "trial"),
    detail.parameters,
    detail.search.objective,
  );
  fill(detail);
  const { search } = detail;
  const left = detail.seconds_left == null ? "" : `, about ${duration(detail.seconds_left)} left`;
  document.getElementById("progress-words").textContent =
    `${search.completed + search.failed} of ${search.max_trials} trials, ${search.running} running${left}`;
  document.getElementById("progress-bar").value = (search.completed + search.failed) / search.max_trials;
}

function fill({ trials, search }) {
  const names = JSON.parse(table.dataset.settings);
  table.tBodies[0].replaceChildren(...trials.map((trial) => rowOf(trial, names, search)));
}

function rowOf(trial, names, search) {
  const row = document.createElement("tr");
  row.dataset.trial = trial.number;
  const link = Object.assign(document.createElement("a"), {
    href: table.dataset.run.replace("RUN", encodeURIComponent(trial.run)),
    textContent: trial.kind === "confirm" ? `${trial.number}, confirms ${trial.of}` : trial.number,
  });
  const head = Object.assign(document.createElement("th"), { scope: "row" });
  head.dataset.value = trial.number;
  head.append(
    link,
    ...(trial.number === search.best_trial
      ? [" ", Object.assign(document.createElement("span"), { className: "badge in-use", textContent: "best" })]
      : []),
  );
  row.append(head);
  const status = add(row, "", badge(trial.status), trial.status);
  if (trial.status === "FAILED" && trial.message)
    status.append(Object.assign(document.createElement("span"), { className: "why", textContent: trial.message }));
  add(row, "number", score(trial.score), trial.score);
  add(row, "number", trial.stopped_early ? `${trial.epochs}, ended early` : trial.epochs, trial.epochs);
  for (const name of names) add(row, "number", number(trial.settings[name]), trial.settings[name]);
  add(row, "number", number(trial.parameters), trial.parameters);
  add(row, "number", trial.latency_ms == null ? "–" : `${number(trial.latency_ms)} ms`, trial.latency_ms);
  add(row, "number", duration(trial.seconds), trial.seconds);
  row.addEventListener("pointerenter", () => parallel.markTrial(trial.number));
  row.addEventListener("pointerleave", () => parallel.markTrial(null));
  return row;
}

function add(row, className, content, value) {
  const cell = row.insertCell();
  cell.className = className;
  cell.dataset.value = value ?? "";
  cell.append(content instanceof Node ? content : String(content));
  return cell;
}

function mark(trial) {
  for (const row of table.tBodies[0].rows) row.classList.toggle("picked", row.dataset.trial === String(trial));
}

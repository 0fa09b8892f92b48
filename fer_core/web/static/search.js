// A search's page: the best over time, all trials across their settings, and their table; all follow a running search.
import { LineChart } from "./charts/line_chart.js";
import { Parallel } from "./charts/parallel.js";
import { Scatter } from "./charts/scatter.js";
import { svg } from "./charts/svg.js";
import { duration, number, percent, words } from "./format.js";
import { badge, island } from "./island.js";
import { tell } from "./notify.js";
import { ask, poll } from "./poll.js";
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
const cost = new Scatter(document.getElementById("cost"), mark, 260);
const map = new Scatter(document.getElementById("map"), mark, 300);
const slices = new Map();
const settings = document.getElementById("settings");
const parallel = new Parallel(document.getElementById("parallel"), mark);

sortable(table);
show(first);
if (first.search.status === "RUNNING")
  poll(table.dataset.url, 2, (detail) => {
    if (detail.search.status !== "RUNNING") {
      tell(`${detail.search.status.toLowerCase()}, best ${score(detail.search.best_score)}`);
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
  showScores(detail);
  showTiles(detail);
  if (settings.dataset.ended !== settings.dataset.shown) {
    settings.dataset.shown = settings.dataset.ended;
    showSettings(detail);
  }
}

function showTiles({ search, seconds, seconds_left: seconds_, done }) {
  const left = seconds_ == null ? "" : `, about ${duration(seconds_)} left`;
  const again = search.confirming ? `, ${search.confirmations} of ${search.confirming} confirmations` : "";
  document.getElementById("progress-words").textContent =
    `${search.completed + search.failed} of ${search.max_trials} trials${again}, ${search.running} running${left}`;
  document.getElementById("progress-bar").value = done;
  settings.dataset.ended = search.completed;
  const tiles = {
    best: score(search.best_score),
    trial: search.best_trial == null ? "no trial has ended yet" : `trial ${search.best_trial}`,
    confirmations: search.confirmations,
    time: duration(seconds),
  };
  for (const [name, text] of Object.entries(tiles)) document.querySelector(`[data-tile=${name}]`).textContent = text;
}

/** Returns the finished trials with their quarter, the best first. */
function ranked({ trials, search }) {
  const sign = search.objective.includes("loss") ? 1 : -1;
  const finished = trials.filter((one) => one.kind === "trial" && one.score != null);
  finished.sort((a, b) => sign * (a.score - b.score));
  return finished.map((one, place) => ({ ...one, rank: 1 + Math.floor((4 * place) / finished.length) }));
}

/** The scores by each setting that varies, and by what a face costs. */
function showScores(detail) {
  const trials = ranked(detail);
  const y = { name: detail.search.objective, format: score };
  const point = (one, x) => ({ x, y: one.score, trial: one.number, rank: one.rank });
  const timed = trials.filter((one) => one.latency_ms != null);
  const x = { name: "ms for a face", log: true };
  if (timed.length) cost.show({ x, y, points: timed.map((one) => point(one, one.latency_ms)) });
  else document.getElementById("cost").firstChild.textContent = "No model was measured yet.";
  for (const parameter of detail.parameters) {
    const used = trials.filter((one) => one.settings[parameter.name] != null);
    if (new Set(used.map((one) => String(one.settings[parameter.name]))).size < 2) continue;
    if (!slices.has(parameter.name)) {
      const place = document.createElement("div");
      document.getElementById("slices").append(place);
      slices.set(parameter.name, new Scatter(place, mark));
    }
    const points = used.map((one) => point(one, one.settings[parameter.name]));
    slices.get(parameter.name).show({ x: axisOf(parameter), y, points });
  }
}

function axisOf({ name, log, choices }) {
  return { name, log, choices: choices?.length ? choices : undefined };
}

/** What the trials say about the settings; the server reckons it, which takes a moment. */
async function showSettings(detail, x = "", y = "") {
  const found = await ask(`${settings.dataset.url}?${new URLSearchParams({ x, y })}`);
  const said = document.getElementById("importance-words");
  if (!found?.settings.length) {
    said.textContent = found
      ? `${found.trials} trials have ended; with ${found.needed} or more, this says which settings mattered.`
      : "It cannot be reckoned now.";
    return;
  }
  said.textContent =
    found.explained > 0.2
      ? `From ${found.trials} trials. What the settings explain of the scores of trials that were left out: ${percent(Math.max(0, found.explained), 0)}.`
      : `From ${found.trials} trials, which explain nothing about each other yet: what follows may be chance.`;
  document.querySelector("#importance tbody").replaceChildren(...found.settings.map(importanceRow));
  if (!found.surface) return;
  for (const axis of ["x", "y"]) {
    const select = document.getElementById(`map-${axis}`);
    select.replaceChildren(...found.settings.map(({ name }) => new Option(words(name), name)));
    select.value = found.surface[axis];
    select.onchange = () =>
      showSettings(detail, document.getElementById("map-x").value, document.getElementById("map-y").value);
  }
  for (const id of ["map-choice", "map-words"]) document.getElementById(id).hidden = false;
  showMap(detail, found.surface);
}

function showMap(detail, surface) {
  const [x, y] = [surface.x, surface.y].map((name) => axisOf(detail.parameters.find((one) => one.name === name)));
  const flat = surface.scores.flat();
  const [low, high] = [Math.min(...flat), Math.max(...flat)];
  const sign = detail.search.objective.includes("loss");
  const rank = (value) => {
    const share = high === low ? 0 : (value - low) / (high - low);
    return Math.min(5, Math.floor(6 * (sign ? 1 - share : share)));
  };
  const points = ranked(detail)
    .filter((one) => one.settings[x.name] != null && one.settings[y.name] != null)
    .map((one) => ({
      x: one.settings[x.name],
      y: one.settings[y.name],
      trial: one.number,
      rank: one.rank,
      words: score(one.score),
    }));
  map.show({
    x,
    y,
    points,
    cells: { xs: surface.xs, ys: surface.ys, ranks: surface.scores.map((row) => row.map(rank)) },
  });
}

function importanceRow({ name, share, spread }) {
  const row = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row" });
  head.append(Object.assign(document.createElement("span"), { className: "share-name", textContent: words(name) }));
  const bar = svg(
    "svg",
    { class: "share", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    [svg("rect", { class: "f1", width: 100 * share, height: 10 })],
  );
  row.append(head);
  row.insertCell().append(bar);
  const figure = Object.assign(row.insertCell(), { className: "number", textContent: percent(share, 0) });
  figure.title = `± ${percent(spread, 0)}`;
  return row;
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

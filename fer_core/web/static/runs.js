// The list of the runs: the address says what it shows, chosen ones are compared, running ones are followed.
import { Curves } from "./charts/curves.js";
import { duration, percent } from "./format.js";
import { ask, poll } from "./poll.js";
import { badge, OPEN } from "./island.js";

const CHOSEN = "chosen-runs"; // over the pages of the list, as long as the tab is open
const table = document.getElementById("runs");
const rows = [...(table?.tBodies[0].rows ?? [])];
const filters = document.getElementById("filters");
const form = document.getElementById("choose");
const compare = document.getElementById("compare");
const running = document.getElementById("running");
let chosen = stored();
// What was ticked before this script came; after Back it is what the browser has put in again.
if (performance.getEntriesByType("navigation")[0]?.type !== "back_forward")
  for (const box of table?.querySelectorAll("input:checked") ?? []) chosen.add(box.value);
showChosen();

for (const field of filters.querySelectorAll("select, #search"))
  field.addEventListener("change", () => filters.requestSubmit());
// The usual stands in no address: an empty field, or the same columns.
filters.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData])
    if (value === "" || `${name}=${value}` === "sort=created") formData.delete(name);
  const boxes = [...filters.querySelectorAll("[name=columns]")];
  if (boxes.every((box) => box.checked === box.defaultChecked) && !new URLSearchParams(location.search).has("columns"))
    formData.delete("columns");
});
table?.addEventListener("change", ({ target }) => {
  chosen[target.checked ? "add" : "delete"](target.value);
  showChosen();
});
document.getElementById("choose-none")?.addEventListener("click", () => {
  chosen.clear();
  showChosen();
});
form?.addEventListener("formdata", ({ formData }) => {
  formData.delete("run");
  for (const id of chosen) formData.append("run", id);
});
// After Back the browser has put in again what was typed and chosen; the list below it is that of the address.
addEventListener("pageshow", () => {
  filters.reset();
  chosen = stored();
  showChosen();
});

function stored() {
  return new Set(JSON.parse(sessionStorage.getItem(CHOSEN) ?? "[]"));
}

function showChosen() {
  if (!compare) return;
  sessionStorage.setItem(CHOSEN, JSON.stringify([...chosen]));
  for (const box of table.querySelectorAll("input")) box.checked = chosen.has(box.value);
  const count = chosen.size;
  const most = Number(compare.dataset.most);
  compare.disabled = count < 2 || count > most;
  compare.textContent =
    count < 2 ? "Compare: choose two or more" : count > most ? `Compare: ${most} at most` : `Compare ${count}`;
  document.getElementById("choose-none").hidden = !count;
}

// Running ones: a card with curves each, and their rows.
const cards = new Map();
let open = new Set(JSON.parse(running?.dataset.open ?? "[]"));
if (open.size) follow();
if (running) poll(running.dataset.list, 4, showRuns);

async function follow() {
  for (const id of [...open].slice(0, 4))
    showRunning(await ask(running.dataset.one.replace("RUN", encodeURIComponent(id))));
}

function showRuns({ runs }) {
  const now = new Set(runs.map((run) => run.id));
  if ([...now].some((id) => !open.has(id))) document.getElementById("fresh").hidden = false;
  for (const run of runs) showRow(run);
  for (const id of open)
    if (!now.has(id)) {
      cards.get(id)?.box.remove();
      cards.delete(id);
      ask(running.dataset.one.replace("RUN", encodeURIComponent(id))).then((ended) => ended && showRow(ended.run));
    }
  open = now;
  running.hidden = !now.size;
  follow();
}

function showRow(run) {
  const row = rows.find((one) => one.dataset.run === run.id);
  const write = (cell, ...content) => row?.querySelector(`[data-cell=${cell}]`)?.replaceChildren(...content);
  write("status", badge(run.status));
  write("epoch", `${run.epoch}${run.epochs ? ` of ${run.epochs}` : ""}`);
  write("accuracy", percent(run.accuracy));
  write("f1", percent(run.macro_f1));
}

function showRunning(detail) {
  if (!detail || !OPEN.has(detail.run.status)) return;
  const { run } = detail;
  if (!cards.has(run.id)) cards.set(run.id, newCard(run));
  const { curves, words, progress } = cards.get(run.id);
  const left = detail.seconds_left == null ? "" : `, ${duration(detail.seconds_left)} left`;
  words.textContent = `${run.status.toLowerCase()}, epoch ${run.epoch} of ${run.epochs ?? "?"}${left}`;
  progress.value = run.epochs ? run.epoch / run.epochs : 0;
  curves.show([{ name: run.name, epochs: detail.epochs }]);
  running.hidden = false;
}

function newCard(run) {
  let box = document.querySelector(`[data-card="${CSS.escape(run.id)}"]`);
  if (!box) {
    box = document.getElementById("running-card").content.firstElementChild.cloneNode(true);
    const link = box.querySelector("a");
    link.textContent = `${run.title} · ${run.id}`;
    link.href = `${location.pathname}/${encodeURIComponent(run.id)}`;
    document.getElementById("running-cards").append(box);
  }
  const progress = box.querySelector("progress");
  progress.setAttribute("aria-label", `How far ${run.id} is`);
  const curves = new Curves(box.querySelector("[data-curves]"), { columns: ["accuracy"], height: 150 });
  return { box, progress, words: box.querySelector("p"), curves };
}

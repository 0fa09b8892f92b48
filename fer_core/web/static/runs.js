// The list of the runs: rows are filtered by what is typed, running ones are followed, chosen ones are compared.
import { Curves } from "./charts/curves.js";
import { duration, percent } from "./format.js";
import { ask, poll } from "./poll.js";
import { badge, OPEN } from "./island.js";

const table = document.getElementById("runs");
const rows = [...(table?.tBodies[0].rows ?? [])];
const search = document.getElementById("search");
const compare = document.getElementById("compare");
const running = document.getElementById("running");

search?.closest(".field").removeAttribute("hidden");
search?.addEventListener("input", filter);
for (const select of document.querySelectorAll("#filters select"))
  select.addEventListener("change", () => select.form.requestSubmit());
table?.addEventListener("change", showChosen);
// After Back the browser has put in again what was typed and chosen; the list above it is that of the address.
addEventListener("pageshow", () => {
  for (const select of document.querySelectorAll("#filters select"))
    select.value = [...select.options].find((option) => option.defaultSelected)?.value ?? select.options[0].value;
  filter();
  showChosen();
});

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("found").textContent = words.length ? `${left} of ${rows.length}` : "";
}

function showChosen() {
  const count = table?.querySelectorAll("input:checked").length ?? 0;
  if (!compare) return;
  const most = Number(compare.dataset.most);
  compare.disabled = count < 2 || count > most;
  compare.textContent =
    count < 2 ? "Compare: choose two or more" : count > most ? `Compare: ${most} at most` : `Compare ${count}`;
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
  const now = new Set(runs.filter((run) => OPEN.has(run.status)).map((run) => run.id));
  if ([...now].some((id) => !open.has(id))) document.getElementById("fresh").hidden = false;
  for (const run of runs) if (open.has(run.id) || now.has(run.id)) showRow(run);
  for (const id of open)
    if (!now.has(id)) {
      cards.get(id)?.box.remove();
      cards.delete(id);
    }
  open = now;
  running.hidden = !cards.size;
  follow();
}

function showRow(run) {
  const row = rows.find((one) => one.dataset.run === run.id);
  if (!row) return;
  row.querySelector("[data-cell=status]").replaceChildren(badge(run.status));
  row.querySelector("[data-cell=epoch]").textContent = `${run.epoch}${run.epochs ? ` of ${run.epochs}` : ""}`;
  row.querySelector("[data-cell=accuracy]").textContent = percent(run.accuracy);
  row.querySelector("[data-cell=f1]").textContent = percent(run.macro_f1);
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
  const box = document.getElementById("running-card").content.firstElementChild.cloneNode(true);
  const link = box.querySelector("a");
  link.textContent = `${run.name} · ${run.id}`;
  link.href =
    document.querySelector(`tr[data-run="${CSS.escape(run.id)}"] a`)?.href ??
    `${location.pathname}/${encodeURIComponent(run.id)}`;
  document.getElementById("running-cards").append(box);
  const progress = box.querySelector("progress");
  progress.setAttribute("aria-label", `How far ${run.id} is`);
  return {
    box,
    progress,
    words: box.querySelector("p"),
    curves: new Curves(box.querySelector("[data-curves]"), { columns: ["loss", "accuracy"], height: 150 }),
  };
}

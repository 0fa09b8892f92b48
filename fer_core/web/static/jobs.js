// The page of the jobs: whether anybody works, and how far what runs is.
import { duration } from "./format.js";
import { badge } from "./island.js";
import { ask, poll } from "./poll.js";

const broker = document.getElementById("broker");
const open = new Set([...document.querySelectorAll("[data-job]")].map((row) => row.dataset.job));

ask(broker.dataset.url).then(showWorkers);
poll(broker.dataset.url, 15, showWorkers);
poll(document.getElementById("jobs-open").dataset.url, 2, showJobs);

function showWorkers(state) {
  const kind = !state ? "bad" : !state.reachable || !state.workers.length ? "warn" : "good";
  broker.className = `note ${kind}`;
  document.getElementById("broker-words").textContent = !state
    ? "The server does not answer."
    : state.reachable
      ? working(state)
      : `No broker: ${state.problem}`;
  document.getElementById("broker-hint").replaceChildren(...withCode(state?.hint ?? ""));
  document.getElementById("how-to").hidden = kind !== "warn";
  const queues = Object.entries(state?.queues ?? {}).map(([queue, workers]) =>
    Object.assign(document.createElement("li"), {
      className: "badge bare",
      textContent: `${queue}: ${workers.length} worker${workers.length === 1 ? "" : "s"}`,
    }),
  );
  document.getElementById("queues").replaceChildren(...queues);
}

function working({ workers, waiting }) {
  const count = workers.length;
  return `The broker answers. ${count || "No"} worker${count === 1 ? "" : "s"}, ${waiting} job${waiting === 1 ? "" : "s"} waiting in the queues.`;
}

function showJobs({ jobs }) {
  const now = jobs.filter((job) => job.is_open);
  // Who comes or goes changes both tables, so the server writes them anew.
  if (now.some((job) => !open.has(job.id)) || now.length !== open.size) {
    location.reload();
    return false;
  }
  for (const job of now) showJob(document.querySelector(`[data-job="${CSS.escape(job.id)}"]`), job);
  return true;
}

function showJob(row, job) {
  row.querySelector("[data-cell=status]").replaceChildren(badge(job.status));
  row.querySelector("[data-cell=doing]").textContent = job.doing;
  row.querySelector("[data-cell=left]").textContent = duration(job.seconds_left);
  const bar = row.querySelector("progress");
  if (job.share == null) bar.removeAttribute("value");
  else bar.value = job.share;
}

/** What stands between `backticks` is to be typed. */
function withCode(text) {
  return text
    .split("`")
    .map((part, place) => (place % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part));
}

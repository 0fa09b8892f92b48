// A job's page: how far it is and what it prints, until it ends.
import { duration } from "./format.js";
import { badge } from "./island.js";
import { tell } from "./notify.js";
import { poll } from "./poll.js";

const place = document.getElementById("job");
const log = document.getElementById("log");
const pages = place.dataset;
if (pages.open) poll(pages.url, 1.5, show);
log.scrollTop = log.scrollHeight;

function show(job) {
  if (!job.is_open || (!pages.linked && (job.run || job.search))) {
    if (!job.is_open) tell(job.status.toLowerCase());
    location.reload();
    return false;
  }
  document.getElementById("status").replaceChildren(badge(job.status));
  document.getElementById("doing").textContent = job.doing || "waiting";
  document.getElementById("left").textContent =
    job.seconds_left == null ? "" : `about ${duration(job.seconds_left)} left`;
  const bar = document.getElementById("progress-bar");
  if (job.share == null) bar.removeAttribute("value");
  else bar.value = job.share;
  const isAtEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 30;
  if (job.log && log.textContent !== job.log) log.textContent = job.log;
  if (isAtEnd) log.scrollTop = log.scrollHeight;
  return true;
}

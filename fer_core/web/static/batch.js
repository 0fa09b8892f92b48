// The page of an upload: how far it is; and its result: tables, a video with its timeline, annotated files.
import { tell } from "./notify.js";
import { ask, poll } from "./poll.js";
import "./table_sort.js";
import { Player } from "./upload/player.js";

const VISIT_SECONDS = 300;
const { url, annotate, status } = document.getElementById("batch").dataset;
addEventListener("gone", () => location.reload(), { once: true }); // deleted in another tab

if (status === "sending" || status === "reading") poll(url, 1, showProgress);
else setInterval(() => ask(url), 1000 * VISIT_SECONDS); // it is kept while somebody looks at it

function showProgress(state) {
  if (state.status !== status) {
    tell(state.status);
    location.reload();
    return false;
  }
  if (state.doing) document.getElementById("doing").textContent = state.doing;
  const bar = document.getElementById("progress-bar");
  if (state.share == null) bar.removeAttribute("value");
  else bar.value = state.share;
  return true;
}

for (const place of document.querySelectorAll("[data-annotated]"))
  place.querySelector("button").addEventListener("click", () => make(place));

const video = document.getElementById("player");
if (video)
  new Player(video, async (said) => {
    said.textContent = "This browser cannot play the video as it was sent. A version that it plays is being made …";
    const address = await make(document.querySelector("[data-annotated]:not([data-annotated=pictures])"));
    if (!address) return;
    video.src = address;
    said.textContent = "This is the annotated version: the browser cannot play the video as it was sent.";
  });

/** Has something drawn, and returns its address once it is; null where it cannot be. */
async function make(place) {
  const [said, link, button] = ["span", "a", "button"].map((name) => place.querySelector(name));
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify({ what: place.dataset.annotated }) };
  button.disabled = true;
  said.textContent = "being made …";
  for (;;) {
    const response = await fetch(annotate, request).catch(() => null);
    const answer = await response?.json().catch(() => null);
    const problem = response?.ok ? answer.problem : (answer?.error ?? "The server does not answer: try again.");
    said.textContent = problem || (answer.is_made ? "" : "being made …");
    [button.disabled, button.hidden, link.hidden] = [!problem, Boolean(answer?.is_made), !answer?.is_made];
    if (problem) return null;
    if (answer.is_made) return link.href.replace("?save=yes", "");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

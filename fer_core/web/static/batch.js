// The page of an upload: how far it is; and its result: tables, a video with its timeline, annotated files.
import { tell } from "./notify.js";
import { ask, poll } from "./poll.js";
import "./table_sort.js";
import { Player } from "./upload/player.js";

const VISIT_SECONDS = 300;
const { url, annotate, status } = document.getElementById("batch").dataset;
const waited = new Set();
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
if (document.querySelector("[data-annotated]")) ask(url).then((state) => state && showMade(state));

let cannotPlay = false;
const video = document.getElementById("player");
if (video)
  new Player(video, (said) => {
    cannotPlay = true;
    said.textContent = "This browser cannot play the video as it was sent. A version that it plays is being made …";
    make(document.querySelector("[data-annotated]:not([data-annotated=pictures])"));
  });

async function make(place) {
  const what = place.dataset.annotated;
  const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ what }) };
  const answer = await fetch(annotate, sent).catch(() => null);
  if (!answer?.ok) return say(place, "The server does not answer: try again.");
  say(place, "It is being made …");
  if (waited.has(what)) return;
  waited.add(what);
  poll(url, 1, (state) => {
    showMade(state);
    if (state.making.includes(what)) return true;
    if (state.not_made[what]) say(place, state.not_made[what]);
    waited.delete(what);
    return false;
  });
}

function showMade(state) {
  for (const place of document.querySelectorAll("[data-annotated]")) {
    const { annotated, file } = place.dataset;
    if (!state.made.includes(annotated)) continue;
    const words = annotated === "pictures" ? "Annotated pictures (zip)" : "Annotated video";
    const link = { className: "button small", href: `${file}?save=yes`, textContent: words };
    place.replaceChildren(Object.assign(document.createElement("a"), link));
    if (cannotPlay && annotated !== "pictures" && !video.src.endsWith(file)) play(file);
  }
}

function play(file) {
  video.src = file;
  const words = "This is the annotated version: the browser cannot play the video as it was sent.";
  document.getElementById("player-said").textContent = words;
}

function say(place, words) {
  const said = place.querySelector("span") ?? document.createElement("span");
  said.className = "muted small";
  said.textContent = words;
  place.prepend(said);
}

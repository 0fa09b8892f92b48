// The live page: consent, then frames of the camera go to the server, one at a time, and come back with readings.
import { openCamera, problemOf } from "./parts/camera.js";
import { drawReadings } from "./live/draw.js";
import { Frames } from "./live/frames.js";
import { People } from "./live/people.js";
import { Recording } from "./live/recording.js";
import { Timeline } from "./live/timeline.js";

const settings = JSON.parse(document.getElementById("live-settings").textContent);
const part = (id) => document.getElementById(id);
const video = part("camera"),
  stage = part("stage");
const pen = stage.getContext("2d", { alpha: false });
const session =
  crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("");
const people = new People(part("people"), part("spoken"), settings);
const timeline = new Timeline(part("timeline"), part("timeline-legend"), settings);
const recording = new Recording(settings.labels);
const moments = [];
let isRunning = false;
let visit = 0; // counts up with each start and stop: what was begun before is not of this visit any more
let began = 0;

part("agree").addEventListener("click", start);
part("again").addEventListener("click", start);
part("stop").addEventListener("click", () => stop("Stopped. The camera is off."));
part("smoothing").addEventListener("input", showSmoothing);
part("record").addEventListener("click", toggleRecording);
document.addEventListener("visibilitychange", () => {
  if (isRunning) say(document.hidden ? "Paused while this page is hidden." : "");
});
addEventListener("pagehide", () => stop(""));
showSmoothing();

async function start() {
  const mine = ++visit;
  part("consent").hidden = true;
  part("live").hidden = false;
  part("stop").hidden = false;
  part("again").hidden = true;
  part("stop").focus();
  say("The camera is starting …");
  try {
    await openCamera(video, () => mine === visit);
  } catch (error) {
    if (mine === visit) stop(problemOf(error), "bad");
    return;
  }
  if (mine !== visit) return;
  video.srcObject
    .getVideoTracks()[0]
    .addEventListener("ended", () => stop("The camera was unplugged or taken away.", "bad"));
  isRunning = true;
  began ||= performance.now();
  part("record").disabled = false;
  say("");
  await readOn(new Frames(video), mine);
}

/** While one frame is being read, the next one is taken; only one is ever sent at a time. */
async function readOn(frames, mine) {
  let next = frames.take();
  while (mine === visit) {
    const shot = await next;
    if (mine !== visit) return;
    if (document.hidden) {
      await shown();
      next = frames.take();
      continue;
    }
    next = frames.take();
    const answer = await send(shot);
    if (answer && mine === visit) show(shot, answer);
  }
}

function shown() {
  return new Promise((resolve) => {
    const look = () => {
      if (!document.hidden) {
        document.removeEventListener("visibilitychange", look);
        resolve();
      }
    };
    document.addEventListener("visibilitychange", look);
  });
}

/** Returns the server's answer, or null where it has none now; waits then. */
async function send(shot) {
  const body = new FormData();
  body.set("session", session);
  body.set("smoothing", part("smoothing").value);
  body.set("image", shot.blob, "frame.jpg");
  try {
    const response = await fetch(settings.url, { method: "POST", body });
    const answer = await response.json();
    if (response.ok) {
      if (part("words").dataset.kind === "wait") say("");
      return answer;
    }
    if (response.status === 401) stop(`${answer.error} ${answer.hint}`, "bad");
    else await waitAfter(`${answer.error} Trying again …`, Number(response.headers.get("Retry-After") ?? 1));
  } catch {
    await waitAfter("The server does not answer. Trying again …", 1);
  }
  return null;
}

function waitAfter(words, seconds) {
  if (isRunning) say(words, "wait");
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

function show(shot, answer) {
  if (stage.width !== answer.width || stage.height !== answer.height) {
    stage.width = answer.width;
    stage.height = answer.height;
  }
  pen.drawImage(shot.canvas, 0, 0);
  drawReadings(pen, answer.faces, settings);
  const seconds = (performance.now() - began) / 1000;
  people.show(answer.faces);
  timeline.add(seconds, answer.faces);
  recording.add(seconds, answer.faces);
  count(answer.milliseconds);
}

function count(milliseconds) {
  const now = performance.now();
  moments.push(now);
  while (moments[0] < now - 2000) moments.shift();
  if (now - (count.told ?? 0) < 500) return;
  count.told = now;
  part("figures").hidden = false;
  part("figures").textContent = `${(moments.length / 2).toFixed(0)} readings/s · ${milliseconds.toFixed(0)} ms each`;
  part("recorded").textContent = `Recording: ${recording.rows} rows`;
}

function stop(words, kind = "") {
  isRunning = false;
  visit += 1;
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  const hadFocus = document.activeElement === part("stop");
  part("stop").hidden = true;
  part("again").hidden = false;
  if (hadFocus) part("again").focus();
  part("figures").hidden = true;
  if (recording.isOn) toggleRecording();
  part("record").disabled = true;
  say(words, kind);
}

function say(words, kind = "") {
  part("words").hidden = !words;
  part("words").dataset.kind = kind;
  part("words-text").textContent = words;
}

function toggleRecording() {
  if (recording.isOn) recording.save();
  else recording.start();
  part("record").setAttribute("aria-pressed", String(recording.isOn));
  part("record").textContent = recording.isOn ? "Stop and save the CSV" : "Record to CSV";
  part("recorded").hidden = !recording.isOn;
}

function showSmoothing() {
  const seconds = Number(part("smoothing").value);
  part("smoothing-value").textContent = seconds ? `${seconds.toFixed(1)} s` : "off";
}

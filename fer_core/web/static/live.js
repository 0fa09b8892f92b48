// The live page: consent, then frames of the camera are read one at a time, on this device or by the server.
import { cameras, openCamera, problemOf } from "./parts/camera.js";
import { download } from "./parts/download.js";
import { Where } from "./parts/where.js";
import { drawReadings } from "./live/draw.js";
import { Frames } from "./live/frames.js";
import { People } from "./live/people.js";
import { Session } from "./live/session.js";
import { Strips } from "./live/strips.js";
import { clock, Timeline } from "./live/timeline.js";

const settings = JSON.parse(document.getElementById("live-settings").textContent);
const part = (id) => document.getElementById(id);
const video = part("camera"),
  stage = part("stage");
const pen = stage.getContext("2d", { alpha: false });
const visitor =
  crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("");
const people = new People(part("people"), part("spoken"), settings);
const timeline = new Timeline(part("timeline"), part("timeline-legend"), settings);
const strips = new Strips(part("strips"), settings.colours);
const session = new Session(settings.labels);
const where = new Where(settings.device);
const moments = [];
const camera = { device: "", facing: "user" };
let isRunning = false;
let visit = 0; // counts up with each start and stop: what was begun before is not of this visit any more
let began = 0;

const ACTS = { agree: start, again: start, flip, full: fullScreen, snapshot, mark, delete: forget };
for (const [id, act] of Object.entries(ACTS)) part(id).addEventListener("click", act);
part("stop").addEventListener("click", () => stop("Stopped. The camera is off."));
part("smoothing").addEventListener("input", showSmoothing);
part("mirror").addEventListener("click", () => press(part("mirror"), !isPressed(part("mirror"))));
part("which").addEventListener("change", () => restart({ device: part("which").value }));
part("csv").addEventListener("click", () => download("readings", "csv", session.csv()));
part("json").addEventListener("click", () => download("readings", "json", session.json({ labels: settings.labels })));
document.addEventListener("visibilitychange", () => {
  if (isRunning) say(document.hidden ? "Paused while this page is hidden." : "");
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;
  if (event.key === "m" && isRunning && !isTyping) mark();
});
addEventListener("pagehide", () => stop(""));
part("full").hidden = !document.fullscreenEnabled;
showSmoothing();

async function start() {
  const mine = ++visit,
    isHere = where.isHere; // what was agreed to
  part("consent").hidden = true;
  part("live").hidden = false;
  part("stop").hidden = false;
  part("again").hidden = true;
  part("stop").focus();
  say("The camera is starting …");
  try {
    await openCamera(video, () => mine === visit, camera);
  } catch (error) {
    if (mine === visit) stop(problemOf(error), "bad");
    return;
  }
  if (mine !== visit) return;
  showCamera();
  if (isHere) say("The models are being loaded …");
  await where.ready;
  if (mine !== visit) return;
  if (isHere && !where.isHere)
    return stop(`${where.problem} ${settings.url ? "“Start again” has the server read: each frame is then sent to it." : ""}`, "bad");
  isRunning = true;
  began ||= performance.now();
  for (const id of ["snapshot", "mark"]) part(id).disabled = false;
  say("");
  await readOn(new Frames(video), mine);
}

/** Says which camera it is, and offers the others. */
async function showCamera() {
  const [track] = video.srcObject.getVideoTracks();
  track.addEventListener("ended", () => stop("The camera was unplugged or taken away.", "bad"));
  const { facingMode, deviceId } = track.getSettings();
  press(part("mirror"), facingMode !== "environment");
  const all = await cameras();
  const options = all.map(({ deviceId: value, label }, place) => new Option(label || `Camera ${place + 1}`, value));
  part("which").replaceChildren(...options);
  part("which").value = deviceId ?? "";
  part("which-field").hidden = all.length < 2;
  part("flip").hidden = all.length < 2 || !matchMedia("(pointer: coarse)").matches;
}

function flip() {
  restart({ device: "", facing: camera.facing === "user" ? "environment" : "user" });
}

function restart(wanted) {
  Object.assign(camera, wanted);
  stop("");
  start();
}

/** While one frame is being read, the next one is taken; only one is ever read at a time. */
async function readOn(frames, mine) {
  let next = frames.take(!where.isHere);
  while (mine === visit) {
    const shot = await next;
    if (mine !== visit) return;
    if (document.hidden) {
      await shown();
      next = frames.take(!where.isHere);
      continue;
    }
    next = frames.take(!where.isHere);
    const answer = await (shot.blob ? send(shot) : readHere(shot));
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

async function readHere({ pixels }) {
  try {
    return await where.device?.readFrame(pixels, performance.now() / 1000, Number(part("smoothing").value));
  } catch (error) {
    stop(`Reading on this device failed (${error.message}). Reload the page, and start again.`, "bad");
    return null;
  }
}

/** Returns the server's answer, or null where it has none now; waits then. */
async function send(shot) {
  const body = new FormData();
  body.set("session", visitor);
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
  const { width, height, faces } = answer;
  if (stage.width !== width || stage.height !== height) Object.assign(stage, { width, height });
  const isMirrored = isPressed(part("mirror"));
  pen.setTransform(isMirrored ? -1 : 1, 0, 0, 1, isMirrored ? width : 0, 0);
  pen.drawImage(shot.canvas, 0, 0);
  pen.resetTransform();
  drawReadings(pen, isMirrored ? faces.map((face) => mirrored(face, width)) : faces, settings);
  const seconds = (performance.now() - began) / 1000;
  session.add(seconds, faces);
  people.show(faces);
  timeline.add(seconds, faces, session.markers);
  strips.show(session);
  count(answer.milliseconds);
}

function mirrored(face, width) {
  return { ...face, box: { ...face.box, x: width - face.box.x - face.box.width } };
}

function count(milliseconds) {
  const now = performance.now();
  moments.push(now);
  while (moments[0] < now - 2000) moments.shift();
  if (now - (count.told ?? 0) < 500) return;
  count.told = now;
  part("figures").hidden = false;
  part("figures").textContent = `${(moments.length / 2).toFixed(0)} readings/s · ${milliseconds.toFixed(0)} ms each`;
  showSession();
}

function showSession() {
  const { seconds, frames, people: seen } = session.summary();
  part("session-time").textContent = clock(seconds);
  part("session-frames").textContent = frames.toLocaleString("en");
  part("session-people").textContent = String(seen.length);
  part("session-full").hidden = !session.isFull;
  for (const id of ["csv", "json", "delete"]) part(id).disabled = !session.rows.length;
}

function mark() {
  session.mark(part("note").value.trim());
  const { seconds, note } = session.markers.at(-1);
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("strong"), { textContent: clock(seconds) }), ` ${note || "marker"}`);
  part("markers").append(item);
  part("note").value = "";
}

function forget() {
  if (!confirm("Delete everything that was read since the beginning?")) return;
  session.clear();
  began = isRunning ? performance.now() : 0;
  part("markers").replaceChildren();
  timeline.clear();
  strips.clear();
  showSession();
}

function snapshot() {
  stage.toBlob((picture) => download("snapshot", "png", picture), "image/png");
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else part("screen").requestFullscreen();
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
  for (const id of ["snapshot", "mark"]) part(id).disabled = true;
  showSession();
  say(words, kind);
}

function say(words, kind = "") {
  part("words").hidden = !words;
  part("words").dataset.kind = kind;
  part("words-text").textContent = words;
}

function isPressed(button) {
  return button.getAttribute("aria-pressed") === "true";
}

function press(button, isOn) {
  button.setAttribute("aria-pressed", String(isOn));
}

function showSmoothing() {
  const seconds = Number(part("smoothing").value);
  part("smoothing-value").textContent = seconds ? `${seconds.toFixed(1)} s` : "off";
}

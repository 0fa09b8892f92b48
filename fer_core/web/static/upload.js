// The upload page: what comes by drop, choice, paste or camera is shown step by step, or sent in pieces for a table.
import { openCamera, problemOf } from "./parts/camera.js";
import { Where } from "./parts/where.js";
import { filesOf } from "./upload/dropped.js";
import { showPictures } from "./upload/on_device.js";

const form = document.getElementById("upload");
const input = document.getElementById("image");
const drop = document.getElementById("drop");
const previews = document.getElementById("previews");
const said = document.getElementById("said");
const result = document.getElementById("result");
const button = document.getElementById("read");
const sending = document.getElementById("sending");
const instead = document.getElementById("instead");
const limits = form.dataset;
const BYTES_AROUND_A_FILE = 500; // its name and type, and what stands between two of them
const MOST_PREVIEWS = 24;
const PICTURE = /\.(jpe?g|jpe|jfif|png|bmp|webp|tiff?|gif|avif|hei[cf])$/i;
const NOT_PICTURE = /\.(mp4|m4v|mov|avi|mkv|webm|mpe?g|wmv|flv|ts|3gp|zip)$/i;
const reading = JSON.parse(document.getElementById("device-settings")?.textContent ?? "null");
const where = new Where(reading?.addresses ?? null, tell);
let chosen = []; // {file, name}: the name has the folders in it
let addresses = [];

drop.hidden = false;
document.getElementById("choose").addEventListener("click", () => pickMore.click());
document.getElementById("choose-folder")?.addEventListener("click", () => pickFolder.click());

// The form's input is replaced by every choice; these only add.
const pickMore = Object.assign(document.createElement("input"), { type: "file", accept: input.accept, multiple: true });
const pickFolder = Object.assign(document.createElement("input"), { type: "file", webkitdirectory: true });
for (const pick of [pickMore, pickFolder])
  pick.addEventListener("change", () => {
    add([...pick.files].map(named));
    pick.value = "";
  });

for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
addEventListener("drop", async (event) => add(await filesOf(event.dataTransfer)));
addEventListener("paste", (event) => add([...(event.clipboardData?.files ?? [])].map(named)));
input.addEventListener("change", takeInput);
input.required = false; // the browser's own message would point at an input that is hidden here
result?.addEventListener("change", tell);
instead?.querySelector("button").addEventListener("click", () => {
  if (tooMuch()) say(tooMuch(), "bad");
  else sendThem();
});
addEventListener("pageshow", takeInput); // after Back the browser may have put files into the input again
form.addEventListener("submit", async (event) => {
  const problem = chosen.length ? problemOfFiles() : "Choose, drop or paste a picture first.";
  const isSent = !problem && !where.isHere && !isTable();
  if (!problem) say("The faces are being read …");
  if (isSent) return;
  event.preventDefault();
  if (problem) {
    say(problem, "bad");
    document.getElementById("choose").focus();
  } else await (where.isHere ? readHere() : sendThem());
});

function named(file) {
  return { file, name: file.webkitRelativePath || file.name };
}

/** Reads on this device. What it cannot do is said: nothing is sent to the server without a word. */
async function readHere() {
  button.disabled = true;
  await where.ready;
  if (where.isHere) {
    const files = chosen.map(({ file }) => file);
    await showPictures(files, document.getElementById("faces").value, where.device, reading);
    say("Read on this device: nothing left it.");
  } else say(where.problem, "bad");
  button.disabled = false;
}

/** Sends everything in pieces, and goes to the page of the result. */
async function sendThem() {
  const { sendAll } = await import("./upload/send.js");
  const [stop, bar] = [new AbortController(), sending.querySelector("progress")];
  const cancel = () => stop.abort();
  sending.querySelector("button").addEventListener("click", cancel, { once: true });
  addEventListener("beforeunload", stay);
  [sending.hidden, button.disabled] = [false, true];
  if (instead) instead.hidden = true;
  const show = (words, share) => {
    say(words);
    if (share != null) bar.value = share;
  };
  try {
    const faces = document.getElementById("faces").value === "given" ? "given" : "find";
    const page = await sendAll(chosen, faces, show, stop.signal);
    removeEventListener("beforeunload", stay);
    location.assign(page);
  } catch (error) {
    say(stop.signal.aborted ? "Cancelled: what was sent is deleted." : error.message, stop.signal.aborted ? "" : "bad");
  }
  removeEventListener("beforeunload", stay);
  [sending.hidden, button.disabled] = [true, false];
}

function stay(event) {
  event.preventDefault();
}

function isPicture({ file, name }) {
  return NOT_PICTURE.test(name) ? false : file.type.startsWith("image/") || PICTURE.test(name);
}

/** Whether what is chosen is more than can be shown step by step. */
function needsTable() {
  if (!result || where.isHere) return false;
  const bytes = chosen.reduce((sum, { file }) => sum + file.size + BYTES_AROUND_A_FILE, 0);
  const pixels = [...previews.querySelectorAll("img")].map((one) => one.naturalWidth * one.naturalHeight);
  const isLarge = bytes > limits.mostBytes || pixels.reduce((sum, one) => sum + one, 0) / 1e6 > limits.mostMegapixels;
  return chosen.length > limits.mostPictures || isLarge || !chosen.every(isPicture);
}

function isTable() {
  return needsTable() || result?.value === "table";
}

/** Returns why what is chosen cannot be read, in words; "" if it can. */
function problemOfFiles() {
  if (where.isHere && (result?.value === "table" || !chosen.every(isPicture)))
    return result
      ? "Videos, zips and tables are not read on this device, but on the server, which keeps them until an hour after you closed the result."
      : "Only pictures are read here.";
  return where.isHere ? "" : tooMuch();
}

/** Returns why what is chosen cannot be sent, in words; "" if it can. */
function tooMuch() {
  const bytes = chosen.reduce((sum, { file }) => sum + file.size, 0);
  if (bytes <= limits.mostBatchBytes) return "";
  return `The files have ${(bytes / 1e9).toFixed(1)} GB together; at most ${limits.mostBatchBytes / 1e9} GB can be sent at a time. Leave some out.`;
}

function add(files) {
  const wanted = files.filter((one) => isPicture(one) || (result && NOT_PICTURE.test(one.name)));
  if (wanted.length) setFiles([...chosen, ...wanted]);
  const count = files.length - wanted.length;
  if (!wanted.length && count)
    say(`That is no picture${result ? ", video or zip" : ""}. JPEG, PNG, BMP, WebP, TIFF, GIF and AVIF can be read.`, "bad");
  else if (count) said.textContent += ` ${count} other file${count === 1 ? " was" : "s were"} left out.`;
}

function takeInput() {
  if (input.files.length || !chosen.length) chosen = [...input.files].map(named);
  show();
}

function setFiles(files) {
  chosen = files;
  const transfer = new DataTransfer();
  if (files.length <= limits.mostPictures) for (const { file } of files) transfer.items.add(file);
  input.files = transfer.files;
  show();
}

function show() {
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [];
  previews.replaceChildren(...chosen.slice(0, MOST_PREVIEWS).map(preview));
  if (chosen.length > MOST_PREVIEWS) {
    const more = `and ${chosen.length - MOST_PREVIEWS} more`;
    previews.append(Object.assign(document.createElement("li"), { className: "more muted", textContent: more }));
  }
  document.getElementById("chosen").hidden = !chosen.length;
  tell();
}

/** Says what will be done with what is chosen. */
function tell() {
  const count = chosen.length;
  if (result) {
    result.querySelector("[value=steps]").disabled = needsTable();
    if (needsTable()) result.value = "table";
  }
  const problem = count ? problemOfFiles() : "";
  const what = chosen.every(isPicture) ? "picture" : "file";
  const words = `${count} ${what}${count === 1 ? " is" : "s are"} ready to be read${needsTable() ? ", into a table" : ""}.`;
  if (instead) instead.hidden = !(problem && where.isHere);
  say(problem || (count ? words : ""), problem && "bad");
}

function preview(one) {
  const item = document.createElement("li");
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: one.name });
  const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  remove.setAttribute("aria-label", `Leave ${one.name} out`);
  remove.addEventListener("click", () => setFiles(chosen.filter((other) => other !== one)));
  if (isPicture(one)) {
    addresses.push(URL.createObjectURL(one.file));
    const picture = Object.assign(document.createElement("img"), { src: addresses.at(-1), alt: "" });
    picture.addEventListener("load", () => needsTable() && tell()); // its pixels count only now
    item.append(picture);
  } else item.append(Object.assign(document.createElement("span"), { className: "kind", textContent: one.name.split(".").at(-1) }));
  item.append(name, remove);
  return item;
}

function say(words, kind = "") {
  said.dataset.kind = kind;
  said.textContent = words;
}

// The camera: a picture of it is a file like any other.
const dialog = document.getElementById("camera");
const view = document.getElementById("camera-view");
const cameraSaid = document.getElementById("camera-said");
const shoot = document.getElementById("shoot");
const take = document.getElementById("take");
take.hidden = !navigator.mediaDevices?.getUserMedia;

take.addEventListener("click", async () => {
  dialog.showModal();
  shoot.disabled = true;
  cameraSaid.textContent = "The camera is starting …";
  try {
    await openCamera(view);
    if (!dialog.open) return stopCamera();
    shoot.disabled = false;
    cameraSaid.textContent = "It is seen here only until you take the picture.";
  } catch (error) {
    cameraSaid.textContent = problemOf(error);
  }
});
shoot.addEventListener("click", () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: view.videoWidth, height: view.videoHeight });
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob(
    (blob) => {
      add([named(new File([blob], `camera-${chosen.length + 1}.jpg`, { type: "image/jpeg" }))]);
      dialog.close();
    },
    "image/jpeg",
    0.92,
  );
});
document.getElementById("camera-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", stopCamera);

function stopCamera() {
  for (const track of view.srcObject?.getTracks() ?? []) track.stop();
  view.srcObject = null;
}

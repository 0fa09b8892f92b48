// The upload page: pictures come by drop, choice, paste or camera, and all end in the form's own file input.
import { openCamera, problemOf } from "./parts/camera.js";
import { Where } from "./parts/where.js";
import { showPictures } from "./upload/on_device.js";

const form = document.getElementById("upload");
const input = document.getElementById("image");
const drop = document.getElementById("drop");
const previews = document.getElementById("previews");
const said = document.getElementById("said");
const BYTES_AROUND_A_FILE = 500; // its name and type, and what stands between two of them
const reading = JSON.parse(document.getElementById("device-settings")?.textContent ?? "null");
const where = new Where(reading?.addresses ?? null, tell);
let addresses = [];

drop.hidden = false;
document.getElementById("choose").addEventListener("click", () => pickMore.click());

// The form's input is replaced by every choice; this one only adds.
const pickMore = Object.assign(document.createElement("input"), { type: "file", accept: "image/*", multiple: true });
pickMore.addEventListener("change", () => {
  add(pickMore.files);
  pickMore.value = "";
});

for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
addEventListener("drop", (event) => add(event.dataTransfer?.files ?? []));
addEventListener("paste", (event) => add(event.clipboardData?.files ?? []));
input.addEventListener("change", show);
input.required = false; // the browser's own message would point at an input that is hidden here
addEventListener("pageshow", show); // after Back the browser may have put files into the input again
form.addEventListener("submit", (event) => {
  const problem = input.files.length ? problemOfFiles() : "Choose, drop or paste a picture first.";
  if (!problem) say("The faces are being read …");
  if (!problem && !where.isHere) return;
  event.preventDefault();
  if (!problem) return readHere();
  say(problem, "bad");
  document.getElementById("choose").focus();
});

/** Reads on this device. What it cannot do is said: nothing is sent to the server without a word. */
async function readHere() {
  const button = document.getElementById("read");
  button.disabled = true;
  await where.ready;
  if (where.isHere) {
    await showPictures([...input.files], document.getElementById("faces").value, where.device, reading);
    say("Read on this device: nothing left it.");
  } else say(where.problem, "bad");
  button.disabled = false;
}

/** Returns why the server would refuse what is chosen, in words; "" if it would not. */
function problemOfFiles() {
  if (where.isHere) return "";
  const limits = form.dataset;
  const count = input.files.length;
  const bytes = [...input.files].reduce((sum, file) => sum + file.size + BYTES_AROUND_A_FILE, 0);
  const pixels = [...previews.querySelectorAll("img")].map((one) => one.naturalWidth * one.naturalHeight);
  const megapixels = pixels.reduce((sum, one) => sum + one, 0) / 1e6;
  if (count > limits.mostPictures)
    return `${count} pictures are too many at a time: leave ${count - limits.mostPictures} out.`;
  if (bytes > limits.mostBytes)
    return `The pictures have ${megabytes(bytes)} MB together; at most ${megabytes(limits.mostBytes)} MB can be sent at a time. Leave some out.`;
  if (count > 1 && megapixels > limits.mostMegapixels)
    return `The pictures have ${Math.round(megapixels)} megapixels together; at most ${limits.mostMegapixels} are read at a time. Leave some out.`;
  return "";
}

function megabytes(bytes) {
  return Number((bytes / 2 ** 20).toFixed(1));
}

function add(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) {
    if (files.length) say("That is no picture. JPEG, PNG, BMP, WebP, TIFF, GIF and AVIF can be read.", "bad");
    return;
  }
  setFiles([...input.files, ...pictures]);
}

function setFiles(files) {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  show();
}

function show() {
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [...input.files].map((file) => URL.createObjectURL(file));
  previews.replaceChildren(...[...input.files].map(preview));
  const count = input.files.length;
  document.getElementById("chosen").hidden = !count;
  tell();
}

/** Says whether what is chosen can be sent. */
function tell() {
  const count = input.files.length;
  const problem = count ? problemOfFiles() : "";
  say(problem || (count ? `${count} picture${count === 1 ? " is" : "s are"} ready to be read.` : ""), problem && "bad");
}

function preview(file, place) {
  const item = document.createElement("li");
  const picture = Object.assign(document.createElement("img"), { src: addresses[place], alt: "" });
  picture.addEventListener("load", () => problemOfFiles() && tell()); // its pixels count only now
  const name = Object.assign(document.createElement("span"), { className: "name", textContent: file.name });
  const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  remove.setAttribute("aria-label", `Leave ${file.name} out`);
  remove.addEventListener("click", () => setFiles([...input.files].filter((one) => one !== file)));
  item.append(picture, name, remove);
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
      add([new File([blob], `camera-${input.files.length + 1}.jpg`, { type: "image/jpeg" })]);
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

// What this device read in pictures: each with its boxes, and for each face what the network saw and how sure it is.
import { svg } from "../charts/svg.js";
import { Shares } from "../parts/shares.js";

const MOST_FACES = 50;

/** Reads the files one after the other and shows each as soon as it is read. */
export async function showPictures(files, finding, device, settings) {
  const results = document.getElementById("results");
  results.replaceChildren();
  for (const [place, file] of files.entries()) {
    results.append(await pictureOf(file, finding, device, settings));
    if (!place) results.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion)").matches ? "auto" : "smooth" });
  }
  results.focus({ preventScroll: true });
}

async function pictureOf(file, finding, device, settings) {
  let canvas;
  try {
    canvas = await drawn(file);
  } catch {
    return made("section", { className: "card" }, [
      made("h2", { textContent: `${file.name} could not be opened` }),
      made("p", { textContent: "It is damaged, or in a format that this browser does not know." }),
    ]);
  }
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const { faces, isGiven } = await device.readPicture(pixels, finding);
  const count = faces.length === 1 ? "1 face" : faces.length ? `${faces.length} faces` : "No face";
  const card = made("div", { className: "card beside" }, [
    made("div", { className: "card-head" }, [
      made("h2", { className: "break", textContent: `${file.name}: ${count}` }),
      made("span", { className: "muted small", textContent: `${canvas.width} × ${canvas.height}` }),
    ]),
    original(canvas, isGiven ? [] : faces, settings),
  ]);
  if (isGiven) card.append(made("p", { className: "help", textContent: GIVEN[finding] }));
  const shown = faces.slice(0, MOST_FACES).map((face, place) => faceOf(face, place, faces.length, canvas, settings));
  return made("section", { className: "picture" }, [card, made("div", { className: "faces" }, shown.length ? shown : [nobody()])]);
}

const GIVEN = {
  auto: "No face was found, and the picture is small: it was taken for one face that is cut out already.",
  given: "The whole picture was taken for one face, as you said.",
};

/** Returns a canvas with the picture on mid-grey, turned as its EXIF says, in the colours of the file. */
async function drawn(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = made("canvas", { width: bitmap.width, height: bitmap.height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "rgb(128 128 128)";
  pen.fillRect(0, 0, bitmap.width, bitmap.height);
  pen.drawImage(bitmap, 0, 0);
  return canvas;
}

function original(canvas, faces, { colours }) {
  const { width, height } = canvas,
    longer = Math.max(width, height);
  const parts = faces.flatMap(({ box, label }, place) => {
    const frame = { x: box.x, y: box.y, width: box.width, height: box.height, rx: longer / 120 };
    const name = svg("text", {
      class: "box-name",
      "font-size": longer / 26,
      x: Math.max(box.x, 0) + longer / 100,
      y: Math.max(box.y, 0) + longer / 24,
    });
    name.textContent = `${faces.length > 1 ? place + 1 : ""} ${box.width > longer / 5 ? label : ""}`.trim();
    return [svg("rect", { class: "box-under", ...frame }), svg("rect", { class: "box", stroke: colours[label], ...frame }), name];
  });
  const boxes = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", faces.length ? "The picture; its faces are framed and numbered" : "The picture");
  return made("div", { className: "framed" }, [canvas, boxes]);
}

function faceOf(face, place, count, canvas, settings) {
  const title = made("h3", { textContent: `${face.label}, ${(100 * face.confidence).toFixed(1)}%` });
  const head = made("div", { className: "face-head" }, [title]);
  if (count > 1) head.prepend(made("span", { className: "face-number", textContent: String(place + 1) }));
  if (face.unsure) head.append(made("span", { className: "badge unsure", textContent: "unsure" }));
  const steps = made("ol", { className: "steps two" }, [
    step(cutOut(canvas, face.box), "cut out"),
    step(networkPicture(face.seen), "what the network saw"),
  ]);
  const shares = new Shares("Probability of each emotion", settings);
  shares.show(face, 1);
  const body = made("div", { className: "face-body" }, [made("div", {}, [steps]), shares.element]);
  return made("article", { className: "card face" }, [head, body]);
}

function step(canvas, words) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  const figure = made("figure", {}, [canvas, made("figcaption", { textContent: words })]);
  return made("li", {}, [figure]);
}

function cutOut(canvas, { x, y, width, height }) {
  const side = Math.max(width, height);
  const cut = made("canvas", { width: 192, height: 192 });
  const [left, top] = [x + width / 2 - side / 2, y + height / 2 - side / 2];
  cut.getContext("2d").drawImage(canvas, left, top, side, side, 0, 0, 192, 192);
  return cut;
}

function networkPicture({ data, width, height, channels }) {
  const canvas = made("canvas", { className: "pixels", width, height });
  const pixels = new ImageData(width, height);
  for (let place = 0; place < width * height; place++)
    for (let colour = 0; colour < 4; colour++)
      pixels.data[4 * place + colour] = colour === 3 ? 255 : data[place * channels + (channels === 1 ? 0 : colour)];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function nobody() {
  return made("div", { className: "card" }, [
    made("h3", { textContent: "No face was found." }),
    made("p", { textContent: "What helps: more light, a face that looks towards the camera, or one that takes up more of the picture." }),
    made("p", { textContent: "Is the picture one face that fills it? Choose “Each picture is one face already”." }),
  ]);
}

function made(name, properties = {}, children = []) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

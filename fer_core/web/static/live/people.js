// The list of the people in the picture: for reading at rest, and for screen readers.
import { svg } from "../charts/svg.js";
import { wordsOf } from "./draw.js";

const EVERY_MS = 250,
  SPEAK_MS = 4000;

export class People {
  #list;
  #spoken;
  #settings;
  #cards = new Map();
  #shown = 0;
  #said = 0;
  #words = "";

  constructor(list, spoken, settings) {
    this.#list = list;
    this.#spoken = spoken;
    this.#settings = settings;
  }

  /** Shows the faces of a frame, four times a second at most: more is only work. */
  show(faces) {
    const now = performance.now();
    if (now - this.#shown < EVERY_MS) return;
    this.#shown = now;
    this.#forget(new Set(faces.map((face) => face.person)));
    for (const face of faces) this.#card(face.person).show(face);
    document.getElementById("nobody").hidden = faces.length > 0;
    this.#speak(faces, now);
  }

  #card(person) {
    if (!this.#cards.has(person)) {
      const card = new PersonCard(person, this.#settings);
      this.#cards.set(person, card);
      this.#list.append(card.item);
    }
    return this.#cards.get(person);
  }

  #forget(present) {
    for (const [person, card] of this.#cards) {
      if (present.has(person)) continue;
      card.item.remove();
      this.#cards.delete(person);
    }
  }

  #speak(faces, now) {
    const words =
      faces.map((face) => `Person ${face.person}: ${face.unsure ? "unsure, perhaps " : ""}${face.label}.`).join(" ") ||
      "No face.";
    if (words === this.#words || now - this.#said < SPEAK_MS) return;
    this.#words = words;
    this.#said = now;
    this.#spoken.textContent = words;
  }
}

class PersonCard {
  #title = document.createElement("h3");
  #rows = new Map();

  constructor(person, { labels, colours }) {
    this.person = person;
    this.item = document.createElement("li");
    const table = document.createElement("table");
    table.className = "shares";
    table.append(
      Object.assign(document.createElement("caption"), {
        className: "unseen",
        textContent: `Probabilities of person ${person}`,
      }),
    );
    for (const label of labels) table.append(this.#row(label, colours[label]));
    this.item.append(this.#title, table);
  }

  #row(label, colour) {
    const row = document.createElement("tr");
    const name = Object.assign(document.createElement("th"), { scope: "row" });
    name.append(Object.assign(document.createElement("span"), { className: "share-name", textContent: label }));
    const bar = svg("rect", { height: 10, width: 0, fill: colour });
    const cell = document.createElement("td");
    cell.append(
      svg("svg", { class: "share", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, [bar]),
    );
    const number = Object.assign(document.createElement("td"), { className: "number" });
    row.append(name, cell, number);
    this.#rows.set(label, { row, bar, number });
    return row;
  }

  show(face) {
    this.#title.textContent = `Person ${face.person}: ${wordsOf(face)}`;
    for (const [label, { row, bar, number }] of this.#rows) {
      const share = face.probabilities[label] ?? 0;
      bar.setAttribute("width", (100 * share).toFixed(1));
      number.textContent = `${(100 * share).toFixed(0)}%`;
      row.className = label === face.label ? "first" : "";
    }
  }
}

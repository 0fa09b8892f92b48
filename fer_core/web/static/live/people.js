// The list of the people in the picture: for reading at rest, and for screen readers.
import { Shares } from "../parts/shares.js";
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
  #shares;

  constructor(person, settings) {
    this.item = document.createElement("li");
    this.#shares = new Shares(`Probabilities of person ${person}`, settings);
    this.item.append(this.#title, this.#shares.element);
  }

  show(face) {
    this.#title.textContent = `Person ${face.person}: ${wordsOf(face)}`;
    this.#shares.show(face);
  }
}

// A table of probabilities with bars: the same for a person of the live page and a face of a picture.
import { svg } from "../charts/svg.js";

export class Shares {
  #rows = new Map();

  /** `element` is the table. */
  constructor(caption, { labels, colours }) {
    this.element = document.createElement("table");
    this.element.className = "shares";
    this.element.append(
      Object.assign(document.createElement("caption"), { className: "unseen", textContent: caption }),
    );
    for (const label of labels) this.element.append(this.#row(label, colours[label]));
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

  /** Shows the probabilities of a reading; its label stands out. Percent with so many `digits`. */
  show({ label: first, probabilities }, digits = 0) {
    for (const [label, { row, bar, number }] of this.#rows) {
      const share = probabilities[label] ?? 0;
      bar.setAttribute("width", (100 * share).toFixed(1));
      number.textContent = `${(100 * share).toFixed(digits)}%`;
      row.className = label === first ? "first" : "";
    }
  }
}

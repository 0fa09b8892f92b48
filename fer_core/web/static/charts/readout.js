// The small box that says what a chart has at the pointer or the keyboard's cursor; screen readers hear it too.
export class Readout {
  #box = Object.assign(document.createElement("div"), { className: "readout", hidden: true });
  #place;

  constructor(place) {
    this.#place = place;
    this.#box.setAttribute("role", "status");
    place.append(this.#box);
  }

  /** Shows a title and lines {mark, words}, beside the point (x, y) of the drawing, `width` pixels wide. */
  show(title, lines, { x, y, width }) {
    const rows = lines.map(({ mark, words }) => {
      const row = document.createElement("span");
      row.append(...(mark ? [mark] : []), words);
      return row;
    });
    this.#box.replaceChildren(Object.assign(document.createElement("strong"), { textContent: title }), ...rows);
    this.#box.hidden = false;
    const drawing = this.#place.querySelector('svg[role="img"]');
    this.#box.style.top = `${drawing.getBoundingClientRect().top - this.#place.getBoundingClientRect().top + y + 6}px`;
    this.#box.style.left = x < width / 2 ? `${x + 12}px` : "auto";
    this.#box.style.right = x < width / 2 ? "auto" : `${width - x + 12}px`;
  }

  hide() {
    this.#box.hidden = true;
  }
}

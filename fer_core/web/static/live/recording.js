// Readings as CSV, with the columns that the live view of the command line writes. It stays in this browser until saved.
const COLUMNS = ["utc", "seconds", "frame", "person", "x", "y", "width", "height", "label", "confidence", "unsure"];

export class Recording {
  isOn = false;
  #labels;
  #lines = [];
  #frame = 0;

  constructor(labels) {
    this.#labels = labels;
  }

  get rows() {
    return Math.max(0, this.#lines.length - 1);
  }

  start() {
    this.isOn = true;
    this.#frame = 0;
    this.#lines = [
      [...COLUMNS, ...this.#labels.map((label) => (COLUMNS.includes(label) ? `p_${label}` : label))]
        .map(cell)
        .join(","),
    ];
  }

  /** Adds a row for each face; a frame without a face has a row too. */
  add(seconds, faces) {
    if (!this.isOn) return;
    const frame = [new Date().toISOString(), seconds.toFixed(3), ++this.#frame];
    for (const face of faces.length ? faces : [null])
      this.#lines.push([...frame, ...this.#cells(face)].map(cell).join(","));
  }

  #cells(face) {
    if (!face) return Array(COLUMNS.length - 3 + this.#labels.length).fill("");
    const { box } = face;
    const told = [
      face.person,
      box.x,
      box.y,
      box.width,
      box.height,
      face.label,
      face.confidence,
      face.unsure ? "True" : "False",
    ];
    return [...told, ...this.#labels.map((label) => face.probabilities[label] ?? "")];
  }

  /** Ends the recording and gives it to the browser as a download. */
  save() {
    this.isOn = false;
    const address = URL.createObjectURL(new Blob([`${this.#lines.join("\n")}\n`], { type: "text/csv" }));
    const name = `readings_${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_")}.csv`;
    Object.assign(document.createElement("a"), { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    this.#lines = [];
  }
}

function cell(value) {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

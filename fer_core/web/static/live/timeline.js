// The probabilities of the largest face since the beginning. The line grows; when it is long, neighbours become one.
const MOST = 600,
  EVERY_MS = 500,
  GAP_SECONDS = 2;
const EDGE = { left: 40, right: 8, top: 8, bottom: 22 };

export class Timeline {
  #canvas;
  #labels;
  #colours;
  #legend;
  #samples = [];
  #waiting = [];
  #step = 1;
  #drawn = 0;
  #markers = [];
  #seen = new Map();

  constructor(canvas, legend, { labels, colours }) {
    this.#canvas = canvas;
    this.#labels = labels;
    this.#colours = colours;
    this.#legend = new Map(labels.map((label) => [label, legend.querySelector(`[data-label="${CSS.escape(label)}"]`)]));
  }

  /** Forgets everything. */
  clear() {
    [this.#samples, this.#waiting, this.#step] = [[], [], 1];
    this.#seen.clear();
    for (const item of this.#legend.values()) if (item) item.textContent = "–";
    this.#draw();
  }

  add(seconds, faces, markers) {
    this.#markers = markers;
    const face = faces.reduce((best, one) => (!best || area(one) > area(best) ? one : best), null);
    if (face) this.#keep(seconds, face);
    const now = performance.now();
    if (now - this.#drawn < EVERY_MS) return;
    this.#drawn = now;
    this.#draw();
  }

  #keep(seconds, face) {
    this.#seen.set(face.label, (this.#seen.get(face.label) ?? 0) + 1);
    this.#waiting.push({ seconds, shares: this.#labels.map((label) => face.probabilities[label] ?? 0) });
    if (this.#waiting.length < this.#step) return;
    this.#samples.push(mean(this.#waiting));
    this.#waiting = [];
    if (this.#samples.length >= MOST) this.#halve();
  }

  #halve() {
    const pairs = [];
    for (let place = 0; place < this.#samples.length; place += 2)
      pairs.push(mean(this.#samples.slice(place, place + 2)));
    this.#samples = pairs;
    this.#step *= 2;
  }

  #draw() {
    const ratio = devicePixelRatio || 1,
      { clientWidth: width, clientHeight: height } = this.#canvas;
    if (this.#canvas.width !== Math.round(width * ratio)) {
      this.#canvas.width = Math.round(width * ratio);
      this.#canvas.height = Math.round(height * ratio);
    }
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const last = Math.max(10, this.#samples.at(-1)?.seconds ?? 0);
    const x = (seconds) => EDGE.left + (seconds / last) * (width - EDGE.left - EDGE.right);
    const y = (share) => EDGE.top + (1 - share) * (height - EDGE.top - EDGE.bottom);
    this.#drawAxes(pen, { x, y, last, width });
    for (const { seconds } of this.#markers) pen.fillRect(x(seconds), y(1), 1.5, y(0) - y(1));
    this.#labels.forEach((label, place) => this.#drawLine(pen, place, this.#colours[label], { x, y }));
    this.#tell();
  }

  #drawAxes(pen, { x, y, last, width }) {
    const style = getComputedStyle(this.#canvas);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = style.color;
    pen.strokeStyle = style.borderTopColor;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      pen.fillText(`${100 * share}%`, EDGE.left - 6, y(share));
      pen.beginPath();
      pen.moveTo(EDGE.left, y(share));
      pen.lineTo(width - EDGE.right, y(share));
      pen.stroke();
    }
    for (const part of [0, 0.5, 1]) {
      pen.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
      pen.fillText(clock(part * last), x(part * last), y(0) + 14);
    }
  }

  #drawLine(pen, place, colour, { x, y }) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    let before = -Infinity;
    for (const { seconds, shares } of this.#samples) {
      if (seconds - before > GAP_SECONDS * Math.max(1, this.#step / 15)) pen.moveTo(x(seconds), y(shares[place]));
      else pen.lineTo(x(seconds), y(shares[place]));
      before = seconds;
    }
    pen.stroke();
  }

  /** The legend says the same as the lines, in words: how often each emotion was the one shown. */
  #tell() {
    const all = [...this.#seen.values()].reduce((sum, count) => sum + count, 0);
    for (const [label, item] of this.#legend)
      if (item && all) item.textContent = `${Math.round((100 * (this.#seen.get(label) ?? 0)) / all)}%`;
  }
}

function area(face) {
  return face.box.width * face.box.height;
}

function mean(samples) {
  const shares = samples[0].shares.map(
    (_, place) => samples.reduce((sum, one) => sum + one.shares[place], 0) / samples.length,
  );
  return { seconds: samples.at(-1).seconds, shares };
}

export function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

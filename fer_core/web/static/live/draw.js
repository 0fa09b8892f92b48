// Draws boxes and bars over a frame.
const PAD = 6;

/** Draws each face's box, its label, and a bar for each emotion beside it. */
export function drawReadings(pen, faces, settings) {
  const scale = Math.max(1, pen.canvas.width / 640);
  for (const face of faces) {
    drawBox(pen, face, settings.colours[face.label] ?? "#ffffff", scale);
    drawBars(pen, face, settings, scale);
  }
}

function drawBox(pen, { box, label, confidence, unsure, person }, colour, scale) {
  pen.lineWidth = 5 * scale;
  pen.strokeStyle = "rgba(0, 0, 0, 0.5)";
  pen.strokeRect(box.x, box.y, box.width, box.height);
  pen.lineWidth = 3 * scale;
  pen.strokeStyle = colour;
  pen.setLineDash(unsure ? [8 * scale, 6 * scale] : []);
  pen.strokeRect(box.x, box.y, box.width, box.height);
  pen.setLineDash([]);
  const words = `${person}  ${label} ${Math.round(100 * confidence)}%${unsure ? "  unsure" : ""}`;
  pen.font = `600 ${16 * scale}px system-ui, sans-serif`;
  const width = pen.measureText(words).width + 2 * PAD * scale,
    height = 24 * scale;
  const top = Math.max(0, box.y - height);
  pen.fillStyle = "rgba(5, 8, 12, 0.82)";
  pen.fillRect(box.x, top, width, height);
  pen.fillStyle = "#fff";
  pen.textBaseline = "middle";
  pen.fillText(words, box.x + PAD * scale, top + height / 2);
}

function drawBars(pen, { box, probabilities, label: shown }, { colours }, scale) {
  const row = 17 * scale,
    width = 128 * scale,
    name = 62 * scale;
  const entries = Object.entries(probabilities);
  const height = entries.length * row + PAD * scale;
  const { left, top } = besides(box, width, height, pen.canvas);
  pen.fillStyle = "rgba(5, 8, 12, 0.72)";
  pen.fillRect(left, top, width, height);
  entries.forEach(([label, share], place) => {
    const y = top + (PAD * scale) / 2 + (place + 0.5) * row;
    pen.font = `${label === shown ? 700 : 400} ${12 * scale}px system-ui, sans-serif`;
    pen.fillStyle = "#fff";
    pen.fillText(label, left + PAD * scale, y, name - PAD * scale);
    pen.fillStyle = "rgba(255, 255, 255, 0.18)";
    pen.fillRect(left + name + 3 * scale, y - 4 * scale, width - name - 9 * scale, 8 * scale);
    pen.fillStyle = colours[label] ?? "#ffffff";
    pen.fillRect(left + name + 3 * scale, y - 4 * scale, share * (width - name - 9 * scale), 8 * scale);
  });
}

/** Returns where a panel fits: right of the box, left of it, or inside the picture's edge. */
function besides(box, width, height, canvas) {
  const right = box.x + box.width + PAD,
    left = box.x - width - PAD;
  const place = right + width <= canvas.width ? right : left >= 0 ? left : canvas.width - width;
  return { left: place, top: Math.max(0, Math.min(box.y, canvas.height - height)) };
}

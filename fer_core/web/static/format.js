// Numbers, moments and durations as people write them.

export function percent(share, digits = 1) {
  return share == null ? "–" : `${(100 * share).toFixed(digits)}%`;
}

/** Four digits that count: 0.001234, 12.35, 1.2e-7. */
export function number(value) {
  if (value == null || value === "") return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6
    ? value.toExponential(1).replace("e+", "e")
    : String(Number(value.toPrecision(4)));
}

export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function words(name) {
  return name.replace(/^network_options\./, "").replaceAll("_", " ");
}

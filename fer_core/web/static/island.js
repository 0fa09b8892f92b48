// What the server wrote into the page for scripts.

/** Returns the JSON of <script type="application/json" id="…">. */
export function island(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

export const OPEN = new Set(["QUEUED", "RUNNING", "INTERRUPTED"]);

/** Returns a badge as the templates write it. */
export function badge(status) {
  const name = status.toLowerCase();
  return Object.assign(document.createElement("span"), {
    className: `badge ${name}`,
    textContent: name.replaceAll("_", " "),
  });
}

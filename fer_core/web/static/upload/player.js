// A video with the timeline of what was read in it: a click or a key goes to a moment, and the one that plays is marked.
import { clock } from "../live/timeline.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

export class Player {
  #video;
  #track = document.getElementById("timeline");
  #lanes = JSON.parse(document.getElementById("lanes")?.textContent ?? "null");

  /** `unplayable(said)` is called where the browser cannot play the video. */
  constructor(video, unplayable) {
    this.#video = video;
    const said = document.getElementById("player-said");
    // It may have failed before this script came.
    if (video.error) unplayable(said);
    video.addEventListener("error", () => unplayable(said), { once: true });
    if (!this.#track) return;
    for (const name of ["timeupdate", "seeking", "loadedmetadata"]) video.addEventListener(name, () => this.#show());
    video.addEventListener("play", () => this.#follow());
    this.#track.addEventListener("keydown", (event) => this.#key(event));
    this.#track.addEventListener("pointerdown", (event) => {
      this.#track.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.#track.addEventListener("pointermove", (event) => event.buttons && this.#point(event));
    this.#show();
  }

  #go(seconds) {
    this.#video.currentTime = Math.min(Math.max(0, seconds), this.#lanes.seconds);
    this.#show();
  }

  #point(event) {
    const { left, width } = this.#track.getBoundingClientRect();
    this.#go(((event.clientX - left) / width) * this.#lanes.seconds);
  }

  #key(event) {
    const to = { Home: 0, End: this.#lanes.seconds }[event.key];
    const step = STEPS[event.key];
    if (event.key === " ") this.#video[this.#video.paused ? "play" : "pause"]();
    else if (to !== undefined) this.#go(to);
    else if (step) this.#go(this.#video.currentTime + step);
    else return;
    event.preventDefault();
  }

  /** Moves the mark smoothly while it plays. */
  #follow() {
    this.#show();
    if (!this.#video.paused && !this.#video.ended) requestAnimationFrame(() => this.#follow());
  }

  #show() {
    const seconds = this.#video.currentTime;
    const shown = this.#lanes.people
      .map(({ person, episodes }) => [person, episodes.find(({ start, end }) => start <= seconds && seconds < end)])
      .filter(([, episode]) => episode)
      .map(([person, { emotion }]) => `person ${person}: ${emotion}`);
    const words = shown.join("; ") || "nobody";
    document.getElementById("lane-now").style.left = `${(100 * Math.min(seconds, this.#lanes.seconds)) / this.#lanes.seconds}%`;
    document.getElementById("moment").textContent = clock(seconds);
    document.getElementById("moment-words").textContent = words;
    this.#track.setAttribute("aria-valuenow", seconds.toFixed(1));
    this.#track.setAttribute("aria-valuetext", `${clock(seconds)}, ${words}`);
  }
}

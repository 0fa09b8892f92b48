// Steadies what is shown of each person, by the rules of fer_core/live/predictor.py: tests/live/rules.py holds it to them.
const SHORTEST_SECONDS = 0.3,
  PATIENCE_SECONDS = 0.1,
  HALF_LIFE = 0.9;
const STEADIEST_HERTZ = 0.5,
  HERTZ_PER_SPEED = 8,
  SPEED_HERTZ = 1;

/** An exponential mean over time: a step has passed half its height after `smoothing` seconds; 0 gives what comes in. */
export class SteadyProbabilities {
  #halfLife;
  #value = null;
  #at = -Infinity;

  constructor(smoothing) {
    this.#halfLife = HALF_LIFE * smoothing;
  }

  update(probabilities, seconds) {
    if (this.#value === null || this.#halfLife === 0) this.#value = probabilities;
    else {
      const old = 0.5 ** (Math.max(0, seconds - this.#at) / this.#halfLife);
      this.#value = this.#value.map((value, place) => old * value + (1 - old) * probabilities[place]);
    }
    this.#at = Math.max(this.#at, seconds);
    return this.#value;
  }
}

/** What is shown, {label, isUnsure}: nothing for less than 0.3 s, and nothing that is back within 0.1 s. */
export class SteadyLabel {
  #shown = null;
  #shownSince = 0;
  #last = 0;
  #differsSince = null;

  update(right, seconds) {
    if (isSame(right, this.#shown)) this.#differsSince = null;
    else this.#differsSince ??= seconds;
    if (this.#differsSince !== null) {
      const couldBeRead = this.#last - this.#shownSince >= SHORTEST_SECONDS;
      if (this.#shown === null || (couldBeRead && seconds - this.#differsSince >= PATIENCE_SECONDS))
        [this.#shown, this.#shownSince, this.#differsSince] = [right, seconds, null];
    }
    this.#last = seconds;
    return this.#shown;
  }
}

/** A box that does not tremble while a face is still, and hardly lags when it moves: the One Euro filter. */
export class SteadyBox {
  #at = null;
  #raw;
  #steady;
  #speed = [0, 0, 0, 0];

  update({ x, y, width, height }, seconds) {
    const raw = [x + width / 2, y + height / 2, width, height];
    const elapsed = this.#at === null ? 0 : seconds - this.#at;
    if (this.#at === null) this.#raw = this.#steady = raw;
    else if (elapsed > 0) {
      const ofSpeed = lowPass(SPEED_HERTZ, elapsed),
        perWay = ofSpeed / elapsed / Math.max(width, 1);
      this.#speed = this.#speed.map((speed, k) => (1 - ofSpeed) * speed + perWay * (raw[k] - this.#raw[k]));
      this.#steady = this.#steady.map((steady, k) => {
        const share = lowPass(STEADIEST_HERTZ + HERTZ_PER_SPEED * Math.abs(this.#speed[k]), elapsed);
        return steady + share * (raw[k] - steady);
      });
      this.#raw = raw;
    }
    this.#at = seconds;
    const [centreX, centreY, steadyWidth, steadyHeight] = this.#steady;
    return { x: centreX - steadyWidth / 2, y: centreY - steadyHeight / 2, width: steadyWidth, height: steadyHeight };
  }
}

/** Returns what probabilities say: the place of the largest, and whether it is below the threshold. */
export function shownOf(probabilities, threshold) {
  const label = probabilities.indexOf(Math.max(...probabilities));
  return { label, isUnsure: !(probabilities[label] >= threshold) };
}

function isSame(one, other) {
  return other !== null && one.label === other.label && one.isUnsure === other.isUnsure;
}

function lowPass(hertz, elapsed) {
  const turn = 2 * Math.PI * hertz * elapsed;
  return turn / (turn + 1);
}

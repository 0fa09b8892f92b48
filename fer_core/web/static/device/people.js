// The people in front of a camera, followed and steadied from frame to frame, as fer_core/live/predictor.py does it.
import { shownOf, SteadyBox, SteadyLabel, SteadyProbabilities } from "./steady.js";
import { Tracker } from "./tracker.js";

export class People {
  #tracker = new Tracker();
  #people = new Map();
  #model;
  #smoothing;

  /** `model` has labels and threshold. */
  constructor(model, smoothing) {
    this.#model = model;
    this.#smoothing = smoothing;
  }

  /**
   * Returns what is read in each person in view. `found` are the faces of this frame; `classify(track)` gives the
   * probabilities of a face that is seen now.
   */
  async update(found, seconds, classify) {
    this.#tracker.find(found, seconds);
    const tracks = this.#tracker.people;
    this.#people = new Map(
      tracks.map(({ person }) => [person, this.#people.get(person) ?? new Person(this.#smoothing)]),
    );
    const readings = [];
    for (const track of tracks) {
      const person = this.#people.get(track.person);
      if (track.isFound) person.classified(await classify(track), seconds, this.#model.threshold);
      if (person.shown) readings.push(this.#reading(track.person, person.box.update(track.box, seconds), person));
    }
    return readings;
  }

  #reading(number, box, { probabilities, shown }) {
    const reading = readingOf(box, probabilities, shown.label, this.#model);
    return { person: number, ...reading, held: shown.label !== shownOf(probabilities, 0).label };
  }
}

/** Returns a reading in the form of the server's answers; `label` is a place among the labels. */
export function readingOf(box, probabilities, label, { labels, threshold }) {
  return {
    box,
    label: labels[label],
    confidence: probabilities[label],
    unsure: !(probabilities[label] >= threshold),
    probabilities: Object.fromEntries(labels.map((name, place) => [name, probabilities[place]])),
  };
}

class Person {
  box = new SteadyBox();
  probabilities = null;
  shown = null;
  #steady;
  #label;

  constructor(smoothing) {
    this.#steady = new SteadyProbabilities(smoothing);
    this.#label = smoothing > 0 ? new SteadyLabel() : null;
  }

  classified(probabilities, seconds, threshold) {
    this.probabilities = this.#steady.update(probabilities, seconds);
    const right = shownOf(this.probabilities, threshold);
    this.shown = this.#label ? this.#label.update(right, seconds) : right;
  }
}

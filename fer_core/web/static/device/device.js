// Reads faces on this device: asks the worker, and hands back what it answers.
export class Device {
  #worker = new Worker(new URL("worker.js", import.meta.url));
  #open = new Map();
  #count = 0;

  constructor() {
    this.#worker.addEventListener("message", ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#open.get(id);
      this.#open.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    });
    this.#worker.addEventListener("error", (event) => {
      for (const { reject } of this.#open.values()) reject(new Error(event.message ?? "the worker could not start"));
      this.#open.clear();
    });
  }

  /** Whether this browser has what is needed. */
  static canRun() {
    return typeof WebAssembly === "object" && typeof Worker === "function";
  }

  /** Loads runtime and models from `addresses` ({description, detector, runtime}) and warms them up. */
  load(addresses) {
    const whole = Object.entries(addresses).map(([name, address]) => [name, new URL(address, document.baseURI).href]);
    return this.#ask("load", Object.fromEntries(whole));
  }

  /** Reads the next frame of a camera: {faces, milliseconds}. `frame` is an ImageData and cannot be used afterwards. */
  readFrame(frame, seconds, smoothing) {
    return this.#ask("readFrame", { frame, seconds, smoothing }, [frame.data.buffer]);
  }

  /** Reads one picture, an ImageData: {faces, isGiven}; `finding` is "auto", "find" or "given". */
  readPicture(picture, finding) {
    return this.#ask("readPicture", { picture, finding });
  }

  /** Ends the worker; nothing can be read after it. */
  close() {
    this.#worker.terminate();
  }

  #ask(kind, given, transfer = []) {
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#worker.postMessage({ id, kind, given }, transfer);
    });
  }
}

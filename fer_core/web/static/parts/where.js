// Who reads: this device, where it can, or the server. The choice stays in this browser; no picture goes to the server
// unless the page says so.
import { Device } from "../device/device.js";

const KEY = "read-on";

export class Where {
  /** The `Device` that reads, or null. */
  device = null;
  /** Why this device cannot read, in words; "" while nothing is wrong. */
  problem = "";
  /** Settled once the device is ready to read, or cannot. */
  ready = Promise.resolve();
  #select = document.getElementById("where");
  #addresses;

  /** `addresses` are of what a device reads with, null where the server has none; `changed()` is told of changes. */
  constructor(addresses, changed = () => {}) {
    this.#addresses = addresses;
    if (addresses && !Device.canRun()) this.#refuse("it has no WebAssembly");
    const kept = addresses && !this.problem ? read() : "server";
    if (this.#select && kept) this.#select.value = kept;
    this.#select?.addEventListener("change", () => {
      keep(this.#select.value);
      this.#show();
      changed();
    });
    this.changed = changed;
    this.#show();
  }

  /** Whether this device reads. */
  get isHere() {
    return Boolean(this.#addresses) && !this.problem && this.#select?.value !== "server";
  }

  #show() {
    if (this.isHere && !this.device) this.#start();
    for (const part of document.querySelectorAll("[data-where]"))
      part.hidden = (part.dataset.where === "device") !== this.isHere;
    const said = document.getElementById("where-said");
    if (said) said.textContent = this.problem;
  }

  #start() {
    this.device = new Device();
    this.ready = this.device.load(this.#addresses).then(
      () => dispatchEvent(new Event("deviceready")),
      (error) => {
        this.#refuse(error.message);
        this.#show();
        this.changed();
      },
    );
  }

  #refuse(reason) {
    this.problem = `This device cannot read by itself: ${reason}.`;
    this.device?.close();
    this.device = null;
    if (!this.#select) return;
    this.#select.value = "server";
    this.#select.querySelector("[value=device]").disabled = true;
  }
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function keep(value) {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // it is chosen again next time
  }
}

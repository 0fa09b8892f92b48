// LiteRT in this worker: the same .tflite files as on the server, with the same kernels.

/** Returns LiteRT, its files at the folder `address`. */
export async function startRuntime(address) {
  self.Module = { locateFile: (name) => new URL(name, address).href };
  const litert = await import(new URL("index.js", address));
  await litert.loadLiteRt(new URL("litert_wasm_compat_internal.js", address).href);
  return litert;
}

/** A .tflite that is open: `run` takes {data, shape} and returns its one output. */
export class Model {
  #litert;
  #compiled;

  static async open(litert, address, accelerator = "wasm") {
    const model = new Model();
    model.#litert = litert;
    model.#compiled = await litert.loadAndCompile(await bytesOf(address), { accelerator });
    return model;
  }

  /** The names of what it can do; the first is done where none is named. */
  get signatures() {
    return Object.keys(this.#compiled.signatures);
  }

  async run({ data, shape }, signature = this.signatures[0]) {
    const input = new this.#litert.Tensor(data, shape);
    try {
      const [given] = await this.#compiled.run(signature, [input]);
      const output = await given.moveTo("wasm"); // where it is already, unless the graphics processor has it
      const values = output.toTypedArray().slice();
      output.delete();
      return values;
    } finally {
      input.delete();
    }
  }
}

/** Returns how a model answers, and in how many milliseconds at best. */
async function timed(model, input) {
  let [best, values] = [Infinity, null];
  for (let time = 0; time < 3; time++) {
    const began = performance.now();
    values = await model.run(input);
    best = Math.min(best, performance.now() - began);
  }
  return { best, values };
}

/**
 * Returns the model on the graphics processor (WebGPU) where it is slow, quicker there, and answers the same; else the
 * model as it is. `input` is something that it may be tried on.
 */
export async function quickest(litert, address, model, input, { slow = 10, tolerance = 0.002 } = {}) {
  const own = await timed(model, input);
  if (own.best < slow || !navigator.gpu) return model;
  const other = await Model.open(litert, address, "webgpu");
  const there = await timed(other, input);
  const isSame = there.values.every((value, place) => Math.abs(value - own.values[place]) <= tolerance);
  return isSame && there.best < own.best ? other : model;
}

async function bytesOf(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} is not there (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

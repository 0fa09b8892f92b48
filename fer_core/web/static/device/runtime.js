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

  static async open(litert, address) {
    const model = new Model();
    model.#litert = litert;
    model.#compiled = await litert.loadAndCompile(await bytesOf(address), { accelerator: "wasm" });
    return model;
  }

  /** The names of what it can do; the first is done where none is named. */
  get signatures() {
    return Object.keys(this.#compiled.signatures);
  }

  async run({ data, shape }, signature = this.signatures[0]) {
    const input = new this.#litert.Tensor(data, shape);
    try {
      const [output] = await this.#compiled.run(signature, [input]);
      const values = output.toTypedArray().slice();
      output.delete();
      return values;
    } finally {
      input.delete();
    }
  }
}

async function bytesOf(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} is not there (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

// Where the models run, apart from the page, which stays smooth. A classic worker: the runtime needs importScripts.
const reading = import("./reading.js");

onmessage = async ({ data: { id, kind, given } }) => {
  try {
    const { result, transfer } = await (await reading)[kind](given);
    postMessage({ id, result }, transfer ?? []);
  } catch (error) {
    postMessage({ id, error: error?.message ?? String(error) });
  }
};

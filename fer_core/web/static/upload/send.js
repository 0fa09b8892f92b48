// Sends files in pieces, a few at a time; after a broken connection it goes on where the server says that they end.
const AT_ONCE = 3;
const LONGEST_WAIT = 30;
const SECONDS_SHOWN = 3;

/** A refusal that trying again would not mend. */
class Refused extends Error {}

/** Sends files, each {name, file}, and returns the address of their page. `tell(words, share)` is told how far it is. */
export async function sendAll(files, faces, tell, signal) {
  const wanted = { files: files.map(({ name, file }) => ({ name, size: file.size })), faces };
  const batch = (await goOn(wanted)) ?? (await call("POST", "/api/v1/uploads", wanted, signal));
  const address = `/api/v1/uploads/${batch.upload}`;
  keep(wanted, batch.upload);
  signal.addEventListener("abort", () => call("DELETE", address).catch(() => {}));
  const [size, began] = [files.reduce((sum, { file }) => sum + file.size, 0), performance.now()];
  const there = batch.files.map((file) => file.there);
  const before = sum(there);
  const show = () => {
    const done = sum(there);
    const seconds = (performance.now() - began) / 1000;
    const left = seconds > SECONDS_SHOWN && done > before ? (seconds * (size - done)) / (done - before) : null;
    tell(`${megabytes(done)} of ${megabytes(size)} MB sent${left == null ? "" : `, about ${inWords(left)} left`}`, size ? done / size : 1);
  };
  let next = 0;
  const worker = async () => {
    while (next < files.length) {
      const number = next++;
      await sendOne(files[number].file, number, { address, there, piece: batch.piece_bytes, show, tell, signal });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await patiently(() => call("POST", `${address}/start`, {}, signal), tell, signal);
  forget();
  return `/uploads/${batch.upload}`;
}

async function sendOne(file, number, { address, there, piece, show, tell, signal }) {
  const send = () => {
    const offset = there[number];
    return call("PUT", `${address}/${number}?offset=${offset}`, file.slice(offset, offset + piece), signal);
  };
  const lookAgain = async () => (there[number] = (await call("GET", address, undefined, signal)).files[number].there);
  while (there[number] < file.size) {
    there[number] = (await patiently(send, tell, signal, lookAgain)).there;
    show();
  }
}

/** Returns what `act` does, which is tried again while the connection is broken, each time after `before`. */
async function patiently(act, tell, signal, before = () => {}) {
  for (let wait = 1; ; wait = Math.min(LONGEST_WAIT, 2 * wait))
    try {
      if (wait > 1) await before();
      return await act();
    } catch (error) {
      if (signal.aborted || error instanceof Refused) throw error;
      tell(`The connection is broken: trying again in ${wait} s …`, null);
      await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    }
}

/** Returns the answer. Raises Refused with the server's words, or an error where trying again may help. */
async function call(method, address, content, signal) {
  const isBytes = content instanceof Blob;
  const headers = { Accept: "application/json", "Content-Type": isBytes ? "application/octet-stream" : "application/json" };
  const body = content === undefined || isBytes ? content : JSON.stringify(content);
  const response = await fetch(address, { method, headers, body, signal });
  if (response.ok) return response.json();
  const other = { error: `The answer was ${response.status}.`, hint: "A proxy in front of the server may have given it." };
  const { error, hint } = await response.json().catch(() => other);
  const words = `${error} ${hint}`;
  throw response.status >= 500 && response.status !== 507 ? new Error(words) : response.status === 409 ? new Error(words) : new Refused(words);
}

// The same files, chosen again in this tab after a reload, go on where they were.
const KEY = "upload";

async function goOn(wanted) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (kept?.wanted !== JSON.stringify(wanted)) return null;
    const state = await call("GET", `/api/v1/uploads/${kept.upload}`);
    return state.status === "sending" ? { ...state, upload: kept.upload } : null;
  } catch {
    return null;
  }
}

function keep(wanted, upload) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ wanted: JSON.stringify(wanted), upload }));
  } catch {
    // it begins anew then
  }
}

function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // nothing was kept
  }
}

function sum(numbers) {
  return numbers.reduce((all, one) => all + one, 0);
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}

function inWords(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

// Asks an address again and again, not while the page is hidden, and more slowly while it does not answer.
import { isWaitedFor } from "./notify.js";

const LONGEST_SECONDS = 30;

/** Calls `shown(answer)` with each JSON answer until that returns false. */
export async function poll(address, seconds, shown) {
  let wait = seconds;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    if (document.hidden && !isWaitedFor()) continue;
    const answer = await ask(address);
    wait = answer ? seconds : Math.min(LONGEST_SECONDS, 2 * wait);
    if (answer && shown(answer) === false) return;
  }
}

/** Returns the JSON at an address, null where there is none now. */
export async function ask(address) {
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    if (response.status === 401) askToSignIn();
    if (response.status === 404) dispatchEvent(new Event("gone"));
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** Says above the page that the session has ended, once. */
function askToSignIn() {
  if (document.getElementById("signed-out")) return;
  const note = Object.assign(document.createElement("p"), { id: "signed-out", className: "note warn" });
  note.setAttribute("role", "alert");
  const link = Object.assign(document.createElement("a"), { textContent: "Sign in again" });
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  const words = document.createElement("span");
  words.append("You are signed out, and nothing here changes any more. ", link, ".");
  note.append(words);
  document.getElementById("main").prepend(note);
}

// Asks an address again and again, not while the page is hidden, and more slowly while it does not answer.
const LONGEST_SECONDS = 30;

/** Calls `shown(answer)` with each JSON answer until that returns false. */
export async function poll(address, seconds, shown) {
  let wait = seconds;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
    if (document.hidden) continue;
    const answer = await ask(address);
    wait = answer ? seconds : Math.min(LONGEST_SECONDS, 2 * wait);
    if (answer && shown(answer) === false) return;
  }
}

/** Returns the JSON at an address, null where there is none now. */
export async function ask(address) {
  try {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

// Tells on the desktop when what a page follows has ended, if somebody asks for that by a button.
const button = document.querySelector("[data-tell]");
const isPossible = "Notification" in window && isSecureContext && Notification.permission !== "denied";
let isAsked = false;

if (button && isPossible) {
  button.classList.remove("unready");
  button.addEventListener("click", async () => {
    isAsked = (await Notification.requestPermission()) === "granted";
    button.textContent = isAsked ? "You will be told; keep this tab open" : "The browser does not allow it";
    button.disabled = true;
  });
}

/** Returns whether somebody waits for a message, so that a tab in the background must go on asking the server. */
export function isWaitedFor() {
  return isAsked;
}

/** Shows how it ended, where that was asked for. */
export function tell(words) {
  if (!isAsked) return;
  try {
    const shown = new Notification(button.dataset.tell, { body: words, tag: location.pathname });
    shown.addEventListener("click", () => window.focus());
  } catch {
    // Phones have it for service workers alone.
  }
}

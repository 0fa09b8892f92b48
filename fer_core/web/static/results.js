// The result page: switches between what the network saw and the heat map.
for (const button of document.querySelectorAll("[data-heat-switch]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const isHeat = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isHeat));
    const face = button.closest(".face");
    for (const one of face.querySelectorAll("[data-heat]")) one.hidden = !isHeat;
    for (const one of face.querySelectorAll("[data-seen]")) one.hidden = isHeat;
  });
}

// A correction is sent in place: the page is the answer to an upload, and cannot be gone back to.
for (const form of document.querySelectorAll("[data-keep]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const { problem, answer } = await send(form.action, new FormData(form));
    button.disabled = false;
    say(form, problem ? [problem] : [`Kept as “${answer.label}”.`, undo(form, answer)], problem ? "bad" : "good");
  });
}

function undo(form, kept) {
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    className: "button small",
    textContent: "Undo",
  });
  button.addEventListener("click", async () => {
    button.disabled = true;
    const token = new FormData();
    token.set("csrf_token", form.elements.csrf_token.value);
    const { problem } = await send(kept.delete, token);
    say(form, [problem || "Deleted again: nothing of this face is kept."], problem ? "bad" : "");
    form.elements.label.value = "";
    form.elements.label.focus();
  });
  return button;
}

/** Returns {answer}, or {problem} in words. */
async function send(address, body) {
  try {
    const response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    const answer = await response.json();
    return response.ok ? { answer } : { problem: `${answer.error} ${answer.hint}` };
  } catch {
    return { problem: "The server does not answer. Nothing was changed; try again." };
  }
}

function say(form, parts, kind) {
  const words = form.parentElement.querySelector("[data-kept]");
  words.dataset.kept = kind;
  words.replaceChildren(...parts);
}

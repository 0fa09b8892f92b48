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

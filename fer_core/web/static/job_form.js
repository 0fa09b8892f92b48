// The form of a job: another recipe or network brings its own settings; long parts can be searched.
for (const select of document.querySelectorAll("[data-reloads]")) {
  select.addEventListener("change", () => {
    const address = new URL(location.pathname, location.origin);
    for (const one of document.querySelectorAll("[data-reloads]"))
      if (one.value && (one === select || select.name !== "recipe")) address.searchParams.set(one.name, one.value);
    location.assign(address);
  });
}
for (const button of document.querySelectorAll("[data-without-script]")) button.hidden = true;

const search = document.getElementById("find-setting");
search.closest(".field").hidden = false;
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase().replaceAll("_", " ");
  for (const field of document.querySelectorAll("[data-setting]"))
    field.hidden = wanted && !field.textContent.toLowerCase().includes(wanted);
  for (const part of document.querySelectorAll("details.settings")) if (wanted) part.open = true;
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault();
});

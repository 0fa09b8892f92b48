// The form of a job: another recipe or network brings its own settings; long parts can be searched.
const fields = [...document.querySelectorAll("main form[method=post] :is(input, select, textarea)")];
const begun = new Map(fields.map((field) => [field, stateOf(field)]));
for (const select of document.querySelectorAll("[data-reloads]")) {
  select.addEventListener("change", () => {
    const isChanged = fields.some((field) => field !== select && stateOf(field) !== begun.get(field));
    if (isChanged && !confirm(`The form begins anew with another ${select.name}; what you have changed is lost.`)) {
      select.value = begun.get(select);
      return;
    }
    const address = new URL(location.pathname, location.origin);
    if (select.value) address.searchParams.set(select.name, select.value);
    location.assign(address);
  });
}
// After Back the browser puts in what was chosen last, beside the fields that belong to what was chosen before.
addEventListener("pageshow", () => {
  for (const select of document.querySelectorAll("[data-reloads]")) select.value = begun.get(select);
});
for (const button of document.querySelectorAll("[data-without-script]")) button.hidden = true;

// A setting whose range was changed is one that varies.
for (const line of document.querySelectorAll("[data-varied]"))
  line.querySelector(".range").addEventListener("input", () => (line.querySelector("[name=space]").checked = true));

function stateOf(field) {
  return field.type === "checkbox" ? field.checked : field.value;
}

const search = document.getElementById("find-setting");
search.closest(".field").classList.remove("unready");
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase().replaceAll("_", " ");
  for (const field of document.querySelectorAll("[data-setting]"))
    field.hidden = wanted && !field.textContent.toLowerCase().includes(wanted);
  for (const part of document.querySelectorAll("details.settings")) if (wanted) part.open = true;
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault();
});

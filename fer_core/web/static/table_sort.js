// Sorts tables in the page: every <th data-sort> becomes a button. Cells may say their value in data-value.

/** Makes the heads of a table with data-sort ("text" or "number") sort its rows. */
export function sortable(table) {
  for (const head of table.tHead?.querySelectorAll("th[data-sort]") ?? []) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "sort" });
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => sortBy(table, head));
  }
}

function sortBy(table, head) {
  const isNumber = head.dataset.sort === "number";
  const before = head.getAttribute("aria-sort");
  const direction = before
    ? before === "descending"
      ? "ascending"
      : "descending"
    : isNumber
      ? "descending"
      : "ascending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: valueOf(row.cells[head.cellIndex], isNumber) }));
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((a, b) => compare(a.value, b.value, sign));
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

/** Cells without a value come last, whichever way. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
}

function valueOf(cell, isNumber) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === "–") return null;
  return isNumber ? Number.parseFloat(text) : text;
}

for (const table of document.querySelectorAll("table[data-sortable]")) sortable(table);

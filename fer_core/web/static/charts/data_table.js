// The same as a chart, as a table.

/** Returns a table of series: a row for each x, a column for each series. */
export function tableOf(series, { title, xName, xFormat, format }) {
  const table = document.createElement("table");
  table.append(Object.assign(document.createElement("caption"), { textContent: title ?? "", className: "unseen" }));
  const values = series.map((one) => new Map(one.points));
  const xs = [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
  const head = table.createTHead().insertRow();
  for (const name of [xName, ...series.map((one) => one.name)]) head.append(heading("col", name));
  const body = table.createTBody();
  for (const x of xs) {
    const row = body.insertRow();
    row.append(heading("row", (xFormat ?? String)(x)));
    for (const points of values) row.insertCell().textContent = points.has(x) ? format(points.get(x)) : "–";
  }
  return table;
}

function heading(scope, words) {
  return Object.assign(document.createElement("th"), { scope, textContent: words });
}

// The legend of a chart: what each line is, and a button that hides it.
import { svg } from "./svg.js";

/** Returns the short piece of line that stands for a series. */
export function sample({ colour, dashed, lineless }) {
  const mark = lineless
    ? svg("circle", { cx: 12, cy: 5, r: 4, class: `f${colour}` })
    : svg("line", {
        x1: 1,
        x2: 23,
        y1: 5,
        y2: 5,
        "stroke-width": 3,
        class: `s${colour}`,
        ...(dashed && { "stroke-dasharray": "5 4" }),
      });
  return svg("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" }, [mark]);
}

/** Returns a button for each series; `hidden` is the set of the names that are not shown. */
export function legend(series, hidden, changed) {
  return series.map((one) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "legend-item" });
    button.append(sample(one), one.name);
    button.setAttribute("aria-pressed", String(!hidden.has(one.name)));
    button.addEventListener("click", () => {
      if (!hidden.delete(one.name)) hidden.add(one.name);
      button.setAttribute("aria-pressed", String(!hidden.has(one.name)));
      changed();
    });
    return button;
  });
}

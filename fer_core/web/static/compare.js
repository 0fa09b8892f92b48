// Several runs: their curves over each other.
import { Curves } from "./charts/curves.js";
import { island } from "./island.js";

const runs = island("compare-data");
const place = document.getElementById("curves");
const names = runs.map((run) => run.name);
const nameOf = (run) =>
  names.filter((name) => name === run.name).length > 1 ? `${run.name} ${run.id.split("-").at(-1)}` : run.name;
if (place) new Curves(place, { controls: true }).show(runs.map((run) => ({ name: nameOf(run), epochs: run.epochs })));

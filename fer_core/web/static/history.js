// The curves of a history CSV.
import { Curves } from "./charts/curves.js";
import { island } from "./island.js";

new Curves(document.getElementById("curves"), { controls: true }).show([
  { name: "history", epochs: island("history-data") },
]);

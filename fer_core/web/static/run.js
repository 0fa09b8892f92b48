// A run's page: curves, which grow while it is trained.
import { Curves } from "./charts/curves.js";
import { duration, percent } from "./format.js";
import { badge, island, OPEN } from "./island.js";
import { tell } from "./notify.js";
import { poll } from "./poll.js";

const detail = island("run-data");
const curves = new Curves(document.getElementById("curves"), { controls: true });
curves.show([{ name: detail.run.title, epochs: detail.epochs, best: detail.best?.epoch }]);
if (OPEN.has(detail.run.status)) poll(document.getElementById("progress").dataset.url, 2, show);

function show(now) {
  // What there is only at the end (figures, files, pictures) is written by the server.
  if (!OPEN.has(now.run.status)) {
    tell(`${now.run.status.toLowerCase()}${now.run.accuracy == null ? "" : `, accuracy ${percent(now.run.accuracy)}`}`);
    location.reload();
    return false;
  }
  curves.show([{ name: now.run.title, epochs: now.epochs, best: now.best?.epoch }]);
  document.getElementById("status").replaceChildren(badge(now.run.status));
  const left = now.seconds_left == null ? "" : `, ${duration(now.seconds_left)} left`;
  document.getElementById("progress-words").textContent = `Epoch ${now.run.epoch} of ${now.run.epochs ?? "?"}${left}`;
  document.getElementById("progress-bar").value = now.run.epochs ? now.run.epoch / now.run.epochs : 0;
  return true;
}

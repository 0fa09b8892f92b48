// A data set's page, and that of a cell of a confusion matrix: waits while images are read; filters; counts what is ticked.
import { poll } from "./poll.js";

const progress = document.getElementById("progress");
if (progress) {
  poll(progress.dataset.url, 1, (now) => {
    if (!now.progress) {
      location.reload();
      return false;
    }
    document.getElementById("progress-words").textContent = now.progress;
    const [, done, all] = /([\d,]+) of ([\d,]+)/.exec(now.progress) ?? [];
    const bar = progress.querySelector("progress");
    if (all) bar.value = Number(done.replaceAll(",", "")) / Number(all.replaceAll(",", ""));
    else bar.removeAttribute("value");
    return true;
  });
}

const filters = document.getElementById("filters");
filters?.addEventListener("change", () => filters.requestSubmit());

const form = document.getElementById("relabel");
form?.addEventListener("change", () => {
  const count = form.querySelectorAll("[name=image]:checked").length;
  const words = document.getElementById("ticked");
  if (words) words.textContent = count ? `${count} ticked.` : "Tick images with a wrong label.";
});

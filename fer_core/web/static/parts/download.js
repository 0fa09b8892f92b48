/** Gives the browser a file to save: `content` is text or a Blob; the time is put into its name. */
export function download(name, suffix, content) {
  const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
  const address = URL.createObjectURL(new Blob([content]));
  Object.assign(document.createElement("a"), { href: address, download: `${name}_${time}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

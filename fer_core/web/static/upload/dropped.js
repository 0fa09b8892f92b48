// What was dropped: files, and all in folders, by their paths in these.

/** Returns {file, name} of each file in a drop. */
export async function filesOf(transfer) {
  const items = [...(transfer?.items ?? [])].filter(({ kind }) => kind === "file");
  // Both must be asked for before the first wait: the drop is forgotten then.
  const found = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const lists = await Promise.all(
    found.map(({ entry, file }) => (entry?.isDirectory ? inFolder(entry, "") : file ? [{ file, name: file.name }] : [])),
  );
  return lists.flat();
}

async function inFolder(folder, before) {
  const reader = folder.createReader();
  const files = [];
  for (;;) {
    const entries = await new Promise((done) => reader.readEntries(done, () => done([])));
    if (!entries.length) return files; // it gives a hundred at a time
    for (const entry of entries) {
      const path = `${before}${folder.name}/`;
      if (entry.isDirectory) files.push(...(await inFolder(entry, path)));
      else {
        const file = await new Promise((done) => entry.file(done, () => done(null)));
        if (file) files.push({ file, name: path + file.name });
      }
    }
  }
}

// What an upload shows and reads, without any state of its own.

const UNITS = ["B", "kB", "MB", "GB"];
export const SHOWN = 200;

// Of bytes, in words.
export function size(bytes) {
  let at = 0;
  let number = bytes;
  while (number >= 1000 && at < UNITS.length - 1) {
    number /= 1000;
    at += 1;
  }
  return `${at ? number.toFixed(1) : number} ${UNITS[at]}`;
}

// Folders that are dropped are walked through; a browser gives at most 100 of their entries at a time.
export async function walk(entry, path, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, name: path + file.name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const each of some) await walk(each, `${path}${entry.name}/`, found);
  }
}

// A word in a coloured box.
export function tag(words, tone) {
  const made = document.createElement("span");
  made.className = `tag ${tone}`;
  made.textContent = words;
  return made;
}

// Reasons to fold out.
export function list(reasons) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = "why";
  const items = document.createElement("ul");
  for (const each of reasons.slice(0, SHOWN)) {
    const item = document.createElement("li");
    item.textContent = window.vigil.visible(`${each.name}: ${each.detail}`);
    items.append(item);
  }
  details.append(summary, items);
  return details;
}

// Uploads files, folders and zips: one upload (a session) for all that is dropped until it is done, a few files at once.
// The server decides what each file is; what it says of each is shown, as text and never as HTML.
import { SHOWN, list, size, tag, walk } from "./upload-parts.js";

const AT_ONCE = 3;
const POLL_MS = 1000;
const OFTEN_MS = 100;
const TRIES = 5;
const WAIT_MS = 3000;
const SESSIONS = "/api/v1/upload-sessions";
const HEALTH = "/health/live";

const $ = (id) => document.getElementById(id);
const drop = $("drop");
const most = Math.max(Number(drop.dataset.maxFile), Number(drop.dataset.maxZip));

let csrf = window.vigil.csrf();
let session = null;
let stopped = false;
let waiting = [];
let running = 0;
let starting = null;
let requests = new Set();
let files = [];
let bytesAll = 0;
let bytesDone = 0;
let address = "";
let toldAt = 0;
// Kept as files end: counting thousands anew at every step would stop the page.
const totals = { done: 0, stored: 0, duplicate: 0, refused: 0, failed: 0 };

async function dropped(items) {
  const found = [];
  // Before anything is awaited: the list is empty afterwards.
  const files = [...items].filter((item) => item.kind === "file");
  const carried = files.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  for (const { entry, file } of carried) if (!entry && file) found.push({ file, name: file.name });
  const entries = carried.map(({ entry }) => entry).filter(Boolean);
  // Thousands of files take seconds to list, and nothing has begun meanwhile.
  const counting = setInterval(() => {
    $("progress").hidden = false;
    if (!session) tell(`${found.length} files found so far …`);
  }, POLL_MS);
  for (const entry of entries) {
    try {
      await walk(entry, "", found);
    } catch {
      window.vigil.toast(`${entry.name} cannot be read by the browser.`, "bad");
    }
  }
  clearInterval(counting);
  if (!found.length) {
    $("progress").hidden = !files.length;
    window.vigil.toast("There are no files in what was dropped.", "bad");
  }
  add(found);
}

function add(found) {
  if (!found.length) return;
  $("progress").hidden = false;
  for (const { file, name } of found) {
    const each = { file, name, sent: 0, state: "waits", results: [], row: null, tries: 0 };
    files.push(each);
    bytesAll += file.size;
    if (file.size > most) {
      settle(each, [refused(each, "too_large", `longer than ${size(most)}: split it`)]);
    } else {
      waiting.push(each);
    }
  }
  stopped = false;
  beginView();
  draw();
  pump();
}

const refused = (each, reason, detail) => ({ name: each.name, verdict: "refused", reason, detail, study: "" });

async function begin() {
  for (let turn = 0; turn < TRIES; turn += 1) {
    const answer = await fetch(SESSIONS, { method: "POST", headers: { "X-CSRF-Token": csrf } });
    if (answer.status === 429) {
      tell("Other uploads are open. Waiting for one to end …");
      await new Promise((done) => setTimeout(done, WAIT_MS));
      continue;
    }
    if (window.vigil.renewed(answer)) {
      csrf = window.vigil.csrf();
      continue;
    }
    if (!answer.ok) throw new Error(await window.vigil.reason(answer));
    return (await answer.json()).id;
  }
  throw new Error("Too many uploads are open. Try again in some minutes.");
}

async function pump() {
  if (stopped) return;
  if (!session && waiting.length) {
    starting = starting || begin();
    try {
      session = await starting;
    } catch (error) {
      for (const each of waiting.splice(0)) fail(each, error.message || "The service cannot be reached.");
      finishView();
      return;
    } finally {
      starting = null;
    }
  }
  while (session && running < AT_ONCE && waiting.length) send(waiting.shift());
  if (session && !running && !waiting.length) await end();
}

function send(each) {
  running += 1;
  each.state = "sends";
  each.tries += 1;
  show(each);
  const request = new XMLHttpRequest();
  requests.add(request);
  const query = new URLSearchParams({ name: each.name.slice(0, 1000) });
  request.open("POST", `${SESSIONS}/${session}/files?${query}`);
  request.setRequestHeader("X-CSRF-Token", csrf);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    bytesDone += event.loaded - each.sent;
    each.sent = event.loaded;
    if (event.loaded >= each.file.size) each.state = "checks";
    show(each);
    summarise();
  });
  request.addEventListener("loadend", async () => {
    requests.delete(request);
    const silent = !request.status && !stopped && each.tries < TRIES && !(await reachable());
    if (silent && !stopped) await later(each);
    else answered(each, request);
    running -= 1;
    pump();
  });
  request.send(each.file);
}

// Whether the service answers at all: else the file itself cannot be read any more, and waiting helps nobody.
async function reachable() {
  return (await fetch(HEALTH, { cache: "no-store" }).catch(() => null)) !== null;
}

// A network that is away for some seconds shall not fail thousands of files one after the other.
async function later(each) {
  unsent(each);
  show(each);
  tell("The service cannot be reached. Waiting for it …");
  await new Promise((done) => setTimeout(done, WAIT_MS));
  if (stopped) {
    fail(each, "broken off");
    finishView();
  } else {
    waiting.unshift(each);
  }
}

function answered(each, request) {
  const answer = request.response;
  csrf = request.getResponseHeader("X-CSRF-Token") || csrf;
  if (request.status === 200 && answer) {
    settle(each, answer.files);
  } else if (request.status === 429 && each.tries < TRIES) {
    unsent(each);
    waiting.unshift(each);
  } else if (request.status === 404) {
    session = null;
    fail(each, "the upload had ended, because nothing came for long; try it again");
  } else if (!stopped) {
    fail(each, (answer && answer.detail) || "the connection broke; try it again");
  } else {
    fail(each, "broken off");
  }
}

function unsent(each) {
  bytesDone -= each.sent;
  each.sent = 0;
  each.state = "waits";
}

function settle(each, results) {
  bytesDone += each.file.size - each.sent;
  each.sent = each.file.size;
  each.state = "done";
  each.results = results;
  totals.done += 1;
  for (const result of results) totals[result.verdict] += 1;
  show(each);
  summarise();
}

function fail(each, words) {
  unsent(each);
  each.state = "failed";
  totals.failed += 1;
  each.results = [refused(each, "failed", words)];
  show(each);
  summarise();
}

async function end() {
  const id = session;
  session = null;
  const failed = files.some((each) => each.state === "failed");
  try {
    // What failed may come again; without it the upload is not whole, and its studies wait for the rest.
    const answer = failed
      ? await fetch(`${SESSIONS}/${id}`, { method: "DELETE", headers: { "X-CSRF-Token": csrf } })
      : await window.vigil.post(`${SESSIONS}/${id}/end`, {});
    if (!answer.ok) throw new Error(await window.vigil.reason(answer));
  } catch (error) {
    window.vigil.toast(error.message || "The service cannot be reached.", "bad");
  }
  finishView();
}

function finishView() {
  $("stop").hidden = true;
  $("retry").hidden = !files.some((each) => each.state === "failed");
  $("next").hidden = !files.some((each) => each.results.some((result) => result.verdict !== "refused"));
  const lines = files.flatMap((each) => each.results.map((result) => [result.name, result.verdict, result.detail]));
  const quoted = (text) => `"${String(text).replaceAll('"', '""').replace(/^[=+@\t-]/, "'$&")}"`;
  const text = [["file", "result", "detail"], ...lines].map((line) => line.map(quoted).join(",")).join("\r\n");
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  $("table").href = address;
  $("table").hidden = false;
  summarise(true);
}

// The table shows what needs eyes first: what was refused or failed, then the newest.
function draw() {
  const rank = (each) => (each.state === "failed" || each.results.some((result) => result.verdict === "refused") ? 0 : 1);
  const chosen = [...files].sort((one, other) => rank(one) - rank(other)).slice(0, SHOWN);
  $("rows").replaceChildren(...chosen.map(row));
  const rest = files.length - chosen.length;
  $("more").hidden = !rest;
  $("more").textContent = `${rest} more files are not listed here; the saved table has them all.`;
  summarise();
}

function row(each) {
  if (!each.row) {
    const made = document.createElement("tr");
    const cells = [0, 1, 2, 3].map(() => made.insertCell());
    cells[0].textContent = window.vigil.visible(each.name);
    cells[1].textContent = size(each.file.size);
    cells[1].className = "number";
    const bar = document.createElement("progress");
    bar.max = Math.max(each.file.size, 1);
    bar.setAttribute("aria-label", `Progress of ${window.vigil.visible(each.name)}`);
    cells[2].append(bar);
    each.row = { made, bar, told: cells[3] };
    show(each);
  }
  return each.row.made;
}

const tones = { stored: "good", duplicate: "calm", refused: "bad" };

function show(each) {
  if (!each.row) return;
  const { bar, told } = each.row;
  bar.value = each.file.size ? each.sent : Number(each.state === "done");
  const words = { waits: "waits", sends: "is sent", checks: "is checked and stored", failed: "failed" };
  if (!each.results.length) {
    told.textContent = words[each.state];
    return;
  }
  const parts = [];
  for (const verdict of ["stored", "duplicate", "refused"]) {
    const count = each.results.filter((result) => result.verdict === verdict).length;
    if (count) parts.push(tag(each.results.length > 1 ? `${count} ${verdict}` : verdict, tones[verdict]), " ");
  }
  const reasons = each.results.filter((result) => result.detail);
  if (each.results.length === 1 && reasons.length) parts.push(reasons[0].detail);
  told.replaceChildren(...parts);
  if (each.results.length > 1 && reasons.length) told.append(list(reasons));
}

function tell(words) {
  $("summary").textContent = words;
}

function summarise(ended = false) {
  const now = Date.now();
  if (!ended && now - toldAt < OFTEN_MS) return;
  toldAt = now;
  const { done, ...counts } = totals;
  $("all").value = bytesAll ? bytesDone / bytesAll : 0;
  const words = Object.entries(counts).filter(([, count]) => count).map(([verdict, count]) => `${count} ${verdict}`);
  const where = ended ? `Done: ${done} of ${files.length} files` : `${done} of ${files.length} files, ${size(bytesDone)} of ${size(bytesAll)}`;
  tell(words.length ? `${where}. Images: ${words.join(", ")}.` : `${where}.`);
  if (ended) drawFailed();
}

function beginView() {
  toldAt = 0;
  $("stop").hidden = false;
  $("table").hidden = true;
  $("retry").hidden = true;
}

let drawing = false;
function drawFailed() {
  if (drawing) return;
  drawing = true;
  const chosen = files.filter((each) => each.state === "failed" || each.results.some((result) => result.verdict === "refused"));
  if (chosen.some((each) => !each.row)) draw();
  drawing = false;
}

// A zip is checked file by file after it has come: how far that is, the server tells.
setInterval(async () => {
  const checked = files.find((each) => each.state === "checks");
  if (!session || !checked) return;
  const answer = await fetch(`${SESSIONS}/${session}`).catch(() => null);
  if (!answer || !answer.ok || checked.state !== "checks" || !checked.row) return;
  const state = await answer.json();
  // The file may have ended while this was on its way: what became of it stands there then.
  if (checked.state !== "checks") return;
  checked.row.told.textContent = `is checked: ${state.stored + state.duplicate + state.refused} so far`;
}, POLL_MS);

$("stop").addEventListener("click", () => {
  stopped = true;
  for (const each of waiting.splice(0)) fail(each, "broken off");
  for (const request of requests) request.abort();
  const id = session;
  session = null;
  if (id) fetch(`${SESSIONS}/${id}`, { method: "DELETE", headers: { "X-CSRF-Token": csrf } }).catch(() => {});
  finishView();
});

$("retry").addEventListener("click", () => {
  stopped = false;
  for (const each of files.filter((one) => one.state === "failed")) {
    each.state = "waits";
    totals.failed -= 1;
    each.results = [];
    each.tries = 0;
    waiting.push(each);
    show(each);
  }
  beginView();
  summarise();
  pump();
});

for (const id of ["files", "folder"]) {
  $(id).addEventListener("change", (event) => {
    add([...event.target.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    event.target.value = "";
  });
}
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  dropped(event.dataTransfer.items);
});
// A file that misses the field would replace the page, and break everything off.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => {
  if (session) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  if (session) fetch(`${SESSIONS}/${session}`, { method: "DELETE", headers: { "X-CSRF-Token": csrf }, keepalive: true });
});

// The page of a study: its viewer, what leads into it, and the timeline while the study is on its way.
import { Viewer } from "./study-viewer.js";

const SOON_MS = 300;
const AGAIN_MS = 5000;
const root = document.getElementById("viewer");
let viewer = null;

if (root) {
  viewer = new Viewer(root);
  // Where an address names a place, as links from other pages do: #series-1-slice-12, counted from 1.
  const asked = /^#series-(\d+)-slice-(\d+)$/.exec(location.hash);
  viewer.open(asked ? asked[1] - 1 : Number(root.dataset.first), asked ? asked[2] - 1 : null);
  const show = (series, slice) => {
    viewer.open(series, slice);
    root.scrollIntoView({ block: "nearest" });
    viewer.frame.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a link in a tab of its own
    const link = event.target.closest("[data-go-series]");
    if (link) {
      event.preventDefault();
      show(Number(link.dataset.goSeries), Number(link.dataset.goSlice));
    }
    const series = event.target.closest(".series-button");
    if (series) {
      event.preventDefault();  // a link, where the list is one of another page
      show(Number(series.dataset.series), null);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.target.closest("input, textarea, select, dialog")) return;
    document.getElementById("viewer-keys").showModal();
    event.preventDefault();
  });
} else {
  for (const button of document.querySelectorAll(".series-button, [data-go-series]")) button.disabled = true;
}

const progress = () => document.getElementById("progress");
const isFinal = () => progress().dataset.final === "yes";
const say = (words) => {
  const live = document.getElementById("live");
  if (live.textContent !== words) live.textContent = words;
};

// The form for what readers say stands apart from the parts that change: what somebody has begun to write stays, and the
// form speaks of what was found since when it is sent.
function addFeedback(page, changed) {
  const there = document.getElementById("feedback");
  const made = page.getElementById("feedback");
  if (!made || (there && (!changed.includes("findings") || window.vigil.isFilledIn(there)))) return;
  const address = made.dataset.load;
  if (!there) document.getElementById("feedback-place").replaceChildren(document.adoptNode(made));
  window.vigil.swap("#feedback", address);
}

function followImages(page, changed) {
  if (!viewer) {
    // There is something to look at now, and nothing here that could be lost: no viewer, no form.
    if (page.getElementById("viewer") && !document.getElementById("feedback")) location.reload();
    return;
  }
  const [list, made] = [document.getElementById("viewer-series"), page.getElementById("viewer-series")];
  if (made && list.options.length !== made.options.length) {
    const chosen = list.value;
    list.replaceChildren(...made.children);
    list.value = chosen;
  }
  if (changed.some((id) => ["findings", "series"].includes(id))) viewer.refresh();
}

let loading = false;
let behind = false;

async function refresh() {
  if (loading) {
    behind = true;
    return;
  }
  loading = true;
  const found = await window.vigil.refresh("progress");
  loading = false;
  say(found ? (isFinal() ? "" : "Live") : "Not up to date: the service cannot show this study now. It is asked again.");
  if (found) {
    addFeedback(found.page, found.changed);
    followImages(found.page, found.changed);
  }
  if (behind) {
    behind = false;
    soon();
  }
}

let waiting;
function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, SOON_MS);
}

// Told of changes while the study is on its way and somebody looks; asks now and then as well: pauses end by themselves.
let source = null;
let seen = "";
function follow() {
  const wanted = !isFinal() && !document.hidden;
  if (wanted && (!source || source.readyState === EventSource.CLOSED)) {
    source = new EventSource("/events");
    source.addEventListener("turn", (event) => {
      if (event.data !== seen) soon();
      seen = event.data;
    });
  } else if (!wanted && source) {
    source.close();
    source = null;
  }
  if (wanted) soon();
}

follow();
setInterval(follow, AGAIN_MS);
document.addEventListener("visibilitychange", follow);

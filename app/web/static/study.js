// The page of a study: its viewer, what leads into it, and the timeline while the study is on its way.
import { Viewer } from "./study-viewer.js";

const AGAIN_MS = 2000;
const root = document.getElementById("viewer");

if (root) {
  const viewer = new Viewer(root);
  // Where an address names a place, as links from other pages do: #series-1-slice-12, counted from 1.
  const asked = /^#series-(\d+)-slice-(\d+)$/.exec(location.hash);
  viewer.open(asked ? asked[1] - 1 : Number(root.dataset.first), asked ? asked[2] - 1 : null);
  const show = (series, slice) => {
    viewer.open(series, slice);
    root.scrollIntoView({ block: "nearest" });
    viewer.frame.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-go-series]");
    if (link) {
      event.preventDefault();
      show(Number(link.dataset.goSeries), Number(link.dataset.goSlice));
    }
    const series = event.target.closest(".series-button");
    if (series) show(Number(series.dataset.series), null);
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

async function follow() {
  while (progress().dataset.final === "no") {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
    if (!document.hidden) await window.vigil.swap("#progress", location.pathname);
    if (progress().dataset.final === "yes") location.reload();
  }
}

follow();

// The worklist kept up to date: the server tells that something has changed, and the rows that differ change in place.
"use strict";
(() => {
  const AT_ONCE_MS = 300;
  const AGAIN_MS = 5000;
  const live = document.getElementById("live");
  const section = () => document.getElementById("worklist");

  const say = (words) => {
    if (live.textContent !== words) live.textContent = words;
  };

  const sayLive = (mark) => say(mark.endsWith(".silent") ? "Live. No worker answers." : "Live");

  // Rows keep their place under the eye and the keyboard's place in them; only what differs is touched.
  function merge(made) {
    const there = section();
    const body = there.querySelector("tbody");
    const fresh = made.querySelector("tbody");
    if (!body || !fresh) {
      there.replaceWith(document.adoptNode(made));
      return;
    }
    const wanted = [...fresh.rows];
    const keys = new Set(wanted.map((row) => row.id));
    const focused = document.activeElement?.closest?.("tr")?.id;
    for (const row of [...body.rows]) if (!keys.has(row.id)) row.remove();
    wanted.forEach((row, place) => {
      const old = document.getElementById(row.id);
      const differs = !old || !old.isEqualNode(row);
      const shown = differs ? document.adoptNode(row) : old;
      if (differs) shown.classList.add("fresh");
      if (differs && old) old.replaceWith(shown);
      if (body.rows[place] !== shown) body.insertBefore(shown, body.rows[place] || null);
      if (differs) setTimeout(() => shown.classList.remove("fresh"), 2500);
    });
    if (focused) document.getElementById(focused)?.querySelector("a")?.focus({ preventScroll: true });
    for (const part of [".notes", ".counts", ".turning", "caption"]) {
      const old = there.querySelector(part);
      const made_part = made.querySelector(part);
      if (old && made_part && !old.isEqualNode(made_part) && !old.contains(document.activeElement)) {
        old.replaceWith(document.adoptNode(made_part));
      }
    }
    there.dataset.turn = made.dataset.turn;
  }

  let loading = false;
  let behind = false;

  async function refresh() {
    if (loading) {
      behind = true;
      return;
    }
    loading = true;
    const address = location.pathname + location.search;
    try {
      const answer = await fetch(address, { headers: { "X-Fragment": "worklist", Accept: "text/html" } });
      if (answer.redirected || answer.status === 401) {
        location.reload();
        return;
      }
      const made = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("worklist");
      // Where the reader has gone on to another filter meanwhile, that page is newer than this answer.
      if (answer.ok && made && address === location.pathname + location.search) merge(made);
      if (answer.ok) {
        sayLive(section().dataset.turn);
      } else {
        say("Not up to date: the service cannot show the worklist now. It is asked again.");
        behind = true;
      }
    } catch {
      say("Not up to date: the service cannot be reached. It is asked again.");
      behind = true;
    } finally {
      loading = false;
      if (behind) {
        behind = false;
        setTimeout(refresh, AGAIN_MS / 5);
      }
    }
  }

  let waiting;
  function listen() {
    const source = new EventSource("/events");
    source.addEventListener("turn", (event) => {
      sayLive(event.data);
      if (event.data === section().dataset.turn) return;
      clearTimeout(waiting);
      waiting = setTimeout(refresh, AT_ONCE_MS);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) {
        say("Not up to date: the service cannot be reached. It is asked again.");
        setTimeout(listen, AGAIN_MS);
      }
    });
  }

  // A count that is clicked is a filter: the form shows it too.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-choose]");
    if (!link) return;
    const [name, value = ""] = link.dataset.choose.split("=");
    document.getElementById(name).value = value;
  });

  listen();
})();

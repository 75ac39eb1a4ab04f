// What every page shares: parts that change in place, questions before deeds, short messages, the theme.
//
// A link or form with data-swap="#id" loads its address behind the scenes and puts the element of that id from the
// answer in the place of the one that is there. data-push keeps the address in the browser's history. A form with
// data-live is sent while somebody writes. data-confirm asks before. Without scripts all of them are plain links and forms.
"use strict";
(() => {
  const FRAGMENT = "X-Fragment";
  const WRITING_MS = 250;
  const TOAST_MS = 8000;

  const CSRF = "X-CSRF-Token";
  const csrf = () => document.querySelector('meta[name="csrf"]').content;

  // A page that was too old gets a new token with the refusal, and all that was written into it stays.
  function renewed(answer) {
    const token = answer.status === 403 && answer.headers.get(CSRF);
    if (!token) return false;
    document.querySelector('meta[name="csrf"]').content = token;
    for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = token;
    return true;
  }

  function toast(words, tone = "calm") {
    const told = document.createElement("p");
    told.className = `toast ${tone}`;
    told.textContent = visible(words);
    document.getElementById("toasts").append(told);
    setTimeout(() => told.remove(), TOAST_MS);
  }

  // As `app.words.visible`: names of files hold what nobody sees, or what turns the text around it, too.
  const HIDDEN = new RegExp(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f" +
    "\\u2028-\\u202e\\u2060-\\u206f\\u2800\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff\\u{1bca0}-\\u{1bca3}" +
    "\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]", "u");
  const JOINER = /[\u200c\u200d]/;
  const JOINED = /[\p{Lo}\p{Mn}\p{Mc}]/u;
  const marked = (each) => `[U+${each.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`;
  const visible = (text) => [...String(text)].map((each, at, all) => {
    const joins = JOINER.test(each) && JOINED.test(all[at - 1] ?? "") && JOINED.test(all[at + 1] ?? "");
    return HIDDEN.test(each) && !joins ? marked(each) : each;
  }).join("");

  // What went wrong, in the server's own words where it gave some.
  async function reason(answer) {
    const kind = answer.headers.get("content-type") || "";
    if (kind.includes("json")) {
      const said = await answer.json().catch(() => ({}));
      return said.detail || said.title || `The service answered ${answer.status}.`;
    }
    const text = new DOMParser().parseFromString(await answer.text(), "text/html");
    const words = text.querySelector("main p");
    return words ? words.textContent : `The service answered ${answer.status}.`;
  }

  function replace(selector, text) {
    const there = document.querySelector(selector);
    const made = new DOMParser().parseFromString(text, "text/html").querySelector(selector);
    if (!there || !made) return false;
    const focused = document.activeElement;
    const id = focused && there.contains(focused) ? focused.id : "";
    there.replaceWith(document.adoptNode(made));
    if (id) document.getElementById(id)?.focus();
    document.dispatchEvent(new CustomEvent("vigil:swapped", { detail: { selector } }));
    return true;
  }

  const running = new Map();

  async function swap(selector, address, options = {}) {
    running.get(selector)?.abort();
    const controller = new AbortController();
    running.set(selector, controller);
    const headers = { [FRAGMENT]: selector.replace("#", ""), Accept: "text/html", ...options.headers };
    try {
      const answer = await fetch(address, { ...options, headers, signal: controller.signal });
      if (renewed(answer)) {
        toast("This page was too old: nothing was done. What you wrote is still here; try again.", "bad");
        return null;
      }
      if (answer.status === 401 && options.method !== "POST") {
        location.reload();  // which leads to the log-in, and back here
        return null;
      }
      if (answer.status === 401) {
        toast("Your log-in has ended: nothing was done. Log in again in another tab; what you wrote is still here.", "bad");
        return null;
      }
      if (!answer.ok) {
        toast(await reason(answer), "bad");
        return null;
      }
      if (!replace(selector, await answer.text())) location.assign(answer.url);
      return answer;
    } catch (error) {
      if (error.name !== "AbortError") toast("The service cannot be reached. Nothing was changed here.", "bad");
      return null;
    } finally {
      if (running.get(selector) === controller) running.delete(selector);
    }
  }

  // Parts of a page that follow what happens: data-part, each with an id. What differs is exchanged; what somebody is
  // filling in, or has just asked for, is left for the next time. The keyboard's place and what is unfolded stay.
  const JUST_ASKED_MS = 30000;
  const STOPS = "a[href], button, summary, input, select, textarea, [tabindex]";
  const shown = new Map();
  const asked = new Map();
  const partsOf = (page) => [...page.querySelectorAll("[data-part]")];
  const serializer = new XMLSerializer();
  const plain = (part) => serializer.serializeToString(part).replace(/name="csrf" value="[^"]*"/g, "");
  for (const part of partsOf(document)) shown.set(part.id, plain(part));
  document.addEventListener("vigil:swapped", (event) => asked.set(event.detail.selector.slice(1), Date.now()));

  const isChosen = (field) => {
    if (field.matches("select")) {
      const first = [...field.options].findIndex((each) => each.defaultSelected);
      return field.selectedIndex !== Math.max(first, 0);
    }
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  };
  const isFilledIn = (part) => {
    const fields = [...part.querySelectorAll("input, textarea, select")];
    return fields.some((field) => isChosen(field) || (field === document.activeElement && !field.matches("[type=hidden]")));
  };

  function keepPlaces(there, made) {
    const [old, fresh] = [there, made].map((part) => [...part.querySelectorAll("details")]);
    if (old.length === fresh.length) old.forEach((each, at) => { fresh[at].open = each.open; });
    // What was said once, after a form, stays until the page is loaded again.
    const said = there.querySelector("[data-notices]");
    if (said?.childElementCount) made.querySelector("[data-notices]")?.replaceWith(said);
    // A list that was opened in the place of its link (see `show_all`) is not folded up again.
    for (const list of there.querySelectorAll("[id^=all-]")) {
      if (asked.has(list.id)) made.querySelector(`#${list.id}`)?.replaceWith(list);
    }
  }

  function exchange(made) {
    const there = document.getElementById(made.id);
    const text = plain(made);
    const waits = Date.now() - (asked.get(made.id) ?? -JUST_ASKED_MS) < JUST_ASKED_MS;
    if (!there || shown.get(made.id) === text || waits || isFilledIn(there)) return false;
    const place = [...there.querySelectorAll(STOPS)].indexOf(document.activeElement);
    const id = place < 0 ? "" : document.activeElement.id;
    keepPlaces(there, made);
    there.replaceWith(document.adoptNode(made));
    shown.set(made.id, text);
    const stop = place < 0 ? null : document.getElementById(id) || made.querySelectorAll(STOPS)[place];
    stop?.focus({ preventScroll: true });
    return true;
  }

  // The page as it is now and the ids of the parts that changed; null where the service did not give it.
  async function refresh(fragment) {
    const headers = { [FRAGMENT]: fragment, Accept: "text/html" };
    const answer = await fetch(location.pathname + location.search, { headers }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const changed = partsOf(page).map((part) => [part.id, exchange(part)]);
    return { page, changed: changed.filter(([, differs]) => differs).map(([id]) => id) };
  }

  // Send fields as a form; with what protects against forged requests.
  async function post(address, fields) {
    const ask = () => fetch(address, {
      method: "POST",
      headers: { [CSRF]: csrf(), Accept: "application/json" },
      body: new URLSearchParams(fields),
    });
    const answer = await ask();
    return renewed(answer) ? ask() : answer;
  }

  function addressOf(form) {
    const filled = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(filled).toString();
    return form.getAttribute("action").split("?")[0] + (query ? `?${query}` : "");
  }

  const here = () => location.pathname + location.search;
  let at = here();

  async function show(element, address, options) {
    const answer = await swap(element.dataset.swap, address, options);
    if (!answer || !("push" in element.dataset)) return;
    history.pushState({ swap: element.dataset.swap }, "", address);
    at = here();
  }

  document.addEventListener("click", (event) => {
    const asks = event.target.closest("button[data-confirm], a[data-confirm]");
    if (asks && !window.confirm(asks.dataset.confirm)) {
      event.preventDefault();
      return;
    }
    const link = event.target.closest("a[data-swap]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link, link.href);
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.swap || event.defaultPrevented) return;
    event.preventDefault();
    if (form.method === "post") {
      show(form, form.action, { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)) });
    } else {
      show(form, addressOf(form));
    }
  });

  let written;
  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (!form || !("live" in form.dataset)) return;
    clearTimeout(written);
    const wait = event.target.matches("input[type=search], input[type=text]") ? WRITING_MS : 0;
    written = setTimeout(() => form.requestSubmit(), wait);
  });

  // Back to what was shown at another address. A place on the same page (#main, a slice) needs no other page.
  window.addEventListener("popstate", () => { if (here() !== at) location.reload(); });

  const theme = document.querySelector("[data-theme-switch]");
  if (theme) {
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const light = document.documentElement.dataset.theme !== "light";
      document.documentElement.dataset.theme = light ? "light" : "dark";
      theme.textContent = light ? "Dark" : "Light";
      document.cookie = `vigil_theme=${light ? "light" : "dark"};path=/;max-age=31536000;samesite=strict`;
    });
  }

  window.vigil = { csrf, renewed, visible, toast, reason, swap, post, refresh, isFilledIn };
})();

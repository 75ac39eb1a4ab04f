// The image stack of a study: scroll, window, zoom, what is drawn; everything by mouse and by keyboard.
import { PRESETS, paint } from "./study-window.js";
import { Slices } from "./study-slices.js";
import { HeatMaps } from "./study-heat.js";
import { cornerOf, saidOf } from "./study-words.js";
import { drawCorner, drawEdges, drawMarks, drawScale, drawStrip, placement, toImage } from "./study-drawing.js";

const byId = (id) => document.getElementById(id);
const LAYER_KEYS = { o: "outline", b: "detection", a: "attention", g: "looked", m: "centre", h: "heat" };
const DIGITS = 1;
const NO_DRAG = 4;

// Words and lines grow with those of the page, which grow with the screen.
const textUnit = () =>
  ((window.devicePixelRatio || 1) * parseFloat(getComputedStyle(document.documentElement).fontSize)) / 16;

export class Viewer {
  constructor(root) {
    this.root = root;
    this.frame = byId("viewer-frame");
    this.canvas = byId("viewer-canvas");
    this.context = this.canvas.getContext("2d");
    this.buffer = document.createElement("canvas");
    this.layers = {};
    for (const button of root.querySelectorAll("[data-layer]")) {
      this.layers[button.dataset.layer] = button.getAttribute("aria-pressed") === "true";
    }
    this.series = null;
    this.index = 0;
    this.view = { zoom: 1, x: 0, y: 0 };
    this.window = null;
    this.inverted = false;
    this.#listen();
  }

  // Show a series, at a slice where one is given.
  async open(number, index = null) {
    if (this.series?.number === number) {
      if (index !== null) this.go(index);
      return;
    }
    this.slices?.stop();
    this.slice = null;
    const address = this.root.dataset.address + number;
    const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!answer || !answer.ok) {
      this.#fail(answer ? await window.vigil.reason(answer) : "The service cannot be reached.");
      return;
    }
    this.series = await answer.json();
    this.slices = new Slices(address);
    this.#sortMarks();
    const [down, across] = this.series.spacing_mm || [1, 1];
    this.heats = this.#heatsOf(address);
    this.aspect = [across / Math.min(down, across), down / Math.min(down, across)];
    this.view = { zoom: 1, x: 0, y: 0 };
    this.window = this.first = null;
    byId("viewer-series").value = String(number);
    const slider = byId("viewer-slider");
    slider.max = this.series.slices;
    slider.disabled = this.series.slices < 2;
    byId("viewer-certain").disabled = this.#certain() === null;
    this.#tellProblems();
    this.go(index ?? this.series.start);
  }

  // Take in what was found, or came, since the series was opened; slice, zoom and window stay.
  async refresh() {
    const of = this.series;
    if (!of) return;
    const answer = await fetch(this.root.dataset.address + of.number, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!answer || !answer.ok || this.series !== of) return;
    const made = await answer.json();
    const looked = JSON.stringify(of.heats) !== JSON.stringify(made.heats);
    if (made.slices !== of.slices) {
      this.series = null;
      await this.open(of.number, this.index);
      return;
    }
    Object.assign(of, made);
    this.#sortMarks();
    if (looked) this.heats = this.#heatsOf(this.root.dataset.address + of.number);
    byId("viewer-certain").disabled = this.#certain() === null;
    this.#tellProblems();
    if (!this.slice) return;
    this.draw();
    this.#say();
  }

  #sortMarks() {
    this.marks = new Map();
    for (const mark of this.series.marks) this.marks.set(mark.slice, [...(this.marks.get(mark.slice) || []), mark]);
  }

  #heatsOf(address) {
    const mine = this.series, current = (deed) => this.series === mine && deed();
    return new HeatMaps(address, mine.heats, {
      button: byId("viewer-heat"),
      list: byId("viewer-heat-of"),
      changed: () => current(() => { this.draw(); this.#say(); }),
      failed: (words) => current(() => { mine.problems.push(words); this.#tellProblems(); }),
    });
  }

  // The heat map of what is on the screen, where it is to be seen.
  get #heat() {
    return this.layers.looked ? this.heats.of(this.index) : undefined;
  }

  async go(index) {
    if (!this.series) return;
    this.index = Math.min(Math.max(Math.round(index), 0), this.series.slices - 1);
    byId("viewer-slider").value = this.index + 1;
    const wanted = this.index, of = this.series;
    try {
      const slice = this.slices.here(wanted) || (await this.slices.get(wanted));
      if (this.index !== wanted || this.series !== of) return;
      this.slice = slice;
      byId("viewer-message").hidden = true;
    } catch (error) {
      if (error.name === "AbortError" || this.index !== wanted || this.series !== of) return;
      this.slice = null;
      this.#fail(error.message);
      this.#say();
      return;
    }
    if (!this.window) this.#firstWindow();
    this.#repaint();
    this.slices.around(wanted, this.series.slices);
  }

  #fail(words) {
    const message = byId("viewer-message");
    message.textContent = words;
    message.hidden = false;
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.root.dataset.shown = "";
    byId("viewer-said").textContent = words;
  }

  #firstWindow() {
    const { low, high, inverted } = this.slice;
    const own = { centre: (low + high) / 2, width: Math.max(high - low, 1) };
    // A window of the header speaks of values that are not turned.
    const said = this.series.window && !inverted ? { centre: this.series.window[0], width: this.series.window[1] } : null;
    this.choices = [...(said ? [{ name: "As sent", ...said }] : []), { name: "Whole range", ...own }];
    if (this.slice.units === "HU") this.choices.push(...PRESETS);
    const list = byId("viewer-preset");
    list.replaceChildren(...this.choices.map((each, at) => new Option(`${at + 1} ${each.name}`, String(at))));
    list.append(new Option("by hand", "hand"));
    this.first = this.choices[0];
    this.#preset(0);
  }

  #preset(at) {
    const chosen = this.choices?.[at];
    if (!chosen) return;
    this.window = { centre: chosen.centre, width: chosen.width };
    byId("viewer-preset").value = String(at);
    this.#repaint();
  }

  #byHand(dx, dy) {
    if (!this.window) return;
    const step = Math.max(this.first.width, 2) / 300;
    this.window = {
      centre: this.window.centre + dy * step,
      width: Math.max(this.window.width + dx * step, this.slice?.values instanceof Float32Array ? 1e-3 : 1),
    };
    byId("viewer-preset").value = "hand";
    this.#repaint();
  }

  #repaint() {
    if (!this.slice) return;
    const { rows, columns, values } = this.slice;
    if (this.buffer.width !== columns || this.buffer.height !== rows) [this.buffer.width, this.buffer.height] = [columns, rows];
    const context = this.buffer.getContext("2d");
    const image = context.createImageData(columns, rows);
    paint(values, this.window, this.inverted, new Int32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    this.draw();
    this.#say();
  }

  get place() {
    const { rows, columns } = this.slice;
    return placement(this.canvas, { rows, columns, aspect: this.aspect }, this.view);
  }

  draw() {
    const density = window.devicePixelRatio || 1;
    const width = Math.round(this.frame.clientWidth * density), height = Math.round(this.frame.clientHeight * density);
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const context = this.context;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (!this.slice) return;
    const place = this.place;
    context.imageSmoothingEnabled = Math.min(place.sx, place.sy) < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.buffer, place.x, place.y, this.slice.columns * place.sx, this.slice.rows * place.sy);
    const drawn = this.marks.get(this.index) || [], unit = textUnit();
    const heat = this.#heat ? this.heats.draw(context, place, this.slice, this.#heat, unit) : "";
    drawMarks(context, place, drawn, this.layers, unit);
    drawEdges(context, this.canvas, this.series.edges, unit);
    drawScale(context, this.canvas, place, this.series, unit);
    drawCorner(context, this.canvas, cornerOf(this), unit);
    this.#strip();
    // For tests, and for whoever drives the page: what stands on the screen.
    Object.assign(this.root.dataset, {
      shown: String(this.index),
      centre: this.window.centre.toFixed(DIGITS),
      width: this.window.width.toFixed(DIGITS),
      zoom: this.view.zoom.toFixed(3),
      inverted: String(this.inverted),
      heat,
      marks: String(drawn.filter((mark) => this.layers[mark.layer]).length),
    });
  }

  #strip() {
    const strip = byId("viewer-strip"), scores = this.series.scores[0];
    strip.hidden = !scores || this.series.slices < 2 || !this.layers.heat;
    if (!strip.hidden) drawStrip(strip, scores, this.index, new Set(this.marks.keys()));
  }

  #say() {
    if (!this.series) return;
    const drawn = (this.marks.get(this.index) || []).filter((mark) => this.layers[mark.layer]);
    const said = saidOf(this, drawn, this.#heat !== undefined);
    byId("viewer-said").textContent = said;
    this.canvas.setAttribute("aria-label", said);
  }

  #tellProblems() {
    const list = byId("viewer-problems");
    list.replaceChildren(...this.series.problems.map((words) => Object.assign(document.createElement("li"), { textContent: words })));
    list.hidden = !this.series.problems.length;
  }

  // The most certain slice of the main finding that is scored here; null where none is.
  #certain() {
    return this.series?.scores[0]?.top ?? null;
  }

  #drawnNext(step) {
    const places = [...this.marks.keys()].sort((one, other) => one - other);
    const found = step > 0 ? places.find((at) => at > this.index) : places.reverse().find((at) => at < this.index);
    if (found !== undefined) this.go(found);
  }

  #layer(name) {
    const button = this.root.querySelector(`[data-layer="${name}"]`);
    if (button.hidden) return;
    this.layers[name] = !this.layers[name];
    button.setAttribute("aria-pressed", String(this.layers[name]));
    this.draw();
    this.#say();
  }

  #invert() {
    this.inverted = !this.inverted;
    byId("viewer-invert").setAttribute("aria-pressed", String(this.inverted));
    this.#repaint();
  }

  #zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    if (!this.slice) return;
    const [column, row] = toImage(this.place, x, y);
    this.view.zoom = Math.min(Math.max(this.view.zoom * factor, 0.2), 40);
    const after = this.place;
    this.view.x += x - (after.x + column * after.sx);
    this.view.y += y - (after.y + row * after.sy);
    this.draw();
  }

  #move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.draw();
  }

  #reset() {
    this.view = { zoom: 1, x: 0, y: 0 };
    this.inverted = false;
    byId("viewer-invert").setAttribute("aria-pressed", "false");
    this.#preset(0);
  }

  #key(event) {
    if (event.target.matches("select, input")) return;
    const { key } = event, step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    let done = true;
    if (step && event.shiftKey) this.#byHand(step[0] * 10, -step[1] * 10);
    else if (step && event.altKey) this.#move(step[0] * 40, step[1] * 40);
    else if (!plain) done = false;
    else if (step) this.go(this.index + (step[0] || step[1]));
    else if (key === "PageUp" || key === "PageDown") this.go(this.index + (key === "PageUp" ? -10 : 10));
    else if (key === "Home" || key === "End") this.go(key === "Home" ? 0 : Infinity);
    else if (key === "c") this.#toCertain();
    else if (key === "n" || key === "p") this.#drawnNext(key === "n" ? 1 : -1);
    else if (key === "i") this.#invert();
    else if (key in LAYER_KEYS) this.#layer(LAYER_KEYS[key]);
    else if (key === "+" || key === "=") this.#zoom(1.25);
    else if (key === "-") this.#zoom(0.8);
    else if (key === "0") this.#reset();
    else if (/^[1-8]$/.test(key)) this.#preset(Number(key) - 1);
    else if (key === "?") byId("viewer-keys").showModal();
    else done = false;
    if (done) event.preventDefault();
  }

  #toCertain() {
    const top = this.#certain();
    if (top !== null) this.go(top);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect(), unit = this.canvas.width / box.width;
    return [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
  }

  #hover(event) {
    if (!this.slice) return;
    const [column, row] = toImage(this.place, ...this.#at(event)).map(Math.floor);
    const inside = column >= 0 && row >= 0 && column < this.slice.columns && row < this.slice.rows;
    const value = inside ? this.slice.values[row * this.slice.columns + column] : undefined;
    this.value = inside ? `${Number.isInteger(value) ? value : value.toFixed(2)}${this.slice.units === "HU" ? " HU" : ""} at ${column + 1}, ${row + 1}` : undefined;
    this.draw();
  }

  #drag(event) {
    this.frame.focus({ preventScroll: true });
    this.frame.setPointerCapture(event.pointerId);
    const moves = event.button === 2 || event.button === 1 || event.ctrlKey;
    let [x, y] = this.#at(event), moved = 0;
    const move = (next) => {
      const [nx, ny] = this.#at(next);
      moved += Math.abs(nx - x) + Math.abs(ny - y);
      if (moves) this.#move(nx - x, ny - y);
      else this.#byHand((nx - x) / (window.devicePixelRatio || 1), -(ny - y) / (window.devicePixelRatio || 1));
      [x, y] = [nx, ny];
    };
    const stop = (last) => {
      if (last.type === "pointerup" && !event.button && moved < NO_DRAG) this.#point(last);
      this.frame.removeEventListener("pointermove", move);
      this.frame.removeEventListener("pointerup", stop);
      this.frame.removeEventListener("pointercancel", stop);
    };
    this.frame.addEventListener("pointermove", move);
    this.frame.addEventListener("pointerup", stop);
    this.frame.addEventListener("pointercancel", stop);
  }

  // A click is a place, which the feedback forms take over where they ask for one.
  #point(event) {
    if (!this.slice) return;
    const [column, row] = toImage(this.place, ...this.#at(event)).map((value) => Math.round(value * 10) / 10);
    if (column < 0 || row < 0 || column > this.slice.columns || row > this.slice.rows) return;
    const [sop_instance_uid, frame] = this.series.sources[this.index];
    document.dispatchEvent(new CustomEvent("vigil:point", { detail: { sop_instance_uid, frame, column, row } }));
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) this.#zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, ...this.#at(event));
    else this.go(this.index + Math.sign(event.deltaY));
  }

  #listen() {
    const on = (id, what, deed) => byId(id).addEventListener(what, deed);
    this.frame.addEventListener("keydown", (event) => this.#key(event));
    this.frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.#drag(event));
    this.frame.addEventListener("pointermove", (event) => this.#hover(event));
    this.frame.addEventListener("pointerleave", () => { this.value = undefined; this.draw(); });
    this.frame.addEventListener("contextmenu", (event) => event.preventDefault());
    this.frame.addEventListener("dblclick", () => this.#reset());
    on("viewer-series", "change", (event) => this.open(Number(event.target.value)));
    on("viewer-preset", "change", (event) => event.target.value !== "hand" && this.#preset(Number(event.target.value)));
    on("viewer-heat-of", "change", () => { this.draw(); this.#say(); });
    on("viewer-slider", "input", (event) => this.go(event.target.value - 1));
    on("viewer-invert", "click", () => this.#invert());
    on("viewer-certain", "click", () => this.#toCertain());
    on("viewer-smaller", "click", () => this.#zoom(0.8));
    on("viewer-larger", "click", () => this.#zoom(1.25));
    on("viewer-reset", "click", () => this.#reset());
    on("viewer-help", "click", () => byId("viewer-keys").showModal());
    on("viewer-strip", "click", (event) => {
      const box = event.target.getBoundingClientRect();
      this.go(Math.floor(((event.clientX - box.left) / box.width) * this.series.slices));
    });
    for (const button of this.root.querySelectorAll("[data-layer]")) {
      button.addEventListener("click", () => this.#layer(button.dataset.layer));
    }
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }
}

// Slices from the server, the latest ones kept: raw numbers, and headers that say what they are.

const MOST_BYTES = 256 * 1024 * 1024;
const TYPES = { int16: Int16Array, uint16: Uint16Array, float32: Float32Array };

async function load(address, signal) {
  const answer = await fetch(address, { signal, headers: { Accept: "application/octet-stream" } });
  if (!answer.ok) throw new Error(await window.vigil.reason(answer));
  const told = (name) => answer.headers.get(`Vigil-${name}`);
  if (!(told("Kind") in TYPES)) throw new Error("The service answered with something that is no image. Log in again.");
  const values = new TYPES[told("Kind")](await answer.arrayBuffer());
  const [rows, columns] = [Number(told("Rows")), Number(told("Columns"))];
  if (values.length !== rows * columns) throw new Error("The image did not arrive whole. Try again.");
  return {
    values, rows, columns, units: told("Units"), inverted: told("Inverted") === "yes",
    low: Number(told("Low")), high: Number(told("High")),
  };
}

export class Slices {
  #kept = new Map();
  #bytes = 0;
  #loading = new Map();

  constructor(address) {
    this.address = address;
  }

  // A slice that is here already; undefined for any other.
  here(index) {
    return this.#kept.get(index);
  }

  async get(index) {
    const kept = this.#kept.get(index);
    if (kept) {
      this.#kept.delete(index);
      this.#kept.set(index, kept);
      return kept;
    }
    if (!this.#loading.has(index)) {
      const controller = new AbortController();
      const made = load(`${this.address}/slices/${index}`, controller.signal)
        .then((slice) => this.#keep(index, slice))
        .finally(() => this.#loading.delete(index));
      this.#loading.set(index, { made, controller });
    }
    return this.#loading.get(index).made;
  }

  // Have neighbours ready; what is far from here and not yet loaded is not wanted any more.
  around(index, count) {
    for (const [other, { controller }] of this.#loading) if (Math.abs(other - index) > 4) controller.abort();
    for (const near of [index + 1, index - 1, index + 2]) {
      if (near >= 0 && near < count && !this.#kept.has(near)) this.get(near).catch(() => {});
    }
  }

  stop() {
    for (const { controller } of this.#loading.values()) controller.abort();
  }

  #keep(index, slice) {
    this.#kept.set(index, slice);
    this.#bytes += slice.values.byteLength;
    for (const [other, old] of this.#kept) {
      if (this.#bytes <= MOST_BYTES || other === index) break;
      this.#kept.delete(other);
      this.#bytes -= old.values.byteLength;
    }
    return slice;
  }
}

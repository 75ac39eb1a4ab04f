// Where a network looked: grey pictures from the server, drawn over the image as a warm haze. Lightness rises steadily
// with the value, so that it can be read without seeing colours; what is cold leaves the image as it is.
import { written } from "./study-drawing.js";

export const LOOKED = ["where the network looked (Grad-CAM);", "no outline of a finding"];
const STOPS = [[84, 16, 92], [178, 38, 70], [240, 112, 28], [255, 226, 128]];
const MOST_OPAQUE = 0.62;
const [CLEAR_UNTIL, DENSE_FROM] = [0.08, 0.6];

// Colour of a value from 0 to 1: red, green, blue, opacity, each up to 255.
export function heatColour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1), from = Math.min(Math.floor(at), STOPS.length - 2);
  const mixed = STOPS[from].map((value, channel) => Math.round(value + (at - from) * (STOPS[from + 1][channel] - value)));
  const dense = Math.min(Math.max((share - CLEAR_UNTIL) / (DENSE_FROM - CLEAR_UNTIL), 0), 1);
  return [...mixed, Math.round(255 * MOST_OPAQUE * dense * dense * (3 - 2 * dense))];
}

const COLOURS = Array.from({ length: 256 }, (_, value) => heatColour(value / 255));

async function load(address) {
  const answer = await fetch(address, { headers: { Accept: "image/png" } }).catch(() => {
    throw new Error("the service cannot be reached; load the page again");
  });
  if (!answer.ok) throw new Error(await window.vigil.reason(answer));
  const picture = await createImageBitmap(await answer.blob()).catch(() => {
    throw new Error("its picture is damaged; analyse the study again");
  });
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < image.data.length; at += 4) image.data.set(COLOURS[image.data[at]], at);
  context.putImageData(image, 0, 0);
  return canvas;
}

// The heat maps of one series. `button` and `list` are shown as far as there is something to choose; `changed` is called
// when there is something else to draw, `failed` with why there is not.
export class HeatMaps {
  #kept = new Map();

  constructor(address, maps, { button, list, changed, failed }) {
    Object.assign(this, { address, maps, list, changed, failed });
    const kinds = new Map(maps.map((map) => [`${map.bundle} ${map.finding}`, map]));
    const several = new Set(maps.map((map) => map.bundle)).size > 1;
    list.replaceChildren(...[...kinds].map(([kind, map]) =>
      new Option(map.finding.replaceAll("_", " ") + (several ? `, ${map.bundle}` : ""), kind)));
    button.hidden = !maps.length;
    list.hidden = kinds.size < 2;
  }

  // The heat map of the chosen finding on a slice; undefined where there is none.
  of(slice) {
    return this.maps.find((map) => map.slice === slice && `${map.bundle} ${map.finding}` === this.list.value);
  }

  // Draw over a slice of this size what is here, or have it loaded; returns the finding that was drawn, or "".
  draw(context, place, { rows, columns }, map, unit) {
    const picture = this.#kept.get(map.name);
    if (picture === undefined) {
      this.#kept.set(map.name, null);
      load(`${this.address}/heat/${map.name}`).then(
        (canvas) => { this.#kept.set(map.name, canvas); this.changed(); },
        (error) => this.failed(`The heat map cannot be shown: ${error.message}`),
      );
    }
    if (!picture) return "";
    context.save();
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, place.x, place.y, columns * place.sx, rows * place.sy);
    context.restore();
    drawLegend(context, unit);
    return map.finding;
  }
}

function drawLegend(context, unit) {
  const right = context.canvas.width - 8 * unit, wide = 120 * unit, top = 46 * unit, high = 8 * unit;
  context.textAlign = "right";
  context.textBaseline = "top";
  LOOKED.forEach((line, at) => written(context, line, right, (8 + 17 * at) * unit, "#ffd9a0", 13 * unit));
  context.fillStyle = "#000";
  context.fillRect(right - wide, top, wide, high);
  const colours = context.createLinearGradient(right - wide, 0, right, 0);
  for (let step = 0; step <= 16; step++) {
    const [red, green, blue, opacity] = heatColour(step / 16);
    colours.addColorStop(step / 16, `rgb(${red} ${green} ${blue} / ${opacity / 255 / MOST_OPAQUE})`);
  }
  context.fillStyle = colours;
  context.fillRect(right - wide, top, wide, high);
  written(context, "more", right, top + 11 * unit, "#ffd9a0", 11 * unit);
  context.textAlign = "left";
  written(context, "less", right - wide, top + 11 * unit, "#ffd9a0", 11 * unit);
}

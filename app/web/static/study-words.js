// What stands in the corner of an image, and what is said of it to who does not see it.
import { LOOKED } from "./study-heat.js";

// Lines for the corner: slice, position, window, and the value below the pointer.
export function cornerOf({ index, series, slice, window, value }) {
  const lines = [`${index + 1} / ${series.slices}`];
  const position = series.positions_mm[index];
  if (position !== undefined) lines.push(`${position.toFixed(1)} mm${series.between_mm ? `, every ${series.between_mm.toFixed(1)} mm` : ""}`);
  lines.push(`C ${window.centre.toFixed(0)}  W ${window.width.toFixed(0)}${slice.units === "HU" ? " HU" : ""}`);
  if (value !== undefined) lines.push(value);
  return lines;
}

// The slice in words: its scores, what is drawn on it, its window.
export function saidOf({ index, series, slice, window }, drawn, heat) {
  const words = [`${series.slices > 1 ? "Slice" : "Image"} ${index + 1} of ${series.slices}`];
  for (const scores of series.scores.slice(0, 3)) {
    const value = scores.values[index];
    if (value !== null) words.push(`${scores.finding.replaceAll("_", " ")} ${(Math.floor(1000 * value) / 10).toFixed(1)} %`);
  }
  if (drawn.length) words.push(drawn.map((mark) => mark.label).join(", "));
  if (heat) words.push(`heat map: ${LOOKED.join(" ")}`);
  if (slice) words.push(`window ${window.centre.toFixed(0)} / ${window.width.toFixed(0)}`);
  return words.join("; ");
}

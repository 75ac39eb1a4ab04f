// What is drawn over a slice, in pixels of the screen: marks, letters of the patient's directions, a scale.

const COLOURS = { outline: "#ffe14d", detection: "#ffe14d", attention: "#59d8ff", centre: "#ff9df2" };
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const EDGE = 8;

// How an image lies on the canvas: `scale` pixels of the canvas for one of the image, along columns and rows.
export function placement(size, image, view) {
  const across = image.columns * image.aspect[0], down = image.rows * image.aspect[1];
  const scale = Math.min(size.width / across, size.height / down) * view.zoom;
  const [sx, sy] = [scale * image.aspect[0], scale * image.aspect[1]];
  return {
    sx, sy,
    x: size.width / 2 + view.x - (image.columns * sx) / 2,
    y: size.height / 2 + view.y - (image.rows * sy) / 2,
  };
}

export const toScreen = (place, column, row) => [place.x + column * place.sx, place.y + row * place.sy];
export const toImage = (place, x, y) => [(x - place.x) / place.sx, (y - place.y) / place.sy];

export function written(context, words, x, y, colour, size) {
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.lineWidth = size / 4;
  context.lineJoin = "round";
  context.strokeStyle = "rgb(0 0 0 / .85)";
  context.strokeText(words, x, y);
  context.fillStyle = colour;
  context.fillText(words, x, y);
}

export function drawMarks(context, place, marks, layers, unit) {
  for (const mark of marks) {
    if (!layers[mark.layer]) continue;
    const colour = COLOURS[mark.layer];
    let [left, top] = [Infinity, Infinity];
    context.save();
    context.setLineDash(mark.layer === "attention" ? [6 * unit, 5 * unit] : []);
    context.strokeStyle = colour;
    context.lineWidth = 1.8 * unit;
    for (const line of mark.lines) {
      context.beginPath();
      for (let at = 0; at < line.length; at += 2) {
        const [x, y] = toScreen(place, line[at], line[at + 1]);
        if (at) context.lineTo(x, y); else context.moveTo(x, y);
        [left, top] = [Math.min(left, x), Math.min(top, y)];
        if (mark.layer === "centre") {
          context.moveTo(x - 6 * unit, y);
          context.lineTo(x + 6 * unit, y);
          context.moveTo(x, y - 6 * unit);
          context.lineTo(x, y + 6 * unit);
        }
      }
      context.stroke();
    }
    context.restore();
    context.textAlign = "left";
    context.textBaseline = "bottom";
    const above = Math.max(top - 4 * unit, 30 * unit);
    written(context, mark.label, Math.max(left, EDGE * unit), above, colour, 13 * unit);
  }
}

export function drawEdges(context, size, edges, unit) {
  if (!edges) return;
  const font = 16 * unit, ink = "#dbe6f0", near = EDGE * unit;
  context.textBaseline = "middle";
  context.textAlign = "left";
  written(context, edges.left, near, size.height / 2, ink, font);
  context.textAlign = "right";
  written(context, edges.right, size.width - near, size.height / 2, ink, font);
  context.textAlign = "center";
  context.textBaseline = "top";
  written(context, edges.top, size.width / 2, near, ink, font);
  context.textBaseline = "bottom";
  written(context, edges.bottom, size.width / 2, size.height - near, ink, font);
}

// The longest round length that takes at most a fourth of the width.
export function barLength(widthMm) {
  return [...LENGTHS].reverse().find((length) => length <= widthMm / 4) || 0;
}

export function drawScale(context, size, place, image, unit) {
  if (!image.spacing_mm) return;
  const perMm = place.sx / image.spacing_mm[1];
  const length = barLength(size.width / perMm);
  if (!length) return;
  const [right, y] = [size.width - 14 * unit, size.height - 14 * unit];
  const left = right - length * perMm;
  context.strokeStyle = "rgb(0 0 0 / .85)";
  for (const [width, colour] of [[4 * unit, "rgb(0 0 0 / .85)"], [2 * unit, "#dbe6f0"]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(left, y - 5 * unit);
    context.lineTo(left, y);
    context.lineTo(right, y);
    context.lineTo(right, y - 5 * unit);
    context.stroke();
  }
  context.textAlign = "right";
  context.textBaseline = "bottom";
  const words = length >= 10 ? `${length / 10} cm` : `${length} mm`;
  written(context, words + (image.at_detector ? " at the detector" : ""), right, y - 7 * unit, "#dbe6f0", 12 * unit);
}

export function drawCorner(context, size, lines, unit) {
  context.textAlign = "left";
  context.textBaseline = "top";
  lines.forEach((line, at) => written(context, line, EDGE * unit, (EDGE + 17 * at) * unit, "#dbe6f0", 13 * unit));
}

// Certainty along the stack: dark is 0, bright is 1; a line below marks slices that reach the threshold.
export function drawStrip(canvas, scores, current, drawn) {
  const unit = window.devicePixelRatio || 1;
  const width = Math.max(Math.round(canvas.clientWidth * unit), 1), height = Math.max(Math.round(canvas.clientHeight * unit), 1);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const count = scores.values.length, step = width / count;
  scores.values.forEach((value, at) => {
    const share = value ?? 0;
    context.fillStyle = value === null ? "#242b33" : `hsl(${(1 - share) * 60} 90% ${12 + 46 * share}%)`;
    context.fillRect(at * step, 0, Math.ceil(step), height * 0.7);
    if (value !== null && scores.threshold !== null && value >= scores.threshold) {
      context.fillStyle = "#ffffff";
      context.fillRect(at * step, height * 0.76, Math.max(Math.ceil(step) - 1, 1), height * 0.1);
    }
    if (drawn.has(at)) {
      context.fillStyle = COLOURS.outline;
      context.fillRect(at * step, height * 0.88, Math.max(Math.ceil(step) - 1, 1), height * 0.12);
    }
  });
  context.strokeStyle = "#79b0ff";
  context.lineWidth = 2 * unit;
  context.strokeRect(current * step, unit, Math.max(step, 3 * unit), height - 2 * unit);
}

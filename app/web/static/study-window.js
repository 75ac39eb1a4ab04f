// Windows: from the values of an image to grey (DICOM PS3.3 C.11.2.1.2.1, linear), and the presets for CT.

export const PRESETS = [
  { name: "Brain", centre: 40, width: 80 },
  { name: "Subdural", centre: 75, width: 215 },
  { name: "Stroke", centre: 40, width: 40 },
  { name: "Bone", centre: 600, width: 2800 },
  { name: "Lung", centre: -600, width: 1500 },
  { name: "Mediastinum", centre: 50, width: 350 },
];

// Grey of a value, 0 to 255.
export function grey(value, window, inverted = false) {
  const width = Math.max(window.width, 1);
  const share = (value - (window.centre - 0.5)) / Math.max(width - 1, 1e-6) + 0.5;
  const shown = Math.round(255 * Math.min(Math.max(share, 0), 1));
  return inverted ? 255 - shown : shown;
}

const opaque = (shade) => (255 << 24) | (shade << 16) | (shade << 8) | shade;

// What every pixel of a slice looks like, as 32 bits each, into `out`.
export function paint(values, window, inverted, out) {
  if (values instanceof Float32Array) {
    for (let at = 0; at < values.length; at++) out[at] = opaque(grey(values[at], window, inverted));
    return;
  }
  // Of 16 bits there are 65 536 values and millions of pixels: each value is worked out once.
  const table = new Int32Array(65536);
  const signed = values instanceof Int16Array;
  for (let raw = 0; raw < 65536; raw++) table[raw] = opaque(grey(signed ? (raw << 16) >> 16 : raw, window, inverted));
  const unsigned = new Uint16Array(values.buffer, values.byteOffset, values.length);
  for (let at = 0; at < unsigned.length; at++) out[at] = table[unsigned[at]];
}

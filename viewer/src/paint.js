import { colourAt } from './ramps.js';

const SHADES = 1024;
const OPAQUE = 255;

/** One 32-bit pixel for each colour, in the byte order of this machine. */
function pixels(colours) {
  const bytes = new Uint8ClampedArray(4 * colours.length);
  colours.forEach((colour, number) => colour && bytes.set([...colour, OPAQUE], 4 * number));
  return new Uint32Array(bytes.buffer);
}

function canvasOf(grid, pixelOf) {
  const canvas = document.createElement('canvas');
  canvas.width = grid.width;
  canvas.height = grid.height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(grid.width, grid.height);
  const target = new Uint32Array(image.data.buffer);
  for (let cell = 0; cell < target.length; cell += 1) target[cell] = pixelOf(grid.values[cell]);
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A picture of numbers; where there is none it is transparent. */
export function paintNumbers(grid, scale) {
  const shades = pixels(Array.from({ length: SHADES }, (_, shade) => colourAt(scale.ramp, shade / (SHADES - 1))));
  const factor = (SHADES - 1) / scale.highest;
  const shadeOf = (value) => shades[Math.min(Math.max(Math.round(value * factor), 0), SHADES - 1)];
  return canvasOf(grid, (value) => (Number.isNaN(value) ? 0 : shadeOf(value)));
}

/** A picture of classes; `colours` maps values to red, green and blue, others are transparent. */
export function paintClasses(grid, colours) {
  const table = pixels(Array.from({ length: 256 }, (_, value) => colours.get(value)));
  return canvasOf(grid, (value) => table[value]);
}

import { toPlane } from './projection.js';

const LETTERS = '11px system-ui, sans-serif';
// Light below dark: the lines show on dark ice and on light sea, and on neither too much.
const LINES = [['rgba(255, 255, 255, 0.22)', 2], ['rgba(50, 60, 70, 0.45)', 1]];
const INK = '#1e242c';
const HALO = 'rgba(255, 255, 255, 0.85)';
const LABEL_INSET = [28, 14];
// Cells wider than this many pixels of the screen are shown as the squares that they are.
const SHARP_FROM = 2;
const MERIDIANS = Array.from({ length: 12 }, (_, number) => -150 + 30 * number);
const PARALLELS = [50, 60, 70, 80];

/** Where a place of the plane lies on the screen. */
function onScreen([x, y], { size, viewState: { center, resolution } }) {
  return [size[0] / 2 + (x - center[0]) / resolution, size[1] / 2 - (y - center[1]) / resolution];
}

/** Draws a picture whose edges lie on an extent of the plane. */
export function drawPicture(context, frame, { canvas, extent }) {
  const [left, top] = onScreen([extent[0], extent[3]], frame);
  const [right, bottom] = onScreen([extent[2], extent[1]], frame);
  const pixelsOfCell = frame.pixelRatio * (right - left) / canvas.width;
  context.imageSmoothingEnabled = pixelsOfCell < SHARP_FROM;
  context.imageSmoothingQuality = 'high';
  context.drawImage(canvas, left, top, right - left, bottom - top);
}

/** Where the ray from the pole leaves the screen less a margin, or nothing where it misses it. */
function leavesAt([startX, startY], [stepX, stepY], [width, height]) {
  const crossings = [[startX, stepX, width], [startY, stepY, height]].map(([start, step, side], axis) => {
    const ends = [LABEL_INSET[axis] - start, side - LABEL_INSET[axis] - start].map((distance) => distance / step);
    return ends.sort((one, other) => one - other);
  });
  const enters = Math.max(0, ...crossings.map(([first]) => first));
  const leaves = Math.min(...crossings.map(([, last]) => last));
  return leaves > enters ? [startX + leaves * stepX, startY + leaves * stepY] : undefined;
}

function write(context, text, [x, y]) {
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

function meridianText(longitude) {
  if (longitude % 180 === 0) return `${Math.abs(longitude)}°`;
  return `${Math.abs(longitude)}° ${longitude < 0 ? 'W' : 'E'}`;
}

/** The direction on the screen from the pole along a meridian. */
function direction(longitude) {
  const [x, y] = toPlane(60, longitude);
  const length = Math.hypot(x, y);
  return [x / length, -y / length];
}

function drawLines(context, frame, pole) {
  const { resolution } = frame.viewState;
  context.beginPath();
  for (const latitude of PARALLELS) {
    const radius = Math.hypot(...toPlane(latitude, 0)) / resolution;
    context.moveTo(pole[0] + radius, pole[1]);
    context.arc(...pole, radius, 0, 2 * Math.PI);
  }
  for (const longitude of MERIDIANS) {
    context.moveTo(...onScreen(toPlane(88, longitude), frame));
    context.lineTo(...onScreen(toPlane(40, longitude), frame));
  }
  for (const [strokeStyle, lineWidth] of LINES) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
}

/** Parallels bear their latitude where they cross the middle between two meridians, the one nearest to the centre of the screen. */
function drawLatitudes(context, frame, pole) {
  const [x, y] = [frame.size[0] / 2 - pole[0], frame.size[1] / 2 - pole[1]];
  const middles = MERIDIANS.map((longitude) => longitude + 15);
  const along = middles.map(direction).sort((one, other) => x * (other[0] - one[0]) + y * (other[1] - one[1]))[0];
  for (const latitude of PARALLELS) {
    const radius = Math.hypot(...toPlane(latitude, 0)) / frame.viewState.resolution;
    write(context, `${latitude}° N`, [pole[0] + radius * along[0], pole[1] + radius * along[1]]);
  }
}

/** Meridians bear their longitude where they leave the screen. */
function drawLongitudes(context, frame, pole) {
  for (const longitude of MERIDIANS) {
    const place = leavesAt(pole, direction(longitude), frame.size);
    if (place) write(context, meridianText(longitude), place);
  }
}

/** Draws meridians and parallels with their labels. */
export function drawGraticule(context, frame) {
  const pole = onScreen([0, 0], frame);
  drawLines(context, frame, pole);
  Object.assign(context, { font: LETTERS, textAlign: 'center', textBaseline: 'middle', lineJoin: 'round' });
  Object.assign(context, { fillStyle: INK, strokeStyle: HALO, lineWidth: 3 });
  drawLatitudes(context, frame, pole);
  drawLongitudes(context, frame, pole);
}

/** Draws the cross hairs around the place whose value is shown. */
export function drawMarker(context, frame, place) {
  const [x, y] = onScreen(place, frame);
  context.beginPath();
  for (const [stepX, stepY] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + 5 * stepX, y + 5 * stepY);
    context.lineTo(x + 16 * stepX, y + 16 * stepY);
  }
  for (const [strokeStyle, lineWidth] of [['#fff', 5], [INK, 2]]) {
    Object.assign(context, { strokeStyle, lineWidth });
    context.stroke();
  }
}

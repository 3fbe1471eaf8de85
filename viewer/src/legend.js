import { element, make } from './page.js';
import { colourAt } from './ramps.js';

const BAR_PIXELS = 256;

const cssColour = (colour) => `rgb(${colour.join(' ')})`;

function bar(scale) {
  const canvas = make('canvas', { width: BAR_PIXELS, height: 1 });
  canvas.setAttribute('aria-hidden', 'true');
  const context = canvas.getContext('2d');
  for (let x = 0; x < BAR_PIXELS; x += 1) {
    context.fillStyle = cssColour(colourAt(scale.ramp, x / (BAR_PIXELS - 1)));
    context.fillRect(x, 0, 1, 1);
  }
  return canvas;
}

/** The ticks; a scale that is open at its end says so at the last one. */
function ticks({ ticks: values, highest, open }) {
  const labels = values.map((value) => {
    const tick = make('span', { textContent: open && value === highest ? `≥ ${value}` : String(value) });
    tick.style.left = `${100 * value / highest}%`;
    return tick;
  });
  return make('div', { className: 'ticks' }, ...labels);
}

function swatch({ colour, name, text }) {
  const box = make('span', { className: 'swatch' });
  box.style.background = cssColour(colour);
  return make('li', { title: text }, box, name);
}

const swatches = (classes) => make('ul', { className: 'swatches' }, ...classes.map(swatch));

/** The colour bar of a layer with its unit and the classes below it; for the layer of classes all of them. */
export function showLegend({ scale }, quantity, classes) {
  const legend = element('legend');
  if (!scale) return legend.replaceChildren(swatches(classes));
  const title = make('span', { textContent: scale.unit ? `${quantity}, ${scale.unit}` : quantity });
  const head = make('div', { className: 'legend-head' }, title, swatches(classes.filter(({ isIce }) => !isIce)));
  return legend.replaceChildren(head, bar(scale), ticks(scale));
}

import { dayText } from './format.js';
import { LAYERS, THIN } from './layers.js';
import { element, make } from './page.js';

function layerButtons(onLayer) {
  return LAYERS.flatMap(({ id, button }) => {
    const input = make('input', { type: 'radio', name: 'layer', id: `layer-${id}`, value: id });
    input.addEventListener('change', () => onLayer(id));
    return [input, make('label', { htmlFor: input.id, textContent: button })];
  });
}

const positionOf = (days, day) => days.findIndex((entry) => entry.day === day);

/** The last day of a year: its newest product. */
const lastOf = (days, year) => days.findLast(({ day }) => day.startsWith(year)).day;

function showYears(days, day) {
  const years = [...new Set(days.map((entry) => entry.day.slice(0, 4)))].reverse();
  element('year-label').hidden = years.length < 2;
  element('year').replaceChildren(...years.map((year) => make('option', { value: year, textContent: year })));
  element('year').value = day?.slice(0, 4) ?? '';
}

/** Shows which day of how many is chosen; none where there is none. */
export function showDay(days, day) {
  const position = positionOf(days, day);
  const slider = element('day');
  Object.assign(slider, { max: days.length - 1, value: position, disabled: days.length < 2 });
  slider.setAttribute('aria-valuetext', dayText(day));
  element('day-text').textContent = day ?? '';
  element('day-before').disabled = position <= 0;
  element('day-after').disabled = position === days.length - 1;
  showYears(days, day);
}

/** Shows which layer is chosen and how opaque it is. */
export function showLayer(layer, opacity) {
  element(`layer-${layer.id}`).checked = true;
  element('layer-note').textContent = layer.note;
  element('threshold-row').hidden = layer.id !== THIN;
  element('opacity').value = 100 * opacity;
  element('opacity-text').textContent = `${Math.round(100 * opacity)} %`;
}

/** Shows the thresholds that the file has, in metres. */
export function showThresholds(thresholds, chosen) {
  const options = thresholds.map((metres) => make('option', { value: metres, textContent: `${metres.toFixed(2)} m` }));
  element('threshold').replaceChildren(...options);
  element('threshold').value = chosen;
}

/** Calls back with what a person chooses; `days` gives the days that can be chosen and the one that is. */
export function watchControls({ days, change, fade, faded }) {
  const step = (by) => {
    const { all, day } = days();
    const next = all[positionOf(all, day) + by];
    if (next) change({ day: next.day });
  };
  element('layers').append(...layerButtons((layer) => change({ layer })));
  element('day').addEventListener('input', ({ target }) => change({ day: days().all[target.value].day }));
  element('day-before').addEventListener('click', () => step(-1));
  element('day-after').addEventListener('click', () => step(1));
  element('year').addEventListener('change', ({ target }) => change({ day: lastOf(days().all, target.value) }));
  element('threshold').addEventListener('change', ({ target }) => change({ threshold: Number(target.value) }));
  element('opacity').addEventListener('input', ({ target }) => fade(target.value / 100));
  element('opacity').addEventListener('change', faded);
}

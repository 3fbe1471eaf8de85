import { placeText, valueText } from './format.js';
import { element } from './page.js';

const HINT = 'Point at the map, or tap it, for a value.';

/** Says how to get a value. */
export function showHint() {
  for (const id of ['value', 'quantity', 'place']) element(id).textContent = '';
  element('surface').textContent = HINT;
}

function textOf({ value, scale, meaning }) {
  if (!scale) return meaning.name;
  return value === undefined || Number.isNaN(value) ? 'no value' : valueText(value, scale);
}

/** Shows a value with its place. Under a moving pointer it is not spoken: that would never end. */
export function showReadout({ value, scale, quantity, meaning, place, spoken }) {
  element('readout').setAttribute('aria-live', spoken ? 'polite' : 'off');
  element('value').textContent = textOf({ value, scale, meaning });
  element('value').value = value === undefined ? '' : String(value);
  element('quantity').textContent = quantity;
  element('place').textContent = placeText(place);
  element('surface').textContent = meaning.text;
}

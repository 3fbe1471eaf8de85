import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amountText, dayText, placeText, sizeText, valueText } from '../src/format.js';
import { readLink, writeLink } from '../src/permalink.js';
import { CIVIDIS, colourAt, MAGMA, VIRIDIS } from '../src/ramps.js';

test('a permalink survives writing and reading', () => {
  const state = { day: '2026-03-01', layer: 'prob-thin', threshold: 0.3, opacity: 0.85, centre: [84.5, -12.25], zoom: 2.5 };
  assert.deepEqual(readLink(writeLink(state)), state);
});

test('what makes no sense in a permalink is left out', () => {
  assert.deepEqual(readLink('#day=1-2-3&opacity=2&centre=91,0&zoom=&threshold=thin'), {});
  assert.deepEqual(readLink(''), {});
});

test('ramps begin and end with their own colours, and pass evenly between them', () => {
  for (const ramp of [VIRIDIS, MAGMA, CIVIDIS]) {
    const last = ramp.length - 1;
    assert.deepEqual([colourAt(ramp, -1), colourAt(ramp, 2)], [ramp[0], ramp[last]]);
    assert.deepEqual(colourAt(ramp, 3 / last), ramp[3]);
  }
});

test('numbers, places, days and sizes read as people write them', () => {
  assert.equal(valueText(1.234, { decimals: 2, unit: 'm' }), '1.23 m');
  assert.equal(valueText(0.5, { decimals: 2, unit: '' }), '0.50');
  assert.equal(placeText([84.5, -12.25]), '84.500° N, 12.250° W');
  assert.deepEqual([1.2367, 21.87, 1987479.09].map(amountText), ['1.2', '22', '1,987,479']);
  assert.equal(dayText('2026-03-01'), '1 March 2026');
  assert.deepEqual([400, 41_000, 5_072_829, 2.5e9, undefined].map(sizeText), ['1 kB', '41 kB', '5.1 MB', '2.5 GB', '']);
});

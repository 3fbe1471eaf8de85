import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { openCatalogue, openYear } from '../src/catalogue.js';
import { amountText, dayText, placeText, sizeText, valueText } from '../src/format.js';
import { lossText } from '../src/loss.js';
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

/** Runs with a server that gives the same answer to everything. */
async function answered(answer, run) {
  const server = mock.method(globalThis, 'fetch', async () => answer);
  try {
    await run();
  } finally {
    server.mock.restore();
  }
}

const ROOT = 'https://example.org/products/';

test('without a catalog there is no product, and any other trouble is told', async () => {
  await answered(new Response('', { status: 404 }), async () => {
    assert.deepEqual(await openCatalogue(`${ROOT}catalog.json`), { collection: {}, years: [] });
    await assert.rejects(openYear({ url: `${ROOT}2026/catalog.json` }), /not found/);
  });
  await answered(new Response('', { status: 503 }), async () => {
    await assert.rejects(openCatalogue(`${ROOT}catalog.json`), /the server answered 503/);
  });
});

test('a year has its days with their highest revisions, and what was taken back', async () => {
  const link = (revision) => ({
    rel: 'item',
    href: `./03/01/r0${revision}/item.json`,
    datetime: '2026-03-01T12:00:00Z',
    'nilas:revision': revision,
    'nilas:status': 'final',
  });
  const withdrawn = [{ day: '2026-03-02', revision: 1, reason: 'wrong ice' }];
  await answered(Response.json({ links: [link(2), link(1)], 'nilas:withdrawn': withdrawn }), async () => {
    const url = `${ROOT}2026/03/01/r02/item.json`;
    const days = [{ day: '2026-03-01', url, status: 'final', revision: 2 }];
    assert.deepEqual(await openYear({ url: `${ROOT}2026/catalog.json` }), { days, withdrawn });
  });
});

test('a product that is not there any more is told with what became of it and what is shown instead', () => {
  const shown = { day: '2026-03-02', revision: 2 };
  const withdrawn = [{ day: '2026-03-02', revision: 1, reason: 'old' }, { ...shown, reason: 'wrong ice' }];
  const other = { day: '2026-03-01', revision: 1 };
  const [before, after] = [1, 3].map((revision) => ({ ...shown, revision }));
  const product = 'The product of 2 March 2026';
  const taken = 'was taken back (wrong ice).';
  assert.equal(lossText(shown, withdrawn), `${product} ${taken}`);
  assert.equal(lossText(shown, withdrawn, other), `${product} ${taken} This is 1 March 2026.`);
  assert.equal(lossText(shown, withdrawn, before), `Revision 2 of 2 March 2026 ${taken} This is revision 1.`);
  assert.equal(lossText(shown, [], other), `${product} is not there any more. This is 1 March 2026.`);
  assert.equal(lossText(shown, [], after), undefined);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dayText } from '../src/format.js';
import { layerNamed } from '../src/layers.js';
import { colourAt } from '../src/ramps.js';
import { calmPlaces, getJson, readDays, readGrid, readItem, toDegrees, toPlane } from './support/truth.mjs';
import { linkOf, openBrowser, openProducts, openViewer, PHONE, screenshot, settled, until, viewOf } from './support/viewer.mjs';

// Where a cell is smaller than a pixel, smoothing and overviews may change its colour by so much in each channel.
const SMOOTHED = { count: 5, reach: 3, tolerance: 18 };
// Where a cell takes several pixels its middle has its very colour.
const SHARP = { count: 8, reach: 0, span: Infinity, tolerance: 2 };
const SHARP_ZOOM = 6;
const DOUBLE_TAP_MILLISECONDS = 300;
const ANYWHERE = { count: 12, reach: 0, span: Infinity };

let browser;
let products;
let days;
let newest;

before(async () => {
  products = await openProducts();
  browser = await openBrowser();
  days = await readDays(products.root);
  newest = await readItem(days.at(-1));
});

after(async () => {
  await browser?.close();
  products?.close();
});

/** Runs a test on a fresh page, which must have done nothing wrong in the end. */
async function visit(options, run) {
  const { fragment = '', ...rest } = options;
  const viewer = await openViewer(browser, products.page + fragment, rest);
  try {
    await run(viewer.page);
    assert.deepEqual(viewer.complaints, []);
  } finally {
    await viewer.close();
  }
}

const distance = (one, other) => Math.max(...one.map((part, channel) => Math.abs(part - other[channel])));

/** Compares colours at places of a kind; `without` says whether there may be none of it. */
function assertColours(picture, view, grid, colourOf, { without = false, tolerance, ...kind }) {
  const places = calmPlaces(grid, view, kind);
  assert.ok(without || places.length > 0, 'there is no place to compare');
  for (const { place, middle } of places) {
    const found = picture.at(...view.toScreen(place));
    const wanted = colourOf(middle);
    assert.ok(distance(found, wanted) <= tolerance, `${toDegrees(place)}: ${middle} is ${found}, not ${wanted}`);
  }
}

const listedClasses = (item) => item.assets.class['classification:classes'];
const classNamed = (item, name) => listedClasses(item).find((entry) => entry.name === name);
const channels = ({ color_hint: hint }) => [0, 2, 4].map((at) => parseInt(hint.slice(at, at + 2), 16));

/** Compares a layer of numbers with its file. */
function assertLayer(picture, view, grid, id, kind = SHARP) {
  const { scale } = layerNamed(id);
  assertColours(picture, view, grid, (value) => colourAt(scale.ramp, value / scale.highest), kind);
}

/** The fragment for a close view of the middle of a large field of ice. */
function closeView(grid) {
  const everywhere = { holds: () => true, toScreen: () => [] };
  const [{ place }] = calmPlaces(grid, everywhere, { count: 1, reach: 25, span: Infinity });
  return `#centre=${toDegrees(place).map((degrees) => degrees.toFixed(4)).join(',')}&zoom=${SHARP_ZOOM}`;
}

async function choose(page, label) {
  await page.locator('#layers label', { hasText: label }).first().click();
  await settled(page);
}

const readValue = async (page) => Number(await page.locator('#value').getAttribute('value'));
const messages = (page) => page.locator('#messages').innerText();

/** A pixel near a place that lies well inside a cell, so that rounding cannot move it to the next one. */
function pointInsideCell(view, grid, place) {
  const [left, top] = view.toScreen(place);
  const near = [0, 1, 2, 3, 4].flatMap((right) => [0, 1, 2].map((down) => [left + right, top + down]));
  return near.find((point) => view.holds(point) && grid.isInside(view.toPlace(point)));
}

/** Points at places and compares what the page says with the file. */
async function assertValues(page, grid, pointAt) {
  let compared = 0;
  const view = await viewOf(page);
  for (const { place } of calmPlaces(grid, view, ANYWHERE)) {
    const point = pointInsideCell(view, grid, place);
    if (!point) continue;
    const pointed = view.toPlace(point);
    const wanted = grid.valueAt(pointed);
    await pointAt(point);
    await until(page, async () => Object.is(await readValue(page), wanted), `${wanted} at ${toDegrees(pointed)}`);
    compared += 1;
  }
  assert.ok(compared >= 2, `only ${compared} places could be compared`);
}

test('draws the newest day, ice and land in their colours', async () => {
  const mean = await readGrid(newest.address('mean'));
  const classes = await readGrid(newest.address('class'));
  await visit({}, async (page) => {
    const view = await viewOf(page);
    const picture = await screenshot(page, 'mean');
    assert.equal(linkOf(page).day, days.at(-1).day);
    assertLayer(picture, view, mean, 'mean', { ...SMOOTHED, span: 0.25 });
    for (const name of ['land', 'open_water']) {
      const { value } = classNamed(newest, name);
      const kind = { ...SMOOTHED, reach: 6, span: 0, wanted: (found) => found === value, without: name === 'open_water' };
      assertColours(picture, view, classes, () => channels(classNamed(newest, name)), kind);
    }
  });
});

test('fits the view to the ice', async () => {
  const mean = await readGrid(newest.address('mean'));
  const ice = mean.extentOf((value) => !Number.isNaN(value));
  await visit({}, async (page) => {
    const { box, toScreen } = await viewOf(page);
    const [[left, bottom], [right, top]] = [toScreen(ice.slice(0, 2)), toScreen(ice.slice(2))];
    const margins = [left - box.x, top - box.y, box.x + box.width - right, box.y + box.height - bottom];
    assert.ok(margins.every((margin) => margin >= 0), `margins ${margins}`);
    assert.ok(Math.min(...margins) <= 20, `margins ${margins}`);
  });
});

test('shows spread, percentiles and their units', async () => {
  await visit({ fragment: closeView(await readGrid(newest.address('mean'))) }, async (page) => {
    for (const [label, id] of [['Spread', 'spread'], ['10th', 'p10'], ['50th', 'p50'], ['90th', 'p90']]) {
      await choose(page, label);
      const grid = await readGrid(newest.address(id));
      assertLayer(await screenshot(page), await viewOf(page), grid, id);
      assert.match(await page.locator('#legend').innerText(), /, m\n/);
      assert.equal(linkOf(page).layer, id);
    }
  });
});

test('shows the probability for the threshold that is chosen', async () => {
  const { bands } = newest.assets['prob-thin'];
  await visit({ fragment: closeView(await readGrid(newest.address('mean'))) }, async (page) => {
    await choose(page, 'Thin ice');
    for (const band of [0, bands.length - 1]) {
      const threshold = bands[band]['nilas:threshold_m'];
      await page.selectOption('#threshold', String(threshold));
      await settled(page);
      const grid = await readGrid(newest.address('prob-thin'), band);
      assertLayer(await screenshot(page), await viewOf(page), grid, 'prob-thin');
      await assertValues(page, grid, (point) => page.mouse.move(...point));
      assert.equal(Number(linkOf(page).threshold), threshold);
    }
  });
});

test('shows the classes with their legend', async () => {
  const classes = await readGrid(newest.address('class'));
  const colours = new Map(listedClasses(newest).map((entry) => [entry.value, channels(entry)]));
  await visit({}, async (page) => {
    await choose(page, 'Class');
    const picture = await screenshot(page, 'class');
    for (const [value, colour] of colours) {
      const kind = { ...SMOOTHED, reach: 4, span: 0, wanted: (found) => found === value, without: true };
      assertColours(picture, await viewOf(page), classes, () => colour, kind);
    }
    assert.equal(await page.locator('#legend li').count(), listedClasses(newest).length);
    await assertValues(page, classes, (point) => page.mouse.move(...point));
  });
});

test('tells the value under the pointer, exactly, and where there is none', async () => {
  const mean = await readGrid(newest.address('mean'));
  const classes = await readGrid(newest.address('class'));
  const land = classNamed(newest, 'land');
  await visit({}, async (page) => {
    await assertValues(page, mean, (point) => page.mouse.move(...point));
    assert.match(await page.locator('#value').innerText(), /^\d+\.\d\d m$/);
    const view = await viewOf(page);
    const [ashore] = calmPlaces(classes, view, { count: 1, reach: 6, span: 0, wanted: (value) => value === land.value });
    const point = view.toScreen(ashore.place);
    await page.mouse.move(...point);
    await until(page, async () => await page.locator('#value').innerText() === 'no value', 'no value on land');
    assert.equal(await page.locator('#surface').innerText(), land.description);
    const wanted = toDegrees(view.toPlace(point));
    const found = (await page.locator('#place').innerText()).match(/[\d.]+/g).map(Number);
    assert.ok(Math.abs(found[0] - wanted[0]) < 0.002, `latitude ${found[0]}, not ${wanted[0]}`);
    assert.ok(Math.abs(found[1] - Math.abs(wanted[1])) < 0.02, `longitude ${found[1]}, not ${wanted[1]}`);
  });
});

test('reads the full resolution also while an overview is shown', async () => {
  const mean = await readGrid(newest.address('mean'));
  await visit({ fragment: '#centre=88,-45&zoom=1' }, async (page) => {
    await assertValues(page, mean, (point) => page.mouse.move(...point));
  });
});

/** Adds a day of another year whose mean is the newest day's 90th percentile: every product root has at least two days then. */
async function addOldDay(page) {
  const collection = new URL('collection.json', products.root).href;
  const year = new URL('1999/catalog.json', products.root).href;
  const address = new URL('1999/12/31/r01/old.json', products.root).href;
  const child = { rel: 'child', href: './1999/catalog.json', title: '1999' };
  const link = { rel: 'item', href: './12/31/r01/old.json', datetime: '1999-12-31T12:00:00Z', 'nilas:status': 'provisional' };
  const assets = Object.fromEntries(Object.keys(newest.assets).map((key) => [key, { ...newest.assets[key], href: newest.address(key) }]));
  assets.mean.href = newest.address('p90');
  const known = await getJson(collection);
  await page.route(collection, (route) => route.fulfill({ json: { ...known, links: [...known.links, child] } }));
  await page.route(year, (route) => route.fulfill({ json: { links: [link] } }));
  await page.route(address, (route) => route.fulfill({ json: { properties: newest.properties, assets } }));
}

const allDays = (page) => until(page, async () => await page.locator('#day').getAttribute('max') === String(days.length), 'all days');

test('the slider and the buttons change day, file and picture', async () => {
  const p90 = await readGrid(newest.address('p90'));
  const mean = await readGrid(newest.address('mean'));
  await visit({ prepare: addOldDay, fragment: closeView(mean) }, async (page) => {
    const view = await viewOf(page);
    await allDays(page);
    assert.ok(await page.locator('#day-after').isDisabled());
    await page.locator('#day').fill('0');
    await settled(page);
    assert.equal(await page.locator('#day-text').innerText(), '1999-12-31');
    assert.equal(await page.locator('#headline-day').innerText(), '31 December 1999');
    assert.equal(await page.locator('#status.provisional').innerText(), 'Provisional');
    assert.equal(linkOf(page).day, '1999-12-31');
    assertLayer(await screenshot(page), view, p90, 'mean');
    await assertValues(page, p90, (point) => page.mouse.move(...point));
    assert.ok(await page.locator('#day-before').isDisabled());
    await page.click('#day-after');
    await settled(page);
    assert.equal(linkOf(page).day, days[0].day);
    await page.locator('#day').fill(String(days.length));
    await settled(page);
    assertLayer(await screenshot(page), view, mean, 'mean');
    assert.equal(linkOf(page).day, days.at(-1).day);
  });
});

test('the list of years leads to the last day of a year', async () => {
  const newestYear = days.at(-1).day.slice(0, 4);
  await visit({ prepare: addOldDay }, async (page) => {
    await allDays(page);
    await page.selectOption('#year', '1999');
    await settled(page);
    assert.equal(linkOf(page).day, '1999-12-31');
    await page.selectOption('#year', newestYear);
    await settled(page);
    assert.equal(linkOf(page).day, days.at(-1).day);
  });
});

test('says whether the product is final', async () => {
  const status = newest.properties['nilas:status'];
  await visit({}, async (page) => {
    assert.equal((await page.locator('#status').innerText()).toLowerCase(), status);
    assert.equal(await page.locator('#status.provisional').count(), status === 'provisional' ? 1 : 0);
    assert.match(await page.locator('#caution').innerText(), /^Not for navigation\. A 7-day thickness, not a nowcast\.$/);
  });
});

test('a permalink leads back to what was shown', async () => {
  const threshold = String(newest.assets['prob-thin'].bands.at(-1)['nilas:threshold_m']);
  const wanted = { day: days[0].day, layer: 'prob-thin', threshold, opacity: '0.6', centre: [80.5, 150.25], zoom: 3.5 };
  const fragment = `#day=${wanted.day}&layer=prob-thin&threshold=${threshold}&opacity=0.6&centre=80.5,150.25&zoom=3.5`;
  const pictures = [];
  await visit({ fragment }, async (page) => {
    assert.deepEqual(linkOf(page), wanted);
    assert.equal(await page.locator('#opacity').inputValue(), '60');
    pictures.push(await page.locator('#map').screenshot());
    await page.evaluate(() => { window.location.hash = '#layer=spread&opacity=1'; });
    await until(page, () => linkOf(page).opacity === '1' && linkOf(page).centre, 'the new link');
    await settled(page);
    assert.equal(await page.locator('#layer-spread').isChecked(), true);
    assert.equal(linkOf(page).day, wanted.day);
  });
  await visit({ fragment }, async (page) => pictures.push(await page.locator('#map').screenshot()));
  assert.ok(pictures[0].equals(pictures[1]));
});

test('a permalink that makes no sense is not followed', async () => {
  await visit({ fragment: '#day=yesterday&layer=rain&threshold=x&opacity=7&centre=1&zoom=-3' }, async (page) => {
    assert.equal(linkOf(page).day, days.at(-1).day);
    assert.equal(linkOf(page).layer, 'mean');
  });
  await visit({ fragment: '#day=1999-01-01' }, async (page) => {
    await until(page, async () => /no product of 1 January 1999/.test(await messages(page)), 'the message on the missing day');
  });
});

test('the opacity lets the map below show through', async () => {
  const mean = await readGrid(newest.address('mean'));
  await visit({}, async (page) => {
    await page.locator('#opacity').fill('0');
    await until(page, () => linkOf(page).opacity === '0', 'the opacity in the link');
    assertColours(await screenshot(page), await viewOf(page), mean, () => [250, 251, 253], { ...SMOOTHED, span: Infinity });
  });
});

test('offers every file of the day, with its size', async () => {
  await visit({}, async (page) => {
    const links = await page.locator('#downloads a').evaluateAll((all) => all.map(({ href }) => href));
    const keys = ['netcdf', 'mean', 'spread', 'p10', 'p50', 'p90', 'prob-thin', 'class', 'quicklook', 'regions'];
    const wanted = keys.map((key) => newest.address(key));
    assert.deepEqual(links.toSorted(), [...wanted, newest.url].toSorted());
    const sizes = await page.locator('#downloads .size').allInnerTexts();
    assert.ok(sizes.every((size) => /\d (kB|MB|GB)$/.test(size)), sizes.join('; '));
  });
});

test('keeps pictures of the layers for people to look at', async () => {
  for (const id of ['spread', 'prob-thin', 'p10', 'p90']) {
    await visit({ fragment: `#layer=${id}` }, async (page) => screenshot(page, id));
  }
});

test('folds the figures of the regions, and shows those of the item', async () => {
  const regions = newest.properties['nilas:regions'];
  await visit({}, async (page) => {
    const table = page.locator('#regions table');
    assert.equal(await table.isVisible(), false);
    await page.click('#regions summary');
    assert.equal(await table.locator('tbody tr').count(), regions.length);
    assert.ok((await table.innerText()).includes(regions[0].title));
  });
});

/** Moves on where the centre lies on the edge between two cells, and rounding would decide. */
async function moveIntoCell(page, grid) {
  const keys = ['ArrowDown', 'ArrowRight', '+'];
  for (let tried = 0; !grid.isInside(toPlane(linkOf(page).centre)); tried += 1) {
    assert.ok(tried < 30, 'the centre never lies inside a cell');
    const before = linkOf(page);
    await page.keyboard.press(keys[tried % keys.length]);
    await until(page, () => JSON.stringify(linkOf(page)) !== JSON.stringify(before), 'the view to change');
  }
}

test('works with the keyboard alone', async () => {
  const mean = await readGrid(newest.address('mean'));
  await visit({}, async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'map');
    const start = linkOf(page).centre;
    await page.keyboard.press('+');
    await page.keyboard.press('ArrowRight');
    await until(page, () => linkOf(page).centre.join() !== start.join(), 'the map to move');
    await moveIntoCell(page, mean);
    const matches = async () => {
      const wanted = mean.valueAt(toPlane(linkOf(page).centre)) ?? NaN;
      const text = await page.locator('#value').innerText();
      return Number.isNaN(wanted) ? text === 'no value' : Object.is(await readValue(page), wanted);
    };
    await until(page, matches, 'the value at the centre');
    assert.equal(await page.locator('#readout').getAttribute('aria-live'), 'polite');
    await page.locator('#layer-mean').focus();
    await page.keyboard.press('ArrowRight');
    await settled(page);
    await until(page, () => linkOf(page).layer === 'spread', 'the next layer');
  });
});

test('everything that can be operated has a name', async () => {
  await visit({}, async (page) => {
    const nameless = await page.locator('button, input, select, a, summary, [tabindex]').evaluateAll((all) => all
      .filter((one) => !(one.ariaLabel || one.labels?.[0]?.textContent || one.textContent).trim())
      .map((one) => one.outerHTML));
    assert.deepEqual(nameless, []);
  });
});

/** Taps such that it is not half of a double tap, which zooms: those are told apart by time alone. */
function singleTaps(page) {
  let last = 0;
  return async (point) => {
    await until(page, () => Date.now() - last > DOUBLE_TAP_MILLISECONDS, 'the time of a double tap to pass');
    await page.touchscreen.tap(...point);
    last = Date.now();
  };
}

const overlap = (one, other) => one.x < other.x + other.width - 1 && other.x < one.x + one.width - 1
  && one.y < other.y + other.height - 1 && other.y < one.y + one.height - 1;

test('fits a phone, where a tap tells the value', async () => {
  const mean = await readGrid(newest.address('mean'));
  await visit({ device: PHONE }, async (page) => {
    await assertValues(page, mean, singleTaps(page));
    await screenshot(page, 'phone');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 360);
    const parts = ['header', '#map', '#readout', '#legend', '#zoom', 'aside'];
    const boxes = await Promise.all(parts.map((part) => page.locator(part).boundingBox()));
    const clashes = boxes.flatMap((one, number) => boxes.slice(number + 1).filter((other) => overlap(one, other)));
    assert.deepEqual(clashes, []);
    const targets = page.locator('button, select, input[type=range], #layers label, #downloads a, summary');
    const small = await targets.evaluateAll((all) => all
      .map((one) => [one.id || one.textContent, one.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0 && (box.height < 40 || box.width < 40))
      .map(([name]) => name));
    assert.deepEqual(small, []);
  });
});

test('says that a file is missing, and goes on with the others', async () => {
  const missing = newest.address('mean');
  const name = missing.split('/').pop();
  const prepare = (page) => page.route(missing, (route) => route.fulfill({ status: 404 }));
  const spread = await readGrid(newest.address('spread'));
  await visit({ prepare, expected: /_mean\.tif$/, fragment: closeView(spread) }, async (page) => {
    assert.match(await messages(page), new RegExp(`“Mean” of .* cannot be read\\. ${name}: not found\\.`));
    await choose(page, 'Spread');
    assert.equal(await messages(page), '');
    assertLayer(await screenshot(page), await viewOf(page), spread, 'spread');
  });
});

const catalogue = () => new URL('catalog.json', products.root).href;

test('says that there is no product, whether the catalog is empty or was taken away with the last one', async () => {
  const empty = { type: 'Catalog', stac_version: '1.1.0', id: 'empty', description: 'empty', links: [] };
  for (const answer of [{ json: empty }, { status: 404 }]) {
    const prepare = (page) => page.route(catalogue(), (route) => route.fulfill(answer));
    await visit({ prepare, expected: /catalog\.json$/ }, async (page) => {
      assert.equal(await messages(page), 'There is no product here.');
    });
  }
});

/** Takes back all revisions of the newest day while the page is open. */
async function takeBackNewest(page) {
  const { day } = days.at(-1);
  const year = new URL(`${day.slice(0, 4)}/catalog.json`, products.root).href;
  const known = await getJson(year);
  const isTaken = ({ datetime }) => datetime?.startsWith(day);
  const links = known.links.filter((link) => !isTaken(link));
  const withdrawn = known.links.filter(isTaken)
    .map((link) => ({ day, revision: link['nilas:revision'], withdrawn_at: link.datetime, reason: 'wrong ice' }));
  await page.route(year, (route) => route.fulfill({ json: { ...known, links, 'nilas:withdrawn': withdrawn } }));
}

/** What a browser tells a page to which somebody comes back. */
const comeBack = (page) => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));

test('says that what it shows was taken back, and shows the newest that stands in the same way', async () => {
  const [taken, next] = [days.at(-1).day, days.at(-2)?.day ?? '1999-12-31'];
  await visit({ prepare: addOldDay, fragment: '#layer=spread' }, async (page) => {
    await allDays(page);
    const before = linkOf(page);
    await takeBackNewest(page);
    await comeBack(page);
    await until(page, () => linkOf(page).day === next, 'the newest day that stands');
    await settled(page);
    const wanted = `The product of ${dayText(taken)} was taken back (wrong ice). This is ${dayText(next)}.`;
    assert.equal(await messages(page), wanted);
    assert.deepEqual(linkOf(page), { ...before, day: next });
    assert.ok(await page.locator('#day-after').isDisabled());
  });
});

test('shows no map where nothing stands any more, and says why', async () => {
  const { day } = days.at(-1);
  await visit({ expected: /catalog\.json$/ }, async (page) => {
    await takeBackNewest(page);
    await page.route(catalogue(), (route) => route.fulfill({ status: 404 }));
    await comeBack(page);
    await until(page, async () => (await messages(page)).includes('There is no product here.'), 'the message');
    assert.ok((await messages(page)).includes(`The product of ${dayText(day)} was taken back (wrong ice).`));
    assert.equal(await page.locator('#headline-day').innerText(), '');
    assert.equal(await page.locator('#downloads li').count(), 0);
    await settled(page);
  });
});

test('a day that is new appears in the list of an open page, and changes nothing else', async () => {
  await visit({}, async (page) => {
    const before = page.url();
    await addOldDay(page);
    await comeBack(page);
    await allDays(page);
    assert.equal(page.url(), before);
    assert.equal(await messages(page), '');
  });
});

test('says that the catalogue cannot be read', async () => {
  const answers = [
    [{ body: '<html>' }, 'not readable as JSON'],
    [{ status: 503 }, 'the server answered 503'],
  ];
  for (const [answer, reason] of answers) {
    const prepare = (page) => page.route(catalogue(), (route) => route.fulfill(answer));
    await visit({ prepare, expected: /catalog\.json$/ }, async (page) => {
      assert.equal(await messages(page), `The list of products cannot be read. catalog.json: ${reason}.`);
    });
  }
});

test('says that an item is missing', async () => {
  const prepare = (page) => page.route(newest.url, (route) => route.fulfill({ status: 404 }));
  await visit({ prepare, expected: /\.json$/ }, async (page) => {
    assert.match(await messages(page), /^The product of .* cannot be read\. .*\.json: not found\.$/);
  });
});

test('keeps nothing of another day where an item is missing', async () => {
  const mean = await readGrid(newest.address('mean'));
  const prepare = async (page) => {
    await addOldDay(page);
    await page.route(/old\.json$/, (route) => route.fulfill({ status: 404 }));
  };
  await visit({ prepare, expected: /old\.json$/ }, async (page) => {
    await allDays(page);
    await assertValues(page, mean, (point) => page.mouse.move(...point));
    await page.locator('#day').fill('0');
    await settled(page);
    assert.match(await messages(page), /^The product of 31 December 1999 cannot be read\. old\.json: not found\.$/);
    assert.equal(await page.locator('#value').innerText(), '');
    assert.equal(await page.locator('#downloads li').count(), 0);
    await page.locator('#day').fill(String(days.length));
    await settled(page);
    assert.equal(await messages(page), '');
    await assertValues(page, mean, (point) => page.mouse.move(...point));
  });
});

test('shows the maps of a server that sends whole files only', async () => {
  const mean = await readGrid(newest.address('mean'));
  const withoutRanges = async (route) => {
    const { range, ...headers } = route.request().headers();
    await route.fulfill({ response: await route.fetch({ headers }) });
  };
  const prepare = (page) => page.route(/\.tif$/, withoutRanges);
  await visit({ prepare, expected: /\.tif$/, fragment: closeView(mean) }, async (page) => {
    assert.equal(await messages(page), '');
    assertLayer(await screenshot(page), await viewOf(page), mean, 'mean');
  });
});

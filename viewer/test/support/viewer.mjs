import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { readPng } from './png.mjs';
import { serve } from './server.mjs';
import { toPlane } from './truth.mjs';

// A prefix that no one would think of: the page must work below any.
const PREFIX = '/some/where/';
const DEADLINE = 20_000;
const METRES_AT_ZOOM_0 = 32000;
const SCREENSHOTS = process.env.NILAS_SCREENSHOTS ?? fileURLToPath(new URL('../screenshots', import.meta.url));
const ARGUMENTS = [
  '--headless=new', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--force-color-profile=srgb',
];

/** The page's address: of a running server, or of one started here for a product root. */
export async function openProducts() {
  const { NILAS_URL: url, NILAS_PRODUCTS: products } = process.env;
  if (url) return { page: url, root: new URL('..', url).href, close() {} };
  if (!products) throw new Error('Set NILAS_PRODUCTS to a product root, or NILAS_URL to the address of the page on a running server.');
  if (!existsSync(join(products, 'viewer/viewer.js'))) {
    throw new Error(`There is no viewer in ${products}: run "npm run build" and copy viewer/dist to ${products}/viewer.`);
  }
  const { origin, close } = await serve(products, PREFIX);
  return { page: `${origin}${PREFIX}viewer/index.html`, root: `${origin}${PREFIX}`, close };
}

export async function openBrowser() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`There is no ${executablePath}: run "apt-get install chromium", or set CHROMIUM to the program.`);
  }
  return chromium.launch({ executablePath, args: ARGUMENTS });
}

/** Notes whatever a page must not do. `expected` says which failures a test provokes. */
function watch(page, origin, expected) {
  const complaints = [];
  const complain = (url, text) => expected.test(url) || complaints.push(text);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complain(message.location().url, `console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.stack}`));
  page.on('requestfailed', (request) => complain(request.url(), `failed: ${request.url()} ${request.failure().errorText}`));
  page.on('response', (response) => response.status() >= 400 && complain(response.url(), `${response.status()}: ${response.url()}`));
  page.on('request', (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (protocol !== 'data:' && asked !== origin) complaints.push(`other host: ${request.url()}`);
  });
  return complaints;
}

/** Until the page shows what was chosen last. */
export const settled = (page) => page.waitForSelector('#map[aria-busy="false"]');

const NOTHING = /^$(?!)/;
export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 3, hasTouch: true, isMobile: true };

/** Opens the viewer and waits for its map. `prepare` may intercept requests before. */
export async function openViewer(browser, url, { device = DESKTOP, expected = NOTHING, prepare = async () => {} } = {}) {
  const context = await browser.newContext(device);
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE);
  const complaints = watch(page, new URL(url).origin, expected);
  await prepare(page);
  await page.goto(url);
  await settled(page);
  return { page, complaints, close: () => context.close() };
}

/** What the fragment of the page's address says. */
export function linkOf(page) {
  const fields = Object.fromEntries(new URLSearchParams(new URL(page.url()).hash.slice(1)));
  return { ...fields, centre: fields.centre?.split(',').map(Number), zoom: Number(fields.zoom) };
}

/** How places of the plane lie on the screen, reckoned from the permalink alone. */
export async function viewOf(page) {
  const { centre, zoom } = linkOf(page);
  const [x, y] = toPlane(centre);
  const map = page.locator('#map');
  const box = await map.boundingBox();
  // OpenLayers reckons in whole pixels, and stretches them where the box is some part of a pixel larger.
  const stretch = await map.evaluate((one, { width, height }) => [width / one.offsetWidth, height / one.offsetHeight], box);
  const metres = stretch.map((factor) => METRES_AT_ZOOM_0 / 2 ** zoom / factor);
  const middle = [box.x + box.width / 2, box.y + box.height / 2];
  return {
    box,
    toScreen: (place) => [Math.round(middle[0] + (place[0] - x) / metres[0]), Math.round(middle[1] - (place[1] - y) / metres[1])],
    toPlace: (point) => [x + (point[0] - middle[0]) * metres[0], y - (point[1] - middle[1]) * metres[1]],
    holds: ([left, top]) => left > box.x + 20 && top > box.y + 20 && left < box.x + box.width - 20 && top < box.y + box.height - 20,
  };
}

/** The colours on the screen; with a name the picture is also kept. */
export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  const path = name && join(SCREENSHOTS, `${name}.png`);
  return readPng(await page.screenshot({ path, animations: 'disabled' }));
}

/** Waits until a condition in this process holds, looking after every change on the page. */
export async function until(page, condition, what) {
  const end = Date.now() + DEADLINE;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

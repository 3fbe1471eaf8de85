import { fromArrayBuffer } from 'geotiff';
import proj4 from 'proj4';

const PLANE = '+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs';

export const toPlane = ([latitude, longitude]) => proj4(PLANE).forward([longitude, latitude]);
export const toDegrees = (place) => proj4(PLANE).inverse(place).reverse();

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  return response;
}

export const getJson = async (url) => (await get(url)).json();

const follow = (document, relation, base) => document.links
  .filter(({ rel }) => rel === relation)
  .map((link) => ({ ...link, url: new URL(link.href, base).href }));

/** The days of a product root, oldest first, read independently of the page. */
export async function readDays(root) {
  const catalogue = new URL('catalog.json', root).href;
  const [collection] = follow(await getJson(catalogue), 'child', catalogue);
  const years = follow(await getJson(collection.url), 'child', collection.url);
  const lists = await Promise.all(years.map(async ({ url }) => follow(await getJson(url), 'item', url)));
  const newestFirst = lists.flat();
  const days = new Map(newestFirst.reverse().map((link) => [link.datetime.slice(0, 10), link]));
  return [...days].map(([day, link]) => ({ day, ...link })).sort((one, other) => one.day.localeCompare(other.day));
}

/** The item of a day, and its assets' addresses. */
export async function readItem({ url }) {
  const item = await getJson(url);
  return { ...item, url, address: (key) => new URL(item.assets[key].href, url).href };
}

/** The bounding box of the cells whose values are wanted. */
function extentOf({ width, height, value }, wanted, [left, top], side) {
  const cells = Array.from({ length: width * height }, (_, cell) => [cell % width, Math.floor(cell / width)]);
  const found = cells.filter(([column, row]) => wanted(value(column, row)));
  const [columns, rows] = [0, 1].map((axis) => found.map((cell) => cell[axis]));
  const first = (all) => all.reduce((one, other) => Math.min(one, other));
  const beyond = (all) => 1 + all.reduce((one, other) => Math.max(one, other));
  return [left + side * first(columns), top - side * beyond(rows), left + side * beyond(columns), top - side * first(rows)];
}

/** A band of a file in full resolution. */
export async function readGrid(url, band = 0) {
  const image = await (await fromArrayBuffer(await (await get(url)).arrayBuffer())).getImage(0);
  const [values] = await image.readRasters({ samples: [band] });
  const [left, , right, top] = image.getBoundingBox();
  const [width, height] = [image.getWidth(), image.getHeight()];
  const side = (right - left) / width;
  const position = ([x, y]) => [(x - left) / side, (top - y) / side];
  const cellAt = (place) => position(place).map(Math.floor);
  const value = (column, row) => (column >= 0 && row >= 0 && column < width && row < height ? values[row * width + column] : undefined);
  return {
    width,
    height,
    value,
    placeOf: (column, row) => [left + side * (column + 0.5), top - side * (row + 0.5)],
    extentOf: (wanted) => extentOf({ width, height, value }, wanted, [left, top], side),
    valueAt: (place) => value(...cellAt(place)),
    /** Whether a place is so far from the edges of its cell that rounding cannot move it to another. */
    isInside: (place) => position(place).every((part) => Math.abs(part - Math.floor(part) - 0.5) < 0.4),
  };
}

function spanAround(grid, column, row, reach) {
  let [lowest, highest] = [Infinity, -Infinity];
  for (let y = row - reach; y <= row + reach; y += 1) {
    for (let x = column - reach; x <= column + reach; x += 1) {
      const value = grid.value(x, y);
      if (value === undefined || Number.isNaN(value)) return { lowest: 0, highest: Infinity };
      [lowest, highest] = [Math.min(lowest, value), Math.max(highest, value)];
    }
  }
  return { lowest, highest };
}

const KILOMETRES_OF_DEGREE = 111;

/** Away from the lines of the graticule and their labels. */
function isClear([latitude, longitude]) {
  const fromParallel = Math.abs(latitude - 10 * Math.round(latitude / 10));
  const fromMeridian = Math.abs(longitude - 30 * Math.round(longitude / 30)) * Math.cos(latitude * Math.PI / 180);
  return fromParallel > 1.5 && KILOMETRES_OF_DEGREE * fromMeridian > 120;
}

/**
 * Up to `count` places, far apart, around which the values hardly differ, for which `wanted` holds and that the view holds;
 * the calmest first.
 */
export function calmPlaces(grid, view, { count, reach, span, wanted = () => true }) {
  const found = [];
  for (let row = reach; row < grid.height; row += 8) {
    for (let column = reach; column < grid.width; column += 8) {
      const place = grid.placeOf(column, row);
      if (!wanted(grid.value(column, row)) || !view.holds(view.toScreen(place)) || !isClear(toDegrees(place))) continue;
      const { lowest, highest } = spanAround(grid, column, row, reach);
      if (highest - lowest <= span) found.push({ place, column, row, middle: (lowest + highest) / 2, span: highest - lowest });
    }
  }
  return farApart(found.sort((one, other) => one.span - other.span), count);
}

function farApart(places, count) {
  const chosen = [];
  for (const candidate of places) {
    if (chosen.length === count) break;
    const isFar = ({ column, row }) => Math.hypot(column - candidate.column, row - candidate.row) > 50;
    if (chosen.every(isFar)) chosen.push(candidate);
  }
  return chosen;
}

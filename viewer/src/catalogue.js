import { ReadError, request } from './reading.js';

async function readJson(url) {
  // Lists grow: the copy that the browser kept may lack the newest day.
  const text = await (await request(url, { cache: 'no-cache' })).text();
  try {
    return { document: JSON.parse(text), size: new TextEncoder().encode(text).length };
  } catch {
    throw new ReadError('not readable as JSON', url);
  }
}

const linksOf = (document, relation) => (document.links ?? []).filter((link) => link.rel === relation);

/** An address relative to another; what is not of the web, such as a script, is refused. */
function resolve(reference, base) {
  const address = new URL(reference, base);
  if (!/^https?:$/.test(address.protocol)) throw new ReadError('it refers to an address that is not of the web', base);
  return address.href;
}

// With the last product its catalog is taken away, too.
async function readRoot(url) {
  try {
    return (await readJson(url)).document;
  } catch (error) {
    if (error.status === 404) return {};
    throw error;
  }
}

/** The collection and its years, newest first. Without a catalog, a collection, or years in it, there is no product. */
export async function openCatalogue(url) {
  const root = await readRoot(url);
  const [child] = linksOf(root, 'child');
  if (!child) return { collection: {}, years: [] };
  const base = resolve(child.href, url);
  const collection = (await readJson(base)).document;
  const years = linksOf(collection, 'child').map((link) => ({ title: link.title, url: resolve(link.href, base) }));
  return { collection, years: years.sort((one, other) => other.title.localeCompare(one.title)) };
}

/** The days of a year, each with its highest revision, the first link of a day; and the revisions of it that were taken back. */
export async function openYear(year) {
  const { document } = await readJson(year.url);
  const days = new Map();
  for (const link of linksOf(document, 'item')) {
    const day = link.datetime.slice(0, 10);
    const [status, revision] = [link['nilas:status'], link['nilas:revision']];
    if (!days.has(day)) days.set(day, { day, url: resolve(link.href, year.url), status, revision });
  }
  return { days: [...days.values()], withdrawn: document['nilas:withdrawn'] ?? [] };
}

const assetOf = (asset, base) => ({
  url: resolve(asset.href, base),
  title: asset.title,
  size: asset['file:size'],
  bands: asset.bands ?? [],
  classes: asset['classification:classes'] ?? [],
});

/** The item of a day: its properties, and its assets by their keys. */
export async function openItem({ url }) {
  const { document, size } = await readJson(url);
  const entries = Object.entries(document.assets).map(([key, asset]) => [key, assetOf(asset, url)]);
  return { url, size, properties: document.properties, assets: new Map(entries) };
}

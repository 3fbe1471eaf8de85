import { amountText, dayText, sizeText } from './format.js';
import { element, make } from './page.js';

const FILES = [
  ['netcdf', 'All fields and members'],
  ['mean', 'Mean'],
  ['spread', 'Spread'],
  ['p10', '10th percentile'],
  ['p50', '50th percentile'],
  ['p90', '90th percentile'],
  ['prob-thin', 'Probability of thin ice'],
  ['class', 'Classes'],
  ['quicklook', 'Quicklook'],
  ['regions', 'Figures of the regions'],
];
const STATUS = { final: 'Final', provisional: 'Provisional' };
const WHY_PROVISIONAL = 'Thickness or drift are older than they will be in the final product.';

function download({ url, name, title = '', size }) {
  const kind = url.split('.').pop();
  const link = make('a', { href: url, download: '', title, textContent: name });
  return make('li', {}, link, make('span', { className: 'size', textContent: [kind, sizeText(size)].filter(Boolean).join(', ') }));
}

function showDownloads(item) {
  const files = FILES.filter(([key]) => item.assets.has(key)).map(([key, name]) => ({ ...item.assets.get(key), name }));
  const itself = { url: item.url, name: 'STAC item', size: item.size };
  element('downloads').replaceChildren(...[...files, itself].map(download));
}

const figure = (value, text) => (Number.isFinite(value) ? text(value) : '–');

const figures = (region) => [
  figure(region.mean_thickness_m, (value) => value.toFixed(2)),
  figure(region.ice_volume_km3, amountText),
  figure(region.ice_volume_spread_km3, amountText),
  figure(region.ice_area_km2, amountText),
  figure(region.ice_area_without_estimate_km2, amountText),
];

function showRegions(regions = []) {
  const rows = regions.map((region) => {
    const cells = figures(region).map((textContent) => make('td', { textContent }));
    return make('tr', {}, make('th', { scope: 'row', textContent: region.title }), ...cells);
  });
  element('regions').hidden = rows.length === 0;
  element('regions').querySelector('tbody').replaceChildren(...rows);
}

function factsOf({ version, created, 'nilas:members': members }) {
  const made = created ? `, made ${created.slice(0, 16).replace('T', ' ')} UTC` : '';
  return `Revision ${Number(version.replace(/\D/g, ''))}, ${members} members${made}.`;
}

/** Shows the day and whether its product is final, before anything of it has been read; nothing where there is none. */
export function showHeadline({ day, status }) {
  const badge = element('status');
  element('headline-day').textContent = dayText(day);
  Object.assign(badge, { hidden: !status, textContent: STATUS[status] ?? status, title: status === 'provisional' ? WHY_PROVISIONAL : '' });
  badge.classList.toggle('provisional', status === 'provisional');
}

/** Shows the files and figures of a day, or that there are none. */
export function showItem(item) {
  element('facts').textContent = item ? factsOf(item.properties) : '';
  if (item) showDownloads(item);
  else element('downloads').replaceChildren();
  showRegions(item?.properties['nilas:regions']);
}

function provider({ name, url, description }) {
  const who = url && /^https?:/.test(url) ? make('a', { href: url, textContent: name }) : make('span', { textContent: name });
  return make('li', {}, who, description ? `: ${description}` : '');
}

/** Shows what the collection says of itself: its title, who made it and under which licence. */
export function showCollection({ title, providers = [], license: licence }) {
  if (title) {
    Object.assign(element('title'), { textContent: title, title });
    document.title = title;
  }
  element('providers').replaceChildren(...providers.map(provider));
  element('licence').textContent = licence ? `Licence of the products: ${licence}.` : '';
}

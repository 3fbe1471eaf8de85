import { openCatalogue, openItem, openYear } from './catalogue.js';
import { classesOf, coloursBelow, coloursOf } from './classes.js';
import { showDay, showLayer, showThresholds, watchControls } from './controls.js';
import { showCollection, showHeadline, showItem } from './details.js';
import { dayText } from './format.js';
import { CLASSES, layerNamed, quantityOf, THIN } from './layers.js';
import { showLegend } from './legend.js';
import { lossText } from './loss.js';
import { createMap } from './map.js';
import { say } from './messages.js';
import { element } from './page.js';
import { paintClasses, paintNumbers } from './paint.js';
import { readLink, writeLink } from './permalink.js';
import { toDegrees, toPlane } from './projection.js';
import { ReadError, reasonOf } from './reading.js';
import { showHint, showReadout } from './readout.js';
import { Picture } from './scene.js';

const CATALOGUE = new URL('../catalog.json', window.location.href).href;
// While someone drags the slider nothing is read.
const SETTLING_MILLISECONDS = 120;
const LOOK_AGAIN_MILLISECONDS = 15 * 60 * 1000;

const OUTSIDE = { name: 'no value', text: 'outside the map' };

const state = { layer: 'mean', threshold: 0.3, opacity: 1 };
const years = new Map();
let days = [];
let item;
let classes = [];
let pointed;
let framed = false;
let busy = true;
let turns = 0;
let settling;
let isLooking = false;

const map = createMap(element('map'), { onPlace: point, onMove: moved });
const below = new Picture(map, map.showUnderlay);
const above = new Picture(map, map.showOverlay);

function setBusy(value) {
  busy = value;
  element('map').setAttribute('aria-busy', String(value));
}

/** Keeps the address of the page such that it leads back to what is shown. */
function remember() {
  if (!state.day || !framed) return;
  const { day, layer, threshold, opacity } = state;
  const view = { centre: toDegrees(map.centre()), zoom: map.zoom() };
  const link = writeLink({ day, layer, threshold: layer === THIN ? threshold : undefined, opacity, ...view });
  window.history.replaceState(null, '', link);
}

async function readValue() {
  const asked = pointed;
  if (!asked || !above.about) showHint();
  if (!asked || !above.about || busy) return;
  const [value, surface] = await Promise.all([above.valueAt(asked.place), below.valueAt(asked.place)]);
  if (asked !== pointed || busy || !above.about) return;
  const meaning = classes.find((entry) => entry.value === surface) ?? OUTSIDE;
  showReadout({ ...above.about, value, meaning, place: toDegrees(asked.place), spoken: asked.spoken });
}

const unreadable = (what, error) => `${what} cannot be read. ${reasonOf(error)}.`;

const failed = (subject, what) => (error) => say(subject, unreadable(what, error));

function point(place, how) {
  pointed = place && { place, spoken: how !== 'pointer' };
  readValue().catch(failed('value', 'The value'));
}

function moved() {
  remember();
  below.refine().catch(failed('below', 'The map of land and sea'));
  above.refine().catch(failed('above', 'The layer'));
}

/** On the first picture the view takes in all the ice, unless the address asked for a place. */
function frame() {
  const extent = above.extentOfIce() ?? below.extentOfIce();
  if (extent) map.fit(extent);
}

function asset(key) {
  if (item.assets.has(key)) return item.assets.get(key);
  throw new ReadError('it lists no such file', item.url);
}

const thresholds = () => item.assets.get(THIN)?.bands.map((band) => band['nilas:threshold_m']) ?? [];

/** Takes the wanted threshold, or the nearest that the file has. */
function chooseThreshold() {
  const distance = (metres) => Math.abs(metres - state.threshold);
  const [nearest] = thresholds().sort((one, other) => distance(one) - distance(other));
  state.threshold = nearest ?? state.threshold;
  showThresholds(thresholds(), state.threshold);
}

const isIceClass = (value) => classes.some((entry) => entry.isIce && entry.value === value);

async function changeBelow() {
  const paint = (grid) => paintClasses(grid, coloursBelow(classes));
  await below.change({ url: asset(CLASSES).url, band: 0, paint, isIce: isIceClass });
}

async function changeAbove(layer) {
  const band = layer.id === THIN ? thresholds().indexOf(state.threshold) : 0;
  const about = { scale: layer.scale, quantity: quantityOf(layer, state.threshold) };
  const paint = (grid) => (layer.scale ? paintNumbers(grid, layer.scale) : paintClasses(grid, coloursOf(classes)));
  const isIce = layer.scale ? (value) => !Number.isNaN(value) : isIceClass;
  showLegend(layer, about.quantity, classes);
  await above.change({ url: asset(layer.id).url, band, paint, isIce, about });
}

async function showPictures(isLatest) {
  const layer = layerNamed(state.layer);
  const day = dayText(state.day);
  chooseThreshold();
  const [underlay, overlay] = await Promise.allSettled([changeBelow(), changeAbove(layer)]);
  if (!isLatest()) return;
  say('below', underlay.reason && unreadable(`The map of land and sea of ${day}`, underlay.reason));
  say('above', overlay.reason && unreadable(`The layer “${layer.button}” of ${day}`, overlay.reason));
  // Nothing of another day may stay where a file is missing.
  if (underlay.reason) below.clear();
  if (overlay.reason) above.clear();
  if (!framed) frame();
  framed = true;
}

const entryOf = (wanted) => days.find(({ day }) => day === wanted);

async function readItem(isLatest) {
  const entry = entryOf(state.day);
  if (item?.url === entry.url) return;
  const read = await openItem(entry);
  if (!isLatest()) return;
  item = read;
  classes = classesOf(item);
  showItem(item);
}

function clearItem() {
  item = undefined;
  showItem(undefined);
  below.clear();
  above.clear();
}

function dropItem(error) {
  clearItem();
  say('item', unreadable(`The product of ${dayText(state.day)}`, error));
}

/** Reads and shows what is chosen now. A later choice overtakes an earlier one that is still being read. */
async function refresh() {
  turns += 1;
  const turn = turns;
  const isLatest = () => turn === turns;
  setBusy(true);
  try {
    await readItem(isLatest);
    if (isLatest()) say('item');
    if (isLatest()) await showPictures(isLatest);
  } catch (error) {
    if (isLatest()) dropItem(error);
  }
  if (!isLatest()) return;
  map.draw();
  setBusy(false);
  remember();
  readValue().catch(failed('value', 'The value'));
}

function showChoice() {
  map.fadeOverlay(state.opacity);
  showLayer(layerNamed(state.layer), state.opacity);
  if (days.length === 0) return;
  showDay(days, state.day);
  showHeadline(entryOf(state.day));
}

function change(part) {
  Object.assign(state, part);
  showChoice();
  if (days.length === 0) return;
  say('day');
  setBusy(true);
  clearTimeout(settling);
  settling = setTimeout(refresh, SETTLING_MILLISECONDS);
}

function fade(opacity) {
  state.opacity = opacity;
  showChoice();
}

/** The day itself, or the last one before it, or the first one of all. */
function nearestDay(wanted) {
  const { day } = days.findLast((entry) => entry.day <= wanted) ?? days[0];
  if (day !== wanted) say('day', `There is no product of ${dayText(wanted)}. This is ${dayText(day)}.`);
  return day;
}

function takeLink() {
  const { centre, zoom, ...choice } = readLink(window.location.hash);
  if (!layerNamed(choice.layer)) delete choice.layer;
  Object.assign(state, choice);
  if (!centre || zoom === undefined) return;
  map.look(toPlane(...centre), zoom);
  framed = true;
}

function begin() {
  state.day = nearestDay(state.day ?? days.at(-1).day);
  showChoice();
  refresh();
}

function followLink() {
  if (days.length === 0) return;
  takeLink();
  say('day');
  begin();
}

/** Takes everything away that was of a product. */
function showNothing() {
  clearTimeout(settling);
  turns += 1;
  state.day = undefined;
  clearItem();
  for (const subject of ['item', 'below', 'above']) say(subject);
  showDay(days, undefined);
  showHeadline({});
  map.draw();
  readValue().catch(failed('value', 'The value'));
}

/** What was shown is not there any more, or has a newer revision: what stands takes its place, and the view stays as it is. */
function replace(shown, instead) {
  const withdrawn = [...years.values()].flatMap((year) => year.withdrawn);
  say('day', lossText(shown, withdrawn, instead));
  if (!instead) {
    showNothing();
    return;
  }
  state.day = instead.day;
  showChoice();
  refresh();
}

/** Takes the days that the catalogs have now. */
function takeDays() {
  const shown = entryOf(state.day);
  const all = [...years.values()].flatMap((year) => year.days);
  days = all.sort((one, other) => one.day.localeCompare(other.day));
  const instead = entryOf(shown?.day) ?? days.at(-1);
  if (!shown && instead) {
    say('day');
    begin();
  } else if (shown && shown.url === instead?.url) {
    showDay(days, state.day);
  } else if (shown) {
    replace(shown, instead);
  }
}

/** Reads a year; what is known of it stays where that fails. */
async function readYear(year) {
  const subject = `year ${year.title}`;
  try {
    years.set(year.title, { ...year, ...await openYear(year) });
    say(subject);
  } catch (error) {
    say(subject, unreadable(`The list of days of ${year.title}`, error));
  }
}

/** Nothing leads any more to a year in which nothing stands, but it says why. */
async function leaveYear(year) {
  const { withdrawn } = await openYear(year).catch(() => ({ withdrawn: [] }));
  years.set(year.title, { ...year, days: [], withdrawn });
}

/** Reads the year that is asked for first, so that its map need not wait for the others. */
async function readYears(listed) {
  const wanted = state.day?.slice(0, 4);
  const order = [...listed].sort((one, other) => (other.title === wanted) - (one.title === wanted));
  for (const year of order) {
    await readYear(year);
    if (days.length === 0) takeDays();
  }
  const left = [...years.values()].filter(({ title }) => !listed.some((year) => year.title === title));
  for (const year of left) await leaveYear(year);
  takeDays();
}

async function readCatalogue() {
  const { collection, years: listed } = await openCatalogue(CATALOGUE);
  showCollection(collection);
  await readYears(listed);
  // A list that cannot be read has said so.
  const isEmpty = days.length === 0 && listed.every(({ title }) => years.has(title));
  say('catalogue', isEmpty ? 'There is no product here.' : undefined);
}

/** Looks what the catalogs have: at the start, and again while the page is open. */
async function look() {
  if (isLooking) return;
  isLooking = true;
  await readCatalogue().catch(failed('catalogue', 'The list of products'));
  isLooking = false;
  if (days.length === 0) setBusy(false);
}

function lookAgain() {
  if (!document.hidden) look();
}

function start() {
  takeLink();
  watchControls({ days: () => ({ all: days, day: state.day }), change, fade, faded: remember });
  element('zoom-in').addEventListener('click', () => map.zoomBy(1));
  element('zoom-out').addEventListener('click', () => map.zoomBy(-1));
  element('zoom-ice').addEventListener('click', frame);
  window.addEventListener('hashchange', followLink);
  document.addEventListener('visibilitychange', lookAgain);
  setInterval(lookAgain, LOOK_AGAIN_MILLISECONDS);
  look();
}

start();

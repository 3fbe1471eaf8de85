import { CLASSES } from './layers.js';

// All other classes are ice of which one thing or another is known.
const WITHOUT_ICE = new Set(['land', 'open_water', 'no_estimate']);
const PLAIN_ICE = [250, 251, 253];

const channels = (hexadecimal) => [0, 2, 4].map((at) => parseInt(hexadecimal.slice(at, at + 2), 16));

/** The classes of an item: what each value of its class file means, and its colour. */
export function classesOf(item) {
  const listed = item.assets.get(CLASSES)?.classes ?? [];
  return listed.map(({ value, name, description, color_hint: colour }) => ({
    value,
    name: name.replaceAll('_', ' '),
    text: description ?? name,
    isIce: !WITHOUT_ICE.has(name),
    colour: channels(colour ?? 'CCCCCC'),
  }));
}

export const coloursOf = (classes) => new Map(classes.map(({ value, colour }) => [value, colour]));

/** Colours for below the other layers: the ice itself is plain, so that it does not tint a layer that is not opaque. */
export const coloursBelow = (classes) => new Map(classes.map(({ value, colour, isIce }) => [value, isIce ? PLAIN_ICE : colour]));

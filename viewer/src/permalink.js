const number = (text) => (text?.trim() ? Number(text) : NaN);
const within = (value, lowest, highest) => (value >= lowest && value <= highest ? value : undefined);

function placeOf(text) {
  const [latitude, longitude] = (text ?? '').split(',').map(number);
  const valid = within(latitude, 0, 90) !== undefined && within(longitude, -180, 180) !== undefined;
  return valid ? [latitude, longitude] : undefined;
}

/** What a fragment asks for; what it lacks or what makes no sense is left out. */
export function readLink(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ''));
  const day = fields.get('day');
  const found = {
    day: /^\d{4}-\d{2}-\d{2}$/.test(day ?? '') ? day : undefined,
    layer: fields.get('layer') ?? undefined,
    threshold: within(number(fields.get('threshold')), 0, 100),
    opacity: within(number(fields.get('opacity')), 0, 1),
    centre: placeOf(fields.get('centre')),
    zoom: within(number(fields.get('zoom')), 0, 20),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

/** The fragment for a state; four decimals of a degree are some ten metres. */
export function writeLink({ day, layer, threshold, opacity, centre, zoom }) {
  const fields = [['day', day], ['layer', layer], ['threshold', threshold], ['opacity', opacity]];
  if (centre) fields.push(['centre', centre.map((degrees) => degrees.toFixed(4)).join(',')], ['zoom', zoom.toFixed(4)]);
  return `#${fields.filter(([, value]) => value !== undefined).map((field) => field.join('=')).join('&')}`;
}

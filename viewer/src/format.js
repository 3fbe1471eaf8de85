const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' });
const WHOLE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const SMALL = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 });

/** `1 March 2026` of `2026-03-01`; nothing of no day. */
export const dayText = (day) => (day ? DAY.format(new Date(`${day}T12:00:00Z`)) : '');

/** An area or a volume, thousands apart; small ones with a decimal. */
export const amountText = (number) => (number < 10 ? SMALL : WHOLE).format(number);

/** A number with its unit, if it has one. */
export const valueText = (value, { decimals, unit }) => `${value.toFixed(decimals)} ${unit}`.trim();

/** Degrees of latitude and longitude with three decimals: some 100 metres. */
export function placeText([latitude, longitude]) {
  const north = `${Math.abs(latitude).toFixed(3)}° ${latitude < 0 ? 'S' : 'N'}`;
  return `${north}, ${Math.abs(longitude).toFixed(3)}° ${longitude < 0 ? 'W' : 'E'}`;
}

/** The size of a file, in units of 1000 as download dialogues show it. */
export function sizeText(bytes) {
  if (!Number.isFinite(bytes)) return '';
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

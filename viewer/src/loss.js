import { dayText } from './format.js';

/**
 * Says that the product which was shown is not there any more, and why; nothing where it only made way for a newer revision. `instead` is
 * what is shown in its place, if anything is.
 */
export function lossText({ day, revision }, withdrawn, instead) {
  const note = withdrawn.find((entry) => entry.day === day && entry.revision === revision);
  const sameDay = instead?.day === day;
  if (!note && sameDay) return undefined;
  const what = sameDay ? `Revision ${revision} of ${dayText(day)}` : `The product of ${dayText(day)}`;
  const fate = note ? `was taken back (${note.reason})` : 'is not there any more';
  const shown = sameDay ? `revision ${instead.revision}` : dayText(instead?.day);
  return `${what} ${fate}.${shown && ` This is ${shown}.`}`;
}

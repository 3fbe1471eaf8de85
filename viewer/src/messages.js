import { element, make } from './page.js';

const texts = new Map();

/** Shows a message about a subject in place of the last one about it; without text it takes that one away. */
export function say(subject, text) {
  if (texts.get(subject) === text) return;
  texts.delete(subject);
  if (text) texts.set(subject, text);
  element('messages').replaceChildren(...[...texts.values()].map((message) => make('p', { textContent: message })));
}

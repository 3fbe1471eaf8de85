/** The element of that id in the page. */
export const element = (id) => document.getElementById(id);

/** A new element with properties and children; text is never read as markup. */
export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

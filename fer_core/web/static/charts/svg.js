// SVG elements in one line.
const SPACE = "http://www.w3.org/2000/svg";

/** Returns an SVG element with attributes and children (elements or text). */
export function svg(name, attributes = {}, children = []) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

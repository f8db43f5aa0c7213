// Small things of the document.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; `null` children are left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null));
  return made;
}

/** The same for SVG, whose attributes are all text. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Text of an element, touched only when it differs, so that nobody is told the same twice. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A canvas made ready for drawing in CSS pixels, sharp on this screen; returns its context. */
export function fitted(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The canvas with pixels [rows*cols] of 0..pixelMax as a grey image of that size. */
export function grey(canvas, pixels, { rows, cols, pixelMax }) {
  [canvas.width, canvas.height] = [cols, rows];
  const picture = new ImageData(cols, rows);
  pixels.forEach((pixel, at) => picture.data.set([...Array(3).fill((255 * pixel) / pixelMax), 255], 4 * at));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** A number of any size for people: four significant digits, a true minus. */
export function figure(value) {
  const size = Math.abs(value);
  const text = value === 0 ? "0" : size >= 1e5 || size < 1e-4 ? value.toExponential(2) : value.toPrecision(4);
  return text.replace("-", "−");
}

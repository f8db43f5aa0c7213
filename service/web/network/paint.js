// Paints a network and what it made of a digit onto a canvas.

import { cellOf } from "./arrange.js";
import { fitted } from "../dom.js";

const PIXELS_EACH = 7; // edges from the image to each neuron
const STRONG = 56; // contributions that are brought out between two layers
const FAINT = 1200; // most edges that are drawn faintly between two layers
const FOCUS = 160; // edges into a neuron that is looked at

/** The colours of the page as they are now. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => rgb(style.getPropertyValue(name).trim());
  return { plus: get("--plus"), minus: get("--minus"), lit: get("--lit"), warm: get("--warm"), unlit: get("--unlit"), ring: get("--ring"), ground: get("--stage") };
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;
export const mix = (a, b, part) => a.map((each, at) => Math.round(each + (b[at] - each) * part));

/** -1..1 for each neuron: its activation beside the strongest of its layer, or beside what its function can reach. */
export function lights(values, activation) {
  const bounded = activation === "logistic" || activation === "tanh" || activation === "softmax";
  const most = bounded ? 1 : Math.max(1e-9, ...values.map(Math.abs));
  return values.map((value) => value / most);
}

/**
 * Paint onto `context`, whose unit is a CSS pixel.
 *
 * `net` is {arrangement, card, layers} with the weights that are here, by layer from 1; `seen` is what the network
 * made of a digit: {values: [pixels, hidden_1, …], scores}, or null; `focus` is {layer, neuron}, or null.
 */
export function paint(context, net, seen, focus, colours) {
  const { arrangement, card } = net;
  const last = card.layerWidths.length - 1;
  image(context, arrangement.image, seen?.values[0], card.rows, card.cols, (value) => {
    return mix([8, 10, 16], [255, 255, 255], Math.min(1, value / card.pixelMax));
  }, colours);
  for (let layer = 1; layer <= last; layer++) {
    if (focus && focus.layer !== layer) context.globalAlpha = focus.layer === layer - 1 ? 0.55 : 0.22;
    if (focus?.layer !== layer && all(net, layer)) context.drawImage(faint(net, layer, colours), 0, 0, arrangement.width, arrangement.height);
    edges(context, net, seen, layer, focus?.layer === layer ? focus.neuron : -1, focus?.layer === layer - 1 ? focus.neuron : -1, colours);
    context.globalAlpha = 1;
  }
  arrangement.layers.forEach((layer, index) => {
    const values = seen ? seen.lights[index + 1] : null;
    if (layer.kind === "map") {
      image(context, layer.box, values, layer.rows, layer.cols, (value) => shade(value, colours), colours);
      if (focus?.layer === index + 1) mark(context, layer, focus.neuron, colours);
    } else {
      layer.at.forEach((at, neuron) => {
        dot(context, at, layer.r, values ? values[neuron] : 0, colours, focus?.layer === index + 1 && focus.neuron === neuron);
      });
    }
  });
  arrangement.outputs.at.forEach((at, seat) => {
    dot(context, at, arrangement.outputs.r, seen ? seen.scores[seat] : 0, colours, focus?.layer === last && focus.neuron === seat);
  });
}

/** The colour of a light: from dark through warm to bright, or towards the colour of what inhibits below 0. */
function shade(value, { unlit, warm, lit, minus }) {
  if (value < 0) return mix(unlit, minus, Math.min(1, -value));
  return value < 0.5 ? mix(unlit, warm, 2 * value) : mix(warm, lit, Math.min(1, 2 * value - 1));
}

function dot(context, [x, y], r, value, colours, looked) {
  const light = Math.min(1, Math.abs(value));
  if (light > 0.08) {
    const reach = r * (1.3 + 1.5 * light);
    const glow = context.createRadialGradient(x, y, r * 0.8, x, y, reach);
    const colour = value < 0 ? colours.minus : colours.lit;
    glow.addColorStop(0, css(colour, 0.45 * light));
    glow.addColorStop(1, css(colour, 0));
    context.fillStyle = glow;
    circle(context, x, y, reach);
    context.fill();
  }
  circle(context, x, y, r);
  context.fillStyle = css(shade(value, colours));
  context.fill();
  context.lineWidth = looked ? 2.5 : 1;
  context.strokeStyle = css(looked ? colours.plus : mix(colours.ring, colours.lit, light * 0.8));
  context.stroke();
}

function circle(context, x, y, r) {
  context.beginPath();
  context.arc(x, y, r, 0, 7);
}

const scratch = document.createElement("canvas");

/** Values [rows, cols] as an image in a box; a frame alone where there are none. */
export function image(context, box, values, rows, cols, colour, colours) {
  if (values) {
    scratch.width = cols;
    scratch.height = rows;
    const pixels = new ImageData(cols, rows);
    for (let at = 0; at < rows * cols; at++) {
      pixels.data.set(at < values.length ? [...colour(values[at]), 255] : [0, 0, 0, 0], 4 * at);
    }
    scratch.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(scratch, box.x, box.y, box.w, box.h);
  } else {
    context.fillStyle = css(colours.unlit, 0.5);
    context.fillRect(box.x, box.y, box.w, box.h);
  }
  context.lineWidth = 1;
  context.strokeStyle = css(colours.ring);
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.w + 1, box.h + 1);
}

function mark(context, layer, neuron, colours) {
  const { x, y } = cellOf(layer, neuron);
  const half = Math.max(layer.cell, 8) / 2 + 1;
  context.lineWidth = 2;
  context.strokeStyle = css(colours.plus);
  context.strokeRect(x - half, y - half, 2 * half, 2 * half);
}

/** Where neuron `index` of layer `number` (0: the image) sends from or receives. */
function end(arrangement, number, index, last, incoming) {
  const side = incoming ? -1 : 1;
  let x, y, r;
  if (number === last) {
    [[x, y], r] = [arrangement.outputs.at[index], arrangement.outputs.r];
  } else if (number === 0) {
    const { image: box, rows, cols } = arrangement;
    return [box.x + ((index % cols) + 0.5) * (box.w / cols), box.y + (Math.floor(index / cols) + 0.5) * (box.h / rows)];
  } else {
    const layer = arrangement.layers[number - 1];
    if (layer.kind === "map") return [cellOf(layer, index).x, cellOf(layer, index).y];
    [[x, y], r] = [layer.at[index], layer.r];
  }
  return arrangement.wide ? [x + side * r, y] : [x, y + side * r];
}

/** Layer `number` as it is drawn: image, dots or map. */
function kind({ arrangement, card }, number) {
  return number === 0 ? "image" : number === card.layerWidths.length - 1 ? "dots" : arrangement.layers[number - 1].kind;
}

/** Whether single edges into layer `number` are drawn. */
function single(net, number) {
  const last = number === net.card.layerWidths.length - 1;
  return net.layers[number] && !(last && net.layers[number].neurons > net.arrangement.outputs.shown);
}

/** Whether all edges into layer `number` are drawn. */
function all(net, number) {
  return single(net, number) && kind(net, number - 1) === "dots" && kind(net, number) === "dots" && net.layers[number].weights.length <= FAINT;
}

function line(context, { arrangement, card }, number, { from, to, weight }, width, alpha, colours) {
  const last = card.layerWidths.length - 1;
  const [x1, y1] = end(arrangement, number - 1, from, last, false);
  const [x2, y2] = end(arrangement, number, to, last, true);
  context.lineWidth = width;
  context.strokeStyle = css(weight >= 0 ? colours.plus : colours.minus, alpha);
  context.beginPath();
  context.moveTo(x1, y1);
  if (arrangement.wide) context.bezierCurveTo((x1 + x2) / 2, y1, (x1 + x2) / 2, y2, x2, y2);
  else context.bezierCurveTo(x1, (y1 + y2) / 2, x2, (y1 + y2) / 2, x2, y2);
  context.stroke();
}

const drawn = new WeakMap(); // arrangement -> by layer {canvas, weights, colours}

/** A canvas with all edges into layer `number`, faintly: they are the same for every digit. */
function faint(net, number, colours) {
  const { arrangement } = net;
  const { weights, neurons } = net.layers[number];
  if (!drawn.has(arrangement)) drawn.set(arrangement, []);
  const before = drawn.get(arrangement)[number];
  if (before?.weights === weights && before.colours === colours && before.scale === devicePixelRatio) return before.canvas;
  const canvas = document.createElement("canvas");
  const context = fitted(canvas, arrangement.width, arrangement.height);
  const most = greatest(weights);
  weights.forEach((weight, at) => {
    const part = Math.abs(weight) / most;
    if (part > 0.06) line(context, net, number, { from: Math.floor(at / neurons), to: at % neurons, weight }, 0.8, 0.05 + 0.2 * part, colours);
  });
  drawn.get(arrangement)[number] = { canvas, weights, colours, scale: devicePixelRatio };
  return canvas;
}

/** The edges into layer `number` that this digit brings out. */
function edges(context, net, seen, number, into, outOf, colours) {
  const { arrangement, layers, card } = net;
  if (!single(net, number) || (kind(net, number) === "map" && into < 0)) {
    veil(context, arrangement, number, card.layerWidths.length - 1, colours);
    return;
  }
  const layer = layers[number];
  const values = seen?.inputs[number - 1];
  if (!values) return;
  const found = into >= 0 ? contributions(values, layer, FOCUS, into, into + 1)
    : outOf >= 0 ? contributions(values, layer, FOCUS, 0, layer.neurons, outOf)
      : kind(net, number - 1) === "image" ? spread(values, layer) : contributions(values, layer, STRONG, 0, layer.neurons);
  const most = found.length ? found[0].size : 1;
  const fine = kind(net, number - 1) === "image";
  for (const edge of found.reverse()) {
    const part = edge.size / most;
    line(context, net, number, edge, fine ? 0.6 + 1.2 * part : 0.7 + 3 * part, fine ? 0.08 + 0.62 * part : 0.15 + 0.8 * part, colours);
  }
}

/** The greatest of value × weight by size, for neurons first..end, of all inputs or one; the strongest first. */
export function contributions(values, { weights, neurons }, count, first, beyond, only = -1) {
  const found = [];
  let least = 0; // size of the last of them, once there are enough
  for (let from = Math.max(only, 0); from < (only < 0 ? values.length : only + 1); from++) {
    const value = values[from];
    if (value === 0) continue;
    for (let to = first; to < beyond; to++) {
      const weight = weights[from * neurons + to];
      const size = Math.abs(value * weight);
      if (size <= least) continue;
      let at = found.length;
      while (at > 0 && found[at - 1].size < size) at--;
      found.splice(at, 0, { from, to, weight, size });
      if (found.length > count) found.pop();
      if (found.length === count) least = found[count - 1].size;
    }
  }
  return found;
}

/** Some of each neuron, so that one that takes everything does not hide the others. */
function spread(values, layer) {
  const found = [];
  for (let to = 0; to < layer.neurons; to++) found.push(...contributions(values, layer, PIXELS_EACH, to, to + 1));
  return found.sort((a, b) => b.size - a.size);
}

/** Stands for edges that are too many to draw. */
function veil(context, arrangement, number, last, colours) {
  const span = (at) => {
    if (at === 0) return arrangement.image;
    if (at < last && arrangement.layers[at - 1].kind === "map") return arrangement.layers[at - 1].box;
    const points = at === last ? arrangement.outputs.at : arrangement.layers[at - 1].at;
    const [xs, ys] = [0, 1].map((i) => points.map((point) => point[i]));
    const [x, y] = [Math.min(...xs), Math.min(...ys)];
    return { x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y };
  };
  const [a, b] = [span(number - 1), span(number)];
  context.fillStyle = css(colours.ring, 0.22);
  context.beginPath();
  const corners = arrangement.wide
    ? [[a.x + a.w, a.y], [b.x, b.y], [b.x, b.y + b.h], [a.x + a.w, a.y + a.h]]
    : [[a.x, a.y + a.h], [b.x, b.y], [b.x + b.w, b.y], [a.x + a.w, a.y + a.h]];
  for (const corner of corners) context.lineTo(...corner);
  context.fill();
}

/** The greatest size among numbers, above 0. */
export function greatest(values) {
  let most = 1e-12;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

// Where everything of a network is drawn: from left to right where there is room, else from top to bottom.

const WIDE = 560; // pixels from which on it goes from left to right
const MOST_NEURONS = 64; // of a layer that is drawn neuron by neuron; wider ones are heat maps
const MOST_CLASSES = 26;

/**
 * Places for a network in `width` pixels: {wide, width, height, image, layers, outputs}.
 *
 * `widths` are the neurons of each layer from input to output. A layer is {kind: "dots", at: [[x, y], …], r} or
 * {kind: "map", box, rows, cols, cell}; outputs are {at, r, shown}; a box is {x, y, w, h}.
 */
export function arrange(width, widths, classes) {
  const wide = width >= WIDE;
  // Along: the way that a digit takes through the network. Across: along its layers.
  const hidden = widths.slice(1, -1);
  const shown = Math.min(classes, MOST_CLASSES);
  const height = wide ? Math.min(Math.max(width * 0.56, 400), 540) : 470 + 46 * hidden.length;
  const [long, broad] = wide ? [width, height] : [height, width];
  const place = (along, across) => (wide ? [along, across] : [across, along]);
  const box = (along, across, a, c) => (wide ? { x: along, y: across, w: a, h: c } : { x: across, y: along, w: c, h: a });

  const side = wide ? Math.min(Math.max(width * 0.23, 132), 220) : 120;
  const begin = 6;
  const end = long - (wide ? Math.min(190, width * 0.24) : 96); // where the neurons of the outputs are
  const sizes = hidden.map((neurons) => layerSize(neurons, wide, broad, (end - begin - side) / (hidden.length + 0.6)));
  const gap = (end - begin - side - sizes.reduce((sum, size) => sum + size.along, 0)) / (hidden.length + 1);
  let along = begin + side;
  const layers = sizes.map((size, index) => {
    along += gap;
    const first = along;
    along += size.along;
    const neurons = hidden[index];
    if (size.kind === "map") {
      const lead = (broad - size.across) / 2;
      return { kind: "map", neurons, box: box(first, lead, size.along, size.across), ...grid(size, wide) };
    }
    const at = Array.from({ length: neurons }, (_, neuron) => {
      const [line, seat] = [Math.floor(neuron / size.each), neuron % size.each];
      const seats = Math.min(size.each, neurons - line * size.each);
      return place(first + (line + 0.5) * size.step, broad / 2 + (seat - (seats - 1) / 2) * size.pitch);
    });
    return { kind: "dots", neurons, at, r: size.r };
  });
  const pitch = (broad - (wide ? 16 : 4)) / shown;
  const outputs = {
    shown, pitch,
    r: Math.min(10, pitch * 0.36),
    at: Array.from({ length: shown }, (_, seat) => place(end, broad / 2 + (seat - (shown - 1) / 2) * pitch)),
  };
  return { wide, width, height, image: box(begin, (broad - side) / 2, side, side), layers, outputs };
}

function layerSize(neurons, wide, broad, room) {
  if (neurons > MOST_NEURONS) {
    const most = broad * 0.86; // across
    const fewest = Math.sqrt((Math.min(room * 0.6, most * 0.6) / most) * neurons); // lines of cells
    const lines = [0, 1, -1, 2, -2, 3].map((more) => Math.round(fewest) + more).find((count) => count > 0 && neurons % count === 0) ?? Math.ceil(fewest);
    const each = Math.ceil(neurons / lines); // cells of a line
    const cell = most / each;
    return { kind: "map", along: lines * cell, across: most, each, lines, cell };
  }
  const each = wide ? 16 : neurons <= 16 ? 8 : 16;
  const lines = Math.ceil(neurons / each);
  const pitch = Math.min((broad - 12) / Math.min(each, neurons), wide ? 44 : 46);
  const step = lines === 1 ? pitch : Math.min(pitch, Math.max(24, room / lines));
  return { kind: "dots", along: lines * step, each, pitch, step, r: Math.min(11, pitch * 0.36, step * 0.36) };
}

const grid = (size, wide) => ({
  cell: size.cell,
  cols: wide ? size.lines : size.each,
  rows: wide ? size.each : size.lines,
});

/** Row and column of a neuron in its heat map, and the middle of its cell. */
export function cellOf(layer, neuron) {
  const [row, col] = [Math.floor(neuron / layer.cols), neuron % layer.cols];
  return { row, col, x: layer.box.x + (col + 0.5) * layer.cell, y: layer.box.y + (row + 0.5) * layer.cell };
}

/** The neuron at a point of the stage, or -1. */
export function neuronAt(layer, x, y) {
  const [row, col] = [Math.floor((y - layer.box.y) / layer.cell), Math.floor((x - layer.box.x) / layer.cell)];
  const neuron = row * layer.cols + col;
  return col >= 0 && col < layer.cols && row >= 0 && neuron < layer.neurons ? neuron : -1;
}

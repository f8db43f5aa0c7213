// Digits that come with the page, by data set: test digits that the models at hand take for others, and some more;
// and digits of MNIST's training set.

import { element, grey } from "../dom.js";
import { base64 } from "../reading/picture.js";
import * as rpc from "../rpc.js";

const FILES = { mnist: "examples/mnist.gz", digits: "examples/digits.gz" };
const TRAINING = "examples/mnist-training.gz";
const fetched = new Map();

/** The test digits of a card's data set, [{truth, pixels}]; none where there are none of its shape. Raises `Failure`. */
export const examples = async ({ dataset, rows, cols }) => (FILES[dataset] ? unpacked(FILES[dataset], rows * cols) : []);

/** Digits of MNIST's training set, likewise. */
export const trainingDigits = () => unpacked(TRAINING, 784);

/** A digit as a picture to be laid under the pen, with the name of what it is. */
export const picture = ({ pixels, truth }, card) => {
  const { rows, cols, pixelMax, classes } = card;
  return { bitmap: grey(element("canvas"), pixels, card), digit: { rows, cols, pixelMax, pixels: base64(pixels) }, truth: classes[truth] };
};

async function unpacked(name, size) {
  if (!fetched.has(name)) {
    const { body } = await rpc.page(name);
    const stream = body.pipeThrough(new DecompressionStream("gzip"));
    fetched.set(name, new Uint8Array(await new Response(stream).arrayBuffer()));
  }
  const bytes = fetched.get(name);
  if (bytes.length % (1 + size)) return []; // of another shape than this model takes
  return Array.from({ length: bytes.length / (1 + size) }, (_, index) => {
    const at = index * (1 + size);
    return { truth: bytes[at], pixels: bytes.subarray(at + 1, at + 1 + size) };
  });
}

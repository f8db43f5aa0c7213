// A picture from elsewhere: how it is sent, turned upright, and cut into its digits.

const LARGE = 256 * 1024; // bytes of a file above which its picture is sent smaller
const MOST_SIDE = 1024; // pixels along the longer side of that: servers look at no more
const MARGIN = 0.25; // what is left around a digit, in parts of its longer side

/** A file as {bitmap, encoded}, in base64. Raises when the browser cannot read it. */
export async function openPicture(file) {
  const whole = await createImageBitmap(file);
  const bitmap = file.size > LARGE ? smaller(whole) : whole;
  const bytes = await (bitmap === whole ? file : await encode(bitmap)).arrayBuffer();
  return { bitmap, encoded: base64(bytes) };
}

/** The bitmap turned clockwise by so many quarter turns, on a canvas. */
export function turned(bitmap, quarters) {
  const { width, height } = bitmap;
  const canvas = quarters % 2 ? blank(height, width) : blank(width, height);
  const context = canvas.getContext("2d");
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((quarters * Math.PI) / 2);
  context.drawImage(bitmap, -width / 2, -height / 2);
  return canvas;
}

/** The part of a canvas around one of the boxes [{left, top, width, height}], as {bitmap, encoded}. */
export function cropped(canvas, boxes, index) {
  const [left, top, right, bottom] = around(boxes.map(edges), index);
  const [x, y] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
  const bitmap = blank(Math.min(canvas.width, Math.ceil(right)) - x, Math.min(canvas.height, Math.ceil(bottom)) - y);
  bitmap.getContext("2d").drawImage(canvas, -x, -y);
  return { bitmap, encoded: bitmap.toDataURL("image/png").split(",")[1] };
}

const edges = ({ left, top, width, height }) => [left, top, left + width, top + height];

/** The edges of a box with its margin, of which half the way to a neighbour is the most. */
function around(all, index) {
  const own = all[index];
  const [left, top, right, bottom] = own;
  const margin = MARGIN * Math.max(right - left, bottom - top);
  const wide = [left - margin, top - margin, right + margin, bottom + margin];
  for (const other of all) {
    const apart = other === own || other[0] >= wide[2] || other[2] <= wide[0] || other[1] >= wide[3] || other[3] <= wide[1];
    if (apart) continue;
    const gaps = [left - other[2], top - other[3], other[0] - right, other[1] - bottom]; // the widest is the side it stands on
    const side = gaps.indexOf(Math.max(...gaps));
    const half = Math.max(0, gaps[side]) / 2;
    wide[side] = side < 2 ? Math.max(wide[side], own[side] - half) : Math.min(wide[side], own[side] + half);
  }
  return wide;
}

function blank(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

/** A picture on a canvas of at most `MOST_SIDE` pixels a side. */
function smaller(bitmap) {
  const scale = Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = blank(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return canvas;
}

/** A canvas as an image file: as WebP, which keeps what is transparent, or as PNG by browsers that write no WebP. */
const encode = (canvas) => new Promise((done) => canvas.toBlob(done, "image/webp", 0.92));

export function base64(buffer) {
  let text = "";
  const bytes = new Uint8Array(buffer);
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

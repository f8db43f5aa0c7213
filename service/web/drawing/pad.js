// The drawing pad: strokes of mouse, finger, pen and keyboard, or an image from elsewhere.

import { fitted } from "../dom.js";

const PEN = 0.085; // width of a stroke, as all lengths here in parts of the side
const STEP = 0.045; // of an arrow key
const SENT = 112; // pixels along the side of what is sent
// What tells of a pen on its way the soonest: browsers that have it hold the other back until their next frame.
const MOVE = "onpointerrawupdate" in window ? "pointerrawupdate" : "pointermove";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Tells `ink` whenever there is other ink; `event.detail` is when a hand did it, else null. */
export class Pad extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.paper = document.createElement("canvas");
    this.paper.width = this.paper.height = SENT;
    this.strokes = []; // each a list of [x, y, width]
    this.ground = null; // what is under the strokes: {bitmap, encoded}, or {bitmap, digit, truth}
    this.pens = new Map(); // pointer id -> its stroke
    this.cursor = null; // where the keyboard's pen is
    this.down = null; // the stroke of the keyboard's pen
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener(MOVE, (event) => this.#go(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.pens.delete(event.pointerId));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#lift());
    new ResizeObserver(() => this.paint()).observe(canvas.parentElement);
  }

  get blank() {
    return !this.ground && !this.strokes.length;
  }

  clear() {
    this.stop();
    this.strokes = [];
    this.ground = null;
    this.#changed();
  }

  undo() {
    this.stop();
    if (!this.strokes.pop()) this.ground = null;
    this.#changed();
  }

  /** Lay a picture under the pen: {bitmap, encoded}, or {bitmap, digit, truth} with one that a network can be given as it is. */
  lay(picture) {
    this.stop();
    this.strokes = [];
    this.ground = picture;
    this.#changed();
  }

  /** Draw strokes of a sample, [[x, y], …] each, as a hand would. */
  play(sample, milliseconds = 650) {
    this.stop();
    this.ground = null;
    this.strokes = [];
    const total = sample.reduce((sum, stroke) => sum + stroke.length, 0);
    const begin = performance.now();
    const step = (now) => {
      let due = Math.max(1, Math.ceil((Math.max(0, now - begin) / milliseconds) * total));
      const finished = due >= total;
      this.strokes = [];
      for (const stroke of sample) {
        if (due > 0) this.strokes.push(stroke.slice(0, due).map(([x, y]) => [x, y, PEN]));
        due -= stroke.length;
      }
      this.playing = finished ? 0 : requestAnimationFrame(step);
      this.#changed();
    };
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (still) step(begin + milliseconds);
    else this.playing = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.pens.clear();
    this.#lift();
  }

  /** Whether what lies under the pen is all there is. */
  get untouched() {
    return Boolean(this.ground && !this.strokes.length);
  }

  /** The name of the class that what is on the pad belongs to, or null. */
  get truth() {
    return this.untouched ? (this.ground.truth ?? null) : null;
  }

  /** What is on the pad: {encoded}, an image file in base64; with what was laid there as long as it is untouched. */
  image() {
    const { untouched } = this;
    if (untouched && this.ground.encoded) return this.ground;
    const context = this.paper.getContext("2d");
    this.#draw(context, SENT, "#fff", "#000");
    const encoded = this.paper.toDataURL("image/png").split(",")[1];
    return untouched ? { encoded, digit: this.ground.digit } : { encoded };
  }

  /** Paint with the browser's next frame, however often the ink changes until then. */
  #paintSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  paint() {
    const side = this.canvas.parentElement.clientWidth;
    if (!side) return;
    const style = getComputedStyle(this.canvas);
    const context = fitted(this.canvas, side, side);
    this.#draw(context, side, style.getPropertyValue("--paper"), style.getPropertyValue("--ink"));
    if (this.cursor && document.activeElement === this.canvas && this.canvas.matches(":focus-visible")) {
      context.beginPath();
      context.arc(this.cursor[0] * side, this.cursor[1] * side, (PEN * side) / 2 + 2, 0, 7);
      context.lineWidth = 2;
      context.strokeStyle = style.getPropertyValue("--accent");
      context.fillStyle = context.strokeStyle;
      if (this.down) context.fill();
      context.stroke();
    }
  }

  #draw(context, side, ground, ink) {
    context.fillStyle = ground;
    context.fillRect(0, 0, side, side);
    if (this.ground) {
      const { width, height } = this.ground.bitmap;
      const scale = side / Math.max(width, height);
      const [w, h] = [width * scale, height * scale];
      context.imageSmoothingEnabled = !this.ground.digit;
      context.drawImage(this.ground.bitmap, (side - w) / 2, (side - h) / 2, w, h);
      if (ink !== "#000") ink = "#d0402b"; // what is drawn on an image of any colour
    }
    context.strokeStyle = context.fillStyle = ink;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) curve(context, stroke, side);
  }

  #begin(event) {
    if (event.button) return;
    this.stop();
    this.canvas.setPointerCapture(event.pointerId);
    const stroke = [];
    this.strokes.push(stroke);
    this.pens.set(event.pointerId, stroke);
    this.#go(event);
  }

  #go(event) {
    const stroke = this.pens.get(event.pointerId);
    if (!stroke) return;
    const box = this.canvas.getBoundingClientRect();
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) {
      const width = each.pointerType === "pen" && each.pressure ? PEN * (0.6 + 0.8 * each.pressure) : PEN;
      stroke.push([(each.clientX - box.left) / box.width, (each.clientY - box.top) / box.height, width]);
    }
    this.#changed(event.timeStamp);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    this.cursor ??= [0.5, 0.2];
    if (event.key in ARROWS) {
      const [x, y] = ARROWS[event.key];
      this.cursor = [within(this.cursor[0] + x * STEP), within(this.cursor[1] + y * STEP)];
      this.down?.push([...this.cursor, PEN]);
    } else if (event.key === " ") {
      if (this.down) this.#lift();
      else this.strokes.push((this.down = [[...this.cursor, PEN]]));
    } else if (event.key === "Backspace" || event.key === "Delete") this.undo();
    else return;
    event.preventDefault();
    this.#changed(event.timeStamp);
  }

  #lift() {
    this.down = null;
  }

  #changed(time = null) {
    this.#paintSoon();
    this.dispatchEvent(new CustomEvent("ink", { detail: time }));
  }
}

const within = (part) => Math.min(Math.max(part, PEN / 2), 1 - PEN / 2);

/** A smooth line through the points: quadratic curves between the middles of its pieces. */
function curve(context, stroke, side) {
  const [x, y, width] = stroke[0];
  context.lineWidth = width * side;
  context.beginPath();
  context.moveTo(x * side, y * side);
  if (stroke.length === 1) context.lineTo(x * side + 0.1, y * side);
  for (let at = 1; at < stroke.length - 1; at++) {
    const [a, b] = [stroke[at], stroke[at + 1]];
    context.quadraticCurveTo(a[0] * side, a[1] * side, ((a[0] + b[0]) / 2) * side, ((a[1] + b[1]) / 2) * side);
    if (a[2] !== context.lineWidth / side) {
      context.stroke();
      context.beginPath();
      context.moveTo(((a[0] + b[0]) / 2) * side, ((a[1] + b[1]) / 2) * side);
      context.lineWidth = a[2] * side;
    }
  }
  const end = stroke.at(-1);
  context.lineTo(end[0] * side, end[1] * side);
  context.stroke();
}

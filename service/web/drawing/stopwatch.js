// From stroke to light: measured from the hand's event until the browser has painted the answer to it.

import { say } from "../dom.js";

const MEASURE = "stroke-to-light";
const KEPT = 500; // measures
const LATEST = 20; // those whose median is shown

export class Stopwatch {
  constructor(shown) {
    this.shown = shown; // the element that tells of it
    this.begun = null; // when a hand drew the first of what the next frame will show, as performance.now()
    this.times = [];
  }

  /** The next frame shows the answer to what a hand drew at `since`; null where no hand did. */
  lit(since) {
    if (since === null || document.hidden) return;
    if (this.begun === null) requestAnimationFrame(() => this.#painting());
    this.begun ??= since;
  }

  #painting() {
    const { begun } = this;
    this.begun = null;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => this.#painted(begun); // comes after the frame was painted
    port2.postMessage(null);
  }

  #painted(begun) {
    const { duration } = performance.measure(MEASURE, { start: begun, end: performance.now() });
    this.times.push(duration);
    if (this.times.length > KEPT) this.times.shift();
    if (performance.getEntriesByName(MEASURE).length > KEPT) performance.clearMeasures(MEASURE);
    const latest = this.times.slice(-LATEST).sort((a, b) => a - b);
    say(this.shown, `${Math.round(latest[Math.floor(latest.length / 2)])} ms from stroke to light`);
  }
}

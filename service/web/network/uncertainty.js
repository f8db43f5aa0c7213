// What a network doubts of its own answer: the classes that it cannot rule out, and whether it saw a digit at all.

import { element, percent, say } from "../dom.js";

const COVERAGES = [0.9, 0.95, 0.99, 0.999]; // how often the true class shall be among those that are named
const USUAL = 0.99;
const REJECTED = 0.6; // above this chance it is said that this is no digit

const written = (coverage) => `${Number((100 * coverage).toFixed(1))} %`;
const blank = (prediction) => prediction.warningCodes?.includes("blank");
const rejected = (prediction) => prediction?.notADigit > REJECTED;

/** Whether an image shows no digit, as far as a network can tell. */
export const noDigit = (prediction) => rejected(prediction) || blank(prediction);

/** A sentence of the server as this page writes them. */
export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

/** What is to be said of an image, one sentence each. */
export const remarks = (prediction) => [...(rejected(prediction) && !blank(prediction) ? ["This is no digit."] : []), ...(prediction?.warnings ?? []).map(sentence)];

export class Doubts {
  /** `choose` is called when another coverage is chosen. */
  constructor(name, choose) {
    this.select = element("select", { "aria-label": `Coverage, ${name} network`, title: "Of digits like those it was tested on, the true one is among those named at least so often" },
      COVERAGES.map((coverage) => element("option", { value: String(coverage), selected: coverage === USUAL }, written(coverage))));
    this.select.addEventListener("change", () => {
      this.show(null); // what was said goes for another coverage
      choose();
    });
    this.named = element("strong", {}, "\u00a0");
    this.candidates = element("p", { hidden: true }, "Cannot be ruled out at ", this.select, " coverage: ", this.named);
    this.bar = element("span", { class: "bar" });
    this.share = element("span", { class: "score" });
    this.chance = element("p", { class: "chance", hidden: true }, "No digit", element("span", { class: "track" }, this.bar), this.share);
    this.root = element("div", { class: "doubts", hidden: true }, this.candidates, this.chance);
  }

  /** Make room for what a version, by its card, can tell; `key` is it as "model version". */
  expect(key, card) {
    Object.assign(this, { key, card });
    this.candidates.hidden = !card.thresholds.length;
    this.chance.hidden = !Object.keys(card.outlierAuc).length;
    this.root.hidden = this.candidates.hidden && this.chance.hidden;
    this.show(null);
  }

  /** The coverage to ask a version for, as a part of a request; nothing as long as its card is not known to have one. */
  wanted(key) {
    return this.key === key && this.card.thresholds.length ? { coverage: Number(this.select.value) } : {};
  }

  /** What Read is to reject, likewise. */
  rejecting(key) {
    return this.key === key && Object.keys(this.card.outlierAuc).length ? { rejectAbove: REJECTED } : {};
  }

  /** Show what a prediction says, with `coverage` as it was asked for; null: nothing. */
  show(prediction) {
    this.seen = prediction;
    say(this.named, this.#names() || "\u00a0");
    const chance = prediction?.notADigit;
    this.bar.style.setProperty("--share", chance ?? 0);
    this.chance.classList.toggle("best", rejected(prediction));
    say(this.share, chance === undefined ? "" : percent(chance));
  }

  /** The same in words to be added to a sentence; empty where there is no doubt. */
  get words() {
    const names = this.#names();
    const sure = !names || this.seen.candidates.length === 1;
    return `${sure ? "" : `, cannot be ruled out: ${names}`}${this.seen && noDigit(this.seen) ? ", but this is no digit" : ""}`;
  }

  #names() {
    const { seen, card, select } = this;
    if (seen?.coverage !== Number(select.value)) return ""; // none, or the answer to an earlier choice
    const { classes, labels } = card;
    return seen.candidates.map((label) => classes[labels.indexOf(label)]).join(", ") || `none, less typical than ${written(seen.coverage)} of digits`;
  }
}

// The tab of a model: its card, how far it is to be trusted, its confusion matrix with the digits behind it, and its worst mistakes.

import { element, figure, percent } from "../dom.js";
import { examples, picture } from "../examples/examples.js";
import { describe } from "../network/inspector.js";
import { base64 } from "../reading/picture.js";
import * as rpc from "../rpc.js";
import { outliers, reliability } from "./calibration.js";

const WORST = 12;
const CELL = 24; // digits shown of a cell
const SHOWN = 56; // pixels along the side of a digit

export class CardTab {
  constructor(root, draw) {
    this.root = root;
    this.draw = draw; // called with a digit that was chosen
  }

  /** Show this version. Raises `Failure`. */
  async show(model, version, maxRows) {
    const { card, model: identity } = await rpc.call("GetModel", { model, version });
    if (this.sha256 === identity.sha256) return;
    this.sha256 = identity.sha256;
    Object.assign(this, { card, chosen: null, whole: false });
    this.cell = element("div", { class: "digits", "aria-live": "polite" });
    this.worst = element("div", { class: "digits" });
    this.root.replaceChildren(
      element("div", { class: "column" },
        element("div", { class: "facts box" },
          element("h2", {}, `${model} ${version}`),
          element("p", { class: "big" }, percent(card.accuracy, 2)),
          element("p", { class: "note" }, `of ${card.testRows.toLocaleString("en")} test digits right, none of which it had seen`),
          facts(card, identity)),
        outliers(card)),
      element("div", { class: "matrix box" },
        element("h2", {}, "What it took for what"),
        this.#matrix(),
        element("h3", { id: "cell-title" }, "Choose a cell to see its digits"),
        this.cell),
      element("div", { class: "column" },
        element("div", { class: "worst box" },
          element("h2", {}, "Its worst mistakes"),
          element("p", { class: "note" }, "By how little it believed what was true. Choose one to see what the neurons did, and why."),
          this.worst),
        reliability(card)));
    try {
      await this.#scoreExamples(model, version, maxRows);
    } catch (error) {
      this.sha256 = ""; // so that the next time all is fetched anew
      throw error;
    }
  }

  /** Classify the page's own test digits anew by this very version. */
  async #scoreExamples(model, version, maxRows) {
    const { card, sha256 } = this;
    this.scored = [];
    const digits = await examples(card);
    if (this.sha256 !== sha256) return;
    this.whole = !digits.length;
    if (this.whole) {
      if (this.chosen) this.#choose(...this.chosen);
      this.worst.replaceChildren(element("p", { class: "note" }, `This page has no test digits of the data set ${card.dataset}.`));
      return;
    }
    const size = card.rows * card.cols;
    const step = Math.min(maxRows, 256);
    for (let at = 0; at < digits.length; at += step) {
      const part = digits.slice(at, at + step);
      const pixels = new Uint8Array(part.length * size);
      part.forEach((each, index) => pixels.set(each.pixels, index * size));
      const { predictions } = await rpc.call("Classify", { model, version, pixels: base64(pixels) });
      if (this.sha256 !== sha256) return;
      predictions.forEach(({ scores, digit }, index) => {
        const said = card.labels.indexOf(digit);
        this.scored.push({ ...part[index], said, score: scores[said], believed: scores[part[index].truth] });
      });
    }
    const wrong = this.scored.filter(({ truth, said }) => truth !== said).sort((a, b) => a.believed - b.believed);
    this.worst.replaceChildren(...wrong.slice(0, WORST).map((each) => this.#digit(each)));
    this.root.dataset.scored = this.scored.length;
    this.whole = true;
    if (this.chosen) this.#choose(...this.chosen); // before they were here
  }

  #matrix() {
    const { classes, confusion } = this.card;
    const count = classes.length;
    if (!confusion.length) return element("p", {}, "Its card has no confusion matrix.");
    const most = Math.max(1, ...confusion.filter((_, at) => at % (count + 1)));
    const row = (truth) => element("tr", {}, element("th", { scope: "row" }, classes[truth]), classes.map((name, said) => {
      const images = confusion[truth * count + said];
      const button = element("button", { type: "button", "aria-label": `${images} times ${classes[truth]} was taken for ${name}` }, images ? String(images) : "·");
      button.addEventListener("click", () => this.#choose(truth, said, button));
      button.style.setProperty("--share", truth === said ? 0 : Math.sqrt(images / most));
      return element("td", { class: truth === said ? "right" : images ? "wrong" : "none" }, button);
    }));
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Confusion matrix" },
      element("table", {},
        element("caption", {}, "Rows: what it was. Columns: what the network said."),
        element("thead", {}, element("tr", {}, element("td"), classes.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, classes.map((_, truth) => row(truth)))));
  }

  #choose(truth, said, button) {
    const { classes, confusion } = this.card;
    this.chosen = [truth, said, button];
    for (const each of this.root.querySelectorAll(".matrix [aria-pressed]")) each.removeAttribute("aria-pressed");
    button.setAttribute("aria-pressed", "true");
    const found = this.scored.filter((each) => each.truth === truth && each.said === said);
    const all = confusion[truth * classes.length + said];
    const title = this.root.querySelector("#cell-title");
    title.textContent = truth === said ? `${classes[truth]}, and taken for it` : `${classes[truth]}, taken for ${classes[said]}`;
    const shown = found.slice(0, CELL);
    const note = !all ? "It never happened on the test set."
      : !this.whole ? "Fetching them"
      : !shown.length ? "None of them came with this page."
        : shown.length < all ? `${shown.length} of ${all.toLocaleString("en")}` : all === 1 ? "The only one" : `All ${all}`;
    this.cell.replaceChildren(element("p", { class: "note" }, note), ...shown.map((each) => this.#digit(each)));
  }

  #digit({ pixels, truth, said, score, believed }) {
    const { classes } = this.card;
    const laid = picture({ pixels, truth }, this.card);
    laid.bitmap.style.width = laid.bitmap.style.height = `${SHOWN}px`;
    const text = truth === said ? percent(score) : `${classes[truth]} → ${classes[said]}`;
    const more = truth === said ? "" : `, ${percent(score, 0)} sure; ${percent(believed)} for ${classes[truth]}`;
    const button = element("button", { type: "button", title: "See what the neurons do", "aria-label": `A ${classes[truth]}, taken for ${classes[said]}${more}` }, laid.bitmap, element("span", {}, text));
    button.addEventListener("click", () => this.draw(laid));
    return button;
  }
}

function facts(card, identity) {
  const recipe = JSON.parse(card.recipeJson || "{}");
  const number = (value) => Number(value).toLocaleString("en");
  const lines = {
    Network: describe(card),
    Parameters: number(card.parameters),
    Image: `${card.rows} × ${card.cols} pixels, 0 to ${card.pixelMax}`,
    Prepared: card.preparation === "mass" ? "fitted into a box, centred by mass" : "ink counted in blocks",
    ...(card.temperature ? { Scores: `temperature ${figure(card.temperature)}, calibration error ${percent(card.calibrationError, 2)}` } : {}),
    "Data set": card.dataset,
    Seed: card.seed ?? "unknown",
    Runs: [identity.executionProvider, identity.variant].filter(Boolean).join(", "),
    "SHA-256": identity.sha256,
  };
  const list = (entries) => element("dl", {}, Object.entries(entries).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))));
  const plain = (value) => (typeof value === "object" ? JSON.stringify(value) : value);
  const more = (title, entries) => element("details", {}, element("summary", {}, title), list(entries));
  return element("div", {}, list(lines),
    more("How it was trained", Object.fromEntries(Object.entries(recipe).map(([name, value]) => [name.replaceAll("_", " "), plain(value)]))),
    more("What made it", card.libraries));
}

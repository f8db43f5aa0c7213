// Why a network says what it says: what each pixel and each neuron adds to the value of a class, and what would change it.

import { element, figure, fitted, percent, say } from "../dom.js";
import { base64 } from "../reading/picture.js";
import * as rpc from "../rpc.js";
import { typical } from "./gallery.js";
import { image, mix } from "./paint.js";

const SIDE = 200; // pixels along the side of a picture
const MOST = 16; // neurons of a layer that are named

export class Why {
  /** `name` is that of the network, which `panel` has; `toggle` is the box that switches it on; `failed` is called with every failure. */
  constructor(name, toggle, panel, colours, failed) {
    Object.assign(this, { toggle, panel, colours, failed });
    const choice = (label, attributes = {}) => element("select", { "aria-label": `${label}, ${name} network`, ...attributes });
    this.title = element("h2", {}, "Why");
    this.classes = choice("Class to explain");
    this.rivals = choice("Class that it is compared with");
    this.members = choice("Network of the committee to explain", { hidden: true });
    this.targets = choice("Class to change it into");
    this.find = element("button", { type: "button" }, "Find a small change");
    this.note = element("p", { class: "note" });
    this.digit = picture("What each pixel adds");
    this.changed = picture("A small change");
    this.changed.figure.hidden = true;
    this.layers = element("div", { class: "parts" });
    this.said = element("p", { class: "unseen", role: "status" });
    this.root = element("section", { class: "why box", "aria-label": `Why the ${name} network says so`, hidden: true },
      element("div", { class: "row" }, this.title, element("label", {}, "Explain ", this.classes), element("label", {}, "rather than ", this.rivals), this.members),
      this.note,
      element("div", { class: "reasons" },
        element("div", { class: "pictures" }, this.digit.figure, this.changed.figure,
          element("div", { class: "controls" }, this.find, element("label", {}, "into ", this.targets),
            element("ul", { class: "legend", "aria-label": "Colours of the parts" },
              element("li", { class: "plus" }, "excites: speaks for it"), element("li", { class: "minus" }, "inhibits: speaks against it")))),
        this.layers), this.said);
    for (const select of [this.classes, this.rivals]) select.addEventListener("change", () => this.#ask(false));
    this.members.addEventListener("change", () => this.paint());
    this.find.addEventListener("click", () => this.#ask(true));
    this.targets.addEventListener("change", () => this.#ask(true));
  }

  /** Explain the best score, compared with the class of that name. */
  compare(name) {
    if (this.panel.card !== this.card) this.#offer(this.panel.card);
    this.classes.value = "";
    this.rivals.value = String(this.card.classes.indexOf(name));
    this.prediction = null;
    this.follow();
  }

  /** The panel shows another answer, or the box was switched. */
  follow() {
    this.root.hidden = !this.toggle.checked;
    if (this.root.hidden) return;
    const { card, prediction, model, version } = this.panel;
    if (card && this.card !== card) this.#offer(card);
    if (!prediction) {
      Object.assign(this, { answer: null, prediction, wanted: null });
      this.paint();
    } else if (this.prediction !== prediction) {
      Object.assign(this, { prediction, asked: { model, version, pixels: base64(Uint8Array.from(prediction.activations[0].values)) } });
      this.#ask(false);
    }
  }

  #offer(card) {
    this.card = card;
    const options = (first) => [element("option", { value: "" }, first), ...card.classes.map((name, at) => element("option", { value: String(at) }, name))];
    for (const [select, first] of [[this.classes, "the best score"], [this.rivals, "nothing"], [this.targets, "any other class"]]) {
      const { value } = select;
      select.replaceChildren(...options(first));
      select.value = value;
      if (select.selectedIndex < 0) select.value = ""; // this network has no such class
    }
    this.members.hidden = card.members < 2;
    this.members.replaceChildren(...Array.from({ length: card.members }, (_, member) => element("option", { value: String(member) }, `network ${member + 1} of ${card.members}`)));
  }

  /** Ask about the newest digit, one call at a time. */
  async #ask(findChange) {
    if (!this.prediction) return;
    const chosen = (select) => (select.value === "" ? undefined : Number(select.value));
    this.wanted = { ...this.asked, explainedClass: chosen(this.classes), ...(findChange ? { findChange, changedClass: chosen(this.targets) } : {}) };
    if (this.root.ariaBusy === "true") return;
    this.root.ariaBusy = "true";
    try {
      while (this.wanted) {
        const { wanted, card } = this;
        this.wanted = null;
        if (wanted.findChange) say(this.changed.caption, "Looking for a small change");
        const rival = chosen(this.rivals);
        let answer = await rpc.call("Explain", wanted);
        if (rival !== undefined && rival !== answer.explainedClass) {
          answer = compared(answer, await rpc.call("Explain", { ...wanted, explainedClass: rival, findChange: false, changedClass: undefined }));
        }
        if (this.wanted || card !== this.card || !this.prediction) continue;
        Object.assign(this, { answer, looked: Boolean(wanted.findChange) });
        this.paint();
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.root.ariaBusy = "false";
    }
  }

  paint() {
    if (this.root.hidden) return;
    const { answer, card } = this;
    this.find.disabled = !answer;
    this.changed.figure.hidden = !answer || !this.looked;
    if (!answer) {
      say(this.title, "Why");
      say(this.note, "Draw a digit to see why the network says what it says.");
      say(this.digit.caption, "");
      this.layers.replaceChildren();
      fitted(this.digit.canvas, SIDE, SIDE);
      return;
    }
    const name = card.classes[answer.explainedClass];
    const explained = answer.members[Number(this.members.value) || 0];
    const [pixels, ...hidden] = explained.layers;
    const bytes = Uint8Array.from(atob(answer.pixels), (each) => each.charCodeAt(0));
    const rival = card.classes[answer.rival]; // undefined where there is none
    say(this.title, rival === undefined ? `Why ${name}` : `Why ${name} rather than ${rival}`);
    say(this.note, `${told(explained, name, rival)}${card.members > 1 ? ` ${rival === undefined ? "Logits" : "Differences"} of all networks: ${answer.members.map(({ logit }) => figure(logit)).join(", ")}.` : ""}`);
    const most = typical(pixels.contributions);
    this.#picture(this.digit.canvas, bytes, (at) => pixels.contributions[at] / most);
    say(this.digit.caption, rival === undefined ? `Warm pixels speak for ${name}, blue ones against it.` : `Warm pixels speak for ${name}, blue ones for ${rival}.`);
    this.layers.replaceChildren(...hidden.map((layer, index) => parts(layer, index + 1)));
    this.#tellChange(bytes);
  }

  #tellChange(before) {
    if (!this.looked) return;
    const { change } = this.answer;
    if (!change) {
      fitted(this.changed.canvas, SIDE, SIDE);
      say(this.changed.caption, "No small change was found.");
    } else {
      const after = Uint8Array.from(atob(change.pixels), (each) => each.charCodeAt(0));
      const most = Math.max(1, ...after.map((each, at) => Math.abs(each - before[at])));
      this.#picture(this.changed.canvas, after, (at) => (after[at] - before[at]) / most, false);
      const { digit, scores } = change.prediction;
      const seat = this.card.labels.indexOf(digit);
      const count = change.changedPixels;
      say(this.changed.caption, `${count} ${count === 1 ? "pixel" : "pixels"} changed, and it says ${this.card.classes[seat]}, ${percent(scores[seat])}. Warm ones got brighter, blue ones darker.`);
    }
    say(this.said, this.changed.caption.textContent);
  }

  /** A digit with a colour of -1..1 over each pixel; without `veiled` those that have none are as bright as they are. */
  #picture(canvas, pixels, share, veiled = true) {
    const { rows, cols, pixelMax } = this.card;
    const { plus, minus } = this.colours();
    const context = fitted(canvas, SIDE, SIDE);
    const scale = (SIDE - 2) / Math.max(rows, cols);
    const box = { x: (SIDE - cols * scale) / 2, y: (SIDE - rows * scale) / 2, w: cols * scale, h: rows * scale };
    const colour = (at) => {
      const ink = mix([8, 10, 16], [255, 255, 255], (veiled ? 0.45 : 1) * pixels[at] / pixelMax);
      const part = share(at);
      return mix(ink, part < 0 ? minus : plus, Math.min(1, Math.abs(part)));
    };
    image(context, box, [...pixels.keys()], rows, cols, colour, this.colours());
  }
}

function picture(title) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const caption = element("small");
  return { canvas, caption, figure: element("figure", {}, canvas, element("figcaption", {}, title, caption)) };
}

/** The answer about a class less that about its rival: what speaks for the one rather than for the other. */
function compared(answer, other) {
  const less = (part, without) => ({ ...part, contributions: part.contributions.map((value, at) => value - without.contributions[at]), rest: part.rest - without.rest });
  const members = answer.members.map((each, at) => {
    const { logit, layers } = other.members[at];
    return { ...each, logit: each.logit - logit, layers: each.layers.map((layer, index) => less(layer, layers[index])) };
  });
  return { ...answer, members, rival: other.explainedClass };
}

function told({ exact, logit }, name, rival) {
  const value = rival === undefined
    ? `The logit of ${name}, the weighted sum of its output, is ${figure(logit)}.`
    : `The logit of ${name}, the weighted sum of its output, less that of ${rival} is ${figure(logit)}.`;
  const how = exact
    ? "The parts are exact, since with ReLU the network is linear around an image; the rest comes from the biases."
    : "The parts are integrated gradients between a blank image and this one, an approximation; the rest is what a blank image gets.";
  return `${value} In each layer the parts and the rest add up to it. ${how}`;
}

/** What the neurons of a layer add, the strongest first. */
function parts({ contributions, rest }, number) {
  const found = contributions.map((value, neuron) => ({ value, name: `neuron ${neuron + 1}` }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = found.filter(({ value }) => value).slice(0, MOST);
  const others = found.slice(shown.length);
  if (others.length) shown.push({ name: `${others.length} ${others.length === 1 ? "other" : "others"}`, value: others.reduce((sum, { value }) => sum + value, 0) });
  const most = Math.max(1e-12, ...shown.map(({ value }) => Math.abs(value)), Math.abs(rest));
  const row = ({ name, value }) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", Math.abs(value) / most);
    const item = element("li", { class: value < 0 ? "minus" : "plus" }, element("span", {}, name), element("span", { class: "track" }, bar), element("span", { class: "value" }, figure(value)));
    item.dataset.value = value;
    return item;
  };
  return element("div", {}, element("h3", {}, `Hidden layer ${number}`), element("ol", {}, shown.map(row), row({ name: "rest", value: rest })));
}

// The tab of the service: what /metrics shows, as small charts of the last minute.

import { element, svg } from "../dom.js";
import * as rpc from "../rpc.js";

const SECONDS = 1; // between two looks
const KEPT = 60; // looks
const [WIDTH, HEIGHT] = [280, 72];

const CLASSIFY = /\/Classify$/;
const ALL = () => true;

/** Each chart: its title, what it means, its lines by name as functions of two looks, and how numbers are written. */
const CHARTS = [
  ["Calls", "ended, per second", {
    right: (a, b) => rate(a, b, "digits_requests_total", ({ code }) => code === "OK"),
    refused: (a, b) => rate(a, b, "digits_requests_total", ({ code }) => code !== "OK"),
  }, (value) => `${short(value)}/s`],
  ["Images", "scored, per second", { images: (a, b) => rate(a, b, "digits_rows_total", ALL) }, (value) => `${short(value)}/s`],
  ["Latency", "of Classify, in the server", {
    median: (a, b) => quantile(a, b, 0.5),
    "99 of 100": (a, b) => quantile(a, b, 0.99),
  }, time],
  ["Waiting", "images in the queue", { queue: (a, b) => total(b, "digits_queue_rows", ALL) }, short],
  ["Batch", "images in a run, mean", { batch: (a, b) => mean(a, b, "digits_batch_rows") }, short],
  ["Run", "of onnxruntime, mean", { run: (a, b) => mean(a, b, "digits_inference_duration_seconds") }, time],
  ["In flight", "calls begun and not ended", { calls: (a, b) => total(b, "digits_requests_in_flight", ALL) }, short],
  ["Memory", "resident", { memory: (a, b) => total(b, "process_resident_memory_bytes", ALL) / 2 ** 20 }, (value) => `${short(value)} MiB`],
];

export class LiveTab {
  /** `failed` is called with what went wrong. */
  constructor(root, failed) {
    this.failed = failed;
    this.charts = CHARTS.map((each) => new Chart(...each));
    this.models = element("tbody");
    this.none = element("p", { role: "status", hidden: true }, "This address does not show metrics (404): there is no /metrics here, as behind a balancer, where each server has its own.");
    this.shown = element("div", {},
      element("p", { class: "note" }, "From /metrics, once a second while this is open; the last minute."),
      element("div", { class: "charts" }, this.charts.map(({ root: chart }) => chart)),
      element("h2", {}, "Its models"),
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Models" }, element("table", { class: "models" },
        element("thead", {}, element("tr", {}, ["Model", "Version", "State", "Images scored", "Runs on"].map((name) => element("th", { scope: "col" }, name)))),
        this.models)));
    root.append(element("h2", {}, "The running service"), this.none, this.shown);
  }

  start() {
    this.stop();
    this.timer = setInterval(() => document.hidden || this.#look(), 1000 * SECONDS);
    this.#look();
  }

  stop() {
    clearInterval(this.timer);
  }

  async #look() {
    if (this.looking) return;
    this.looking = true;
    try {
      const now = { at: performance.now() / 1000, samples: parse(await (await rpc.page("metrics")).text()) };
      this.#show(true);
      for (const chart of this.charts) chart.add(this.before, now);
      this.#list(now);
      this.before = now;
    } catch (error) {
      this.before = undefined;
      if (error.kind === "missing") this.#show(false);
      else this.failed(error);
    } finally {
      this.looking = false;
    }
  }

  /** Where this address has no metrics, say so; it is asked again when the tab is opened again. */
  #show(has) {
    this.none.hidden = has;
    this.shown.hidden = !has;
    if (!has) this.stop();
  }

  #list({ samples }) {
    const named = (name) => samples.get(name) ?? [];
    const rows = named("digits_model_ready").map(({ labels: { model, version }, value }) => {
      const same = ({ labels }) => labels.model === model && labels.version === version;
      const scored = named("digits_rows_total").find(same)?.value ?? 0;
      const provider = named("digits_model_info").find(same)?.labels.provider ?? "";
      return [model, version, value ? "ready" : "not ready", scored.toLocaleString("en"), provider];
    });
    this.models.replaceChildren(...rows.map((row) => element("tr", {}, row.map((text) => element("td", {}, text)))));
  }
}

class Chart {
  constructor(title, meaning, lines, write) {
    this.lines = lines;
    this.write = write;
    this.looks = [];
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, preserveAspectRatio: "none" });
    this.paths = Object.keys(lines).map((_, index) => svg("path", { class: `line line-${index}`, "vector-effect": "non-scaling-stroke" }));
    this.area = svg("path", { class: "area" });
    this.picture.append(this.area, ...this.paths);
    this.now = element("p", { class: "now" }, "–");
    this.most = element("span", { class: "most" });
    this.root = element("figure", { class: "box chart" },
      element("figcaption", {}, element("h3", {}, title), element("small", {}, meaning)), this.now, this.picture, this.most);
  }

  add(before, now) {
    const values = Object.values(this.lines).map((line) => (before ? line(before, now) : NaN));
    this.looks = [...this.looks, values].slice(-KEPT);
    const known = this.looks.flat().filter(Number.isFinite);
    const top = Math.max(...known, 0) * 1.1 || 1;
    this.paths.forEach((path, index) => path.setAttribute("d", this.#path(index, top)));
    const line = this.paths[0].getAttribute("d");
    const whole = line && !line.slice(1).includes("M") && Number.isFinite(values[0]);
    this.area.setAttribute("d", whole ? `${line}L${WIDTH} ${HEIGHT}L${line.slice(1).split(" ")[0]} ${HEIGHT}Z` : "");
    const names = Object.keys(this.lines);
    const texts = values.map((value) => (Number.isFinite(value) ? this.write(value) : "–"));
    this.now.replaceChildren(...texts.map((text, index) => element("span", { class: `line-${index}` },
      text, names.length > 1 ? element("small", {}, ` ${names[index]}`) : null)));
    this.most.textContent = known.length ? `most ${this.write(Math.max(...known))}` : "";
    this.picture.setAttribute("aria-label", names.map((name, index) => `${name} ${texts[index]}`).join(", "));
  }

  #path(index, top) {
    let path = "";
    this.looks.forEach((values, at) => {
      if (!Number.isFinite(values[index])) return;
      const x = WIDTH - ((this.looks.length - 1 - at) * WIDTH) / (KEPT - 1);
      const y = HEIGHT - 2 - (values[index] / top) * (HEIGHT - 6);
      path += `${path && Number.isFinite(this.looks[at - 1]?.[index]) ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    });
    return path;
  }
}

/** Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/): samples by name. */
export function parse(text) {
  const found = new Map();
  for (const [, name, labels, value] of text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/gm)) {
    const pairs = [...(labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, each]) => [key, each]);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels: Object.fromEntries(pairs), value: value === "+Inf" ? Infinity : Number(value) });
  }
  return found;
}

function total({ samples }, name, wanted) {
  return (samples.get(name) ?? []).reduce((sum, { labels, value }) => (wanted(labels) ? sum + value : sum), 0);
}

/** A counter begins anew with the server: then there is no rate. */
function grown(a, b, name, wanted) {
  const more = total(b, name, wanted) - total(a, name, wanted);
  return more < 0 ? NaN : more;
}

const rate = (a, b, name, wanted) => grown(a, b, name, wanted) / (b.at - a.at);
const mean = (a, b, name) => grown(a, b, `${name}_sum`, ALL) / grown(a, b, `${name}_count`, ALL);

/** Of the calls that ended between two looks, by their histogram, even within a bucket. */
function quantile(a, b, part) {
  const name = "digits_request_duration_seconds_bucket";
  const classify = ({ method }) => CLASSIFY.test(method);
  const bounds = [...new Set((b.samples.get(name) ?? []).filter(({ labels }) => classify(labels)).map(({ labels }) => labels.le))];
  const counts = bounds.map((le) => [le === "+Inf" ? Infinity : Number(le), grown(a, b, name, (labels) => labels.le === le && classify(labels))]);
  counts.sort(([x], [y]) => x - y);
  const wanted = part * (counts.at(-1)?.[1] ?? 0);
  if (!wanted) return NaN;
  let [low, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= wanted) return bound === Infinity ? low : low + (bound - low) * ((wanted - below) / (count - below));
    [low, below] = [bound, count];
  }
  return low;
}

function short(value) {
  return value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}

function time(seconds) {
  return seconds < 1e-3 ? `${short(seconds * 1e6)} µs` : seconds < 1 ? `${short(seconds * 1e3)} ms` : `${short(seconds)} s`;
}

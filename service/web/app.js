// The page: draws, asks, shows; one call at a time, and again by itself when the server is back.

import { CardTab } from "./tabs/card.js";
import { $, element, percent, say, svg } from "./dom.js";
import { noDigit, remarks } from "./network/uncertainty.js";
import { FUNCTIONS } from "./network/inspector.js";
import { Lessons } from "./tabs/lessons.js";
import { LiveTab } from "./tabs/live.js";
import { Pad } from "./drawing/pad.js";
import { palette } from "./network/paint.js";
import { Panel } from "./network/panel.js";
import { openPicture } from "./reading/picture.js";
import { Preparation } from "./drawing/preparation.js";
import { Reading } from "./reading/reading.js";
import * as rpc from "./rpc.js";
import { SAMPLES } from "./drawing/samples.js";
import { Server } from "./tabs/server.js";
import { Stopwatch } from "./drawing/stopwatch.js";
import { Tabs } from "./tabs/tabs.js";
import { Truth } from "./network/truth.js";
import { Why } from "./network/why.js";

const MOST_CARDS = 24; // versions whose cards are read for the list
const QUIET = 700; // milliseconds without news before it is said aloud

let colours = palette();
let maxRows = 1; // the most digits in one call
let described = null; // when the cards of `versions` are read, as a promise
let versions = []; // that are ready: {model, version, text}, and `card` once it was read
let second = ""; // what the second panel begins with, as "model version"
let unseen = false; // whether there is ink that no network was asked about
let handAt = null; // when a hand drew the first of it, as performance.now()
let asking = false;
let loading = 0; // networks on their way
let unlit = 0; // answers that are not shown yet
let greeted = false; // whether the page has begun to draw by itself
let aloud = 0; // the timer after which it is said aloud

const server = new Server(learn, begin);
const pad = new Pad($("pad"));
const reading = new Reading((picture) => pad.lay(picture), $("read"));
const prepared = new Preparation($("prepared"));
const panels = []; // one network each
const whys = []; // why each of them says what it says
const truth = new Truth($("truth"), compare);
const cards = new CardTab($("view-card"), (digit) => {
  tabs.show("draw", true);
  pad.lay(digit);
});
const live = new LiveTab($("view-live"), server.failed);
const lessons = new Lessons({ subject, choose: chooseVersion, versions: () => versions, colours: () => colours, described: () => described, lay: (digit) => pad.lay(digit), draw: () => tabs.show("draw", true) }, server.failed);
const stopwatch = new Stopwatch($("timing"));
const tabs = new Tabs(() => {
  server.calm();
  view();
});

// Asking.

pad.addEventListener("ink", ({ detail }) => {
  unseen = true;
  handAt ??= detail;
  reading.follow(pad.ground);
  $("pad-hint").hidden = !pad.blank;
  tellBusy();
  ask();
});

/** Ask all panels, one call at a time, as long as there is ink that they have not seen. */
async function ask() {
  if (asking || !server.well) return;
  asking = true;
  tellBusy();
  try {
    while (unseen) {
      if (!pad.strokes.length && reading.due(panels[0])) {
        for (const panel of panels) panel.show(null);
        tellVerdict();
        say($("warnings"), "The picture is being read.");
        await reading.read(panels[0]);
      }
      const since = handAt;
      [unseen, handAt] = [false, null];
      const answers = []; // predictions, one for each panel
      const image = pad.image();
      if (!pad.blank) {
        for (const panel of panels) answers.push(await panel.ask(image));
      }
      server.calm();
      unlit += 1;
      setTimeout(light, 0, answers, image, since); // painting shall not hold up the next question
    }
  } catch (error) {
    unseen ||= error.kind !== "refused"; // the same would be refused again
    server.failed(error);
  } finally {
    asking = false;
    tellBusy();
  }
}

/** Whether there is ink that the page does not show the network's answer to. */
function tellBusy() {
  document.documentElement.dataset.busy = asking || loading || unlit || unseen || pad.playing ? "yes" : "no";
}

/** Show answers to `image`, one for each panel, a hand drew it at `since`; nothing where the pad is blank by now. */
function light(answers, image, since) {
  unlit -= 1;
  const seen = pad.blank ? [] : answers;
  panels.forEach((panel, index) => panel.show(seen[index] ?? null));
  prepared.show(image.digit ? null : image.bitmap, seen[0], panels[0].card);
  say($("warnings"), [...new Set([...seen.flatMap(remarks), reading.refusal])].join(" ").trim() || "\u00a0");
  tellVerdict();
  for (const why of whys) why.follow();
  lessons.follow();
  tellBusy();
  stopwatch.lit(since);
}

/** What the lessons are about: the first network, and the pixels that it got, or null. */
function subject() {
  const { model, version, card, identity, prediction } = panels[0];
  return { model, version, card, sha256: identity?.sha256, pixels: prediction?.activations[0].values ?? null };
}

/** What the networks say, in words; aloud once the hand rests. */
function tellVerdict() {
  const said = panels.filter((panel) => panel.seen).map(({ card, doubts, prediction, seen: { best, scores, margin } }) => (
    { name: card.classes[best], share: percent(scores[best]), margin: `margin ${margin.toFixed(3)}`, doubt: doubts.words, none: noDigit(prediction) }));
  truth.show(said.length ? pad.truth : null, said.map(({ name }) => name));
  $("verdict").replaceChildren(...said.map(({ name, share, margin, none }) => (none
    ? element("span", { class: "none" }, element("strong", {}, "No digit"), element("small", {}, `most like ${name}`, element("br"), share))
    : element("span", {}, element("strong", {}, name), element("small", {}, share, element("br"), margin)))));
  if (!said.length) $("verdict").textContent = "\u00a0";
  const words = said.map(({ name, share, margin, doubt }) => `${name}, ${share}${said.length === 1 ? `, ${margin}` : ""}${doubt}`).join("; the other says ");
  clearTimeout(aloud);
  aloud = setTimeout(() => say($("said"), said.length ? `The network says ${words}.` : ""), QUIET);
}

// What the server has.

/** Ask for it and load what is shown. Raises `Failure`. */
async function learn() {
  const listing = await rpc.call("ListModels", {});
  maxRows = listing.maxRows;
  versions = listing.models.flatMap(({ name, versions: all }) => all
    .filter(({ state }) => ["MODEL_STATE_READY", "MODEL_STATE_ON_DEMAND"].includes(state))
    .map(({ version, hasSnapshots }) => ({ model: name, version, hasSnapshots, text: `${name} ${version}` })));
  if (!versions.length) throw new rpc.Failure("gone", "it has no model");
  const first = versions.findLast(({ model }) => model === listing.defaultModel) ?? versions[0];
  const other = versions.findLast((each) => each.model === first.model && each !== first) ?? versions.find((each) => each !== first) ?? first;
  second = `${other.model} ${other.version}`;
  panels.forEach((panel, index) => panel.offer(versions, index ? second : `${first.model} ${first.version}`));
  for (const panel of panels) await panel.load();
}

/** All is known: go on with what is on the pad. The first thing to be seen is a network at work. */
function begin() {
  if (!greeted && pad.blank && (tabs.name === "draw" || Lessons.has(tabs.name))) pad.play(SAMPLES[3], 1100);
  greeted = true;
  unseen = true;
  ask();
  view();
  described = describeAll();
  described.catch(server.failed);
}

/** Say more of each version in the lists; one call after the other, for nobody waits for that. */
async function describeAll() {
  const mine = versions;
  for (const each of mine.slice(0, MOST_CARDS)) {
    const { card } = await rpc.call("GetModel", { model: each.model, version: each.version });
    if (versions !== mine) return; // those of another listing are on their way
    each.card = card;
    each.text += `, ${FUNCTIONS[card.activation] ?? card.activation}, ${percent(card.accuracy)}`;
    const options = panels.flatMap(({ select }) => [...select.options]);
    for (const option of options) if (option.value === `${each.model} ${each.version}`) option.textContent = each.text;
  }
}

async function choose() {
  if (!server.well) return; // it is loaded when all is well
  loading += 1;
  tellBusy();
  try {
    for (const panel of panels) await panel.load();
    unseen = true;
  } catch (error) {
    server.failed(error);
  } finally {
    loading -= 1;
  }
  await ask();
  tellBusy();
}

/** Have the first network be another version. */
async function chooseVersion({ model, version }) {
  panels[0].select.value = `${model} ${version}`;
  await choose();
  view();
}

// What to draw.

$("clear").addEventListener("click", () => pad.clear());
$("undo").addEventListener("click", () => pad.undo());
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  openFile($("file").files);
  $("file").value = "";
});
addEventListener("paste", (event) => openFile(event.clipboardData?.files));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  openFile(event.dataTransfer?.files);
});

/** Lay the first of these files under the pen; where it shows several digits they are read. */
async function openFile(files) {
  const file = files?.[0];
  if (!file) return;
  tabs.show("draw");
  pad.stop();
  try {
    const picture = await openPicture(file);
    reading.open(picture);
    pad.lay(picture);
  } catch {
    server.warn(`${file.name || "This"} is no image that this browser can read.`);
  }
}

$("samples").append(...SAMPLES.map((strokes, digit) => {
  const lines = strokes.map((points) => svg("path", { d: `M${points.map(([x, y]) => `${(100 * x).toFixed(1)} ${(100 * y).toFixed(1)}`).join("L")}` }));
  const button = element("button", { type: "button", "aria-label": `Draw a ${digit}` }, svg("svg", { viewBox: "10 5 80 90", "aria-hidden": "true" }, ...lines));
  button.addEventListener("click", () => pad.play(strokes));
  return button;
}));

/** One network more, and why it says what it says. */
function addPanel(name) {
  const panel = new Panel(name, () => colours, choose, server.failed);
  const why = new Why(name, $("why"), panel, () => colours, server.failed);
  panels.push(panel);
  whys.push(why);
  $("panels").append(panel.root);
  $("whys").append(why.root);
  return panel;
}

$("compare").addEventListener("change", () => {
  if ($("compare").checked) addPanel("second").offer(versions, second);
  else for (const each of [panels, whys]) each.pop().root.remove();
  for (const each of ["panels", "whys"]) $(each).classList.toggle("two", $("compare").checked);
  choose();
});

$("why").addEventListener("change", () => {
  for (const why of whys) why.follow();
});

/** Show why the networks do not say that the digit is a `name`. */
function compare(name) {
  $("why").checked = true;
  for (const why of whys) why.compare(name);
  $("whys").scrollIntoView({ block: "nearest" });
}

$("mistakes").addEventListener("click", () => tabs.show("card", true));
addPanel("first");
$("panels").parentElement.prepend(reading.root);

/** What a tab shows is fetched when it is looked at. */
function view() {
  live.stop();
  if (!server.well) return;
  lessons.show(tabs.name);
  if (tabs.name === "card") cards.show(panels[0].model, panels[0].version, maxRows).catch(server.failed);
  if (tabs.name === "live") live.start();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = palette();
  pad.paint();
  for (const panel of panels) panel.paint();
  for (const why of whys) why.paint();
  lessons.paint();
});

tabs.follow();
server.watch();

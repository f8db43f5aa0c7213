// The page: draws, asks, shows; one call at a time, and again by itself when the server is back.

import { CardTab } from "./card.js";
import { $, element, percent, say, svg } from "./dom.js";
import { FUNCTIONS } from "./inspector.js";
import { LiveTab } from "./live.js";
import { Pad } from "./pad.js";
import { palette } from "./paint.js";
import { Panel } from "./panel.js";
import * as rpc from "./rpc.js";
import { SAMPLES } from "./samples.js";

const LOOK = { well: 3000, gone: 700 }; // milliseconds between two looks at the server
const MOST_CARDS = 24; // versions whose cards are read for the list
const QUIET = 700; // milliseconds without news before it is said aloud
const MEASURE = "stroke-to-light";
const MEASURES = 500; // kept

let colours = palette();
let limits = { maxRows: 1 };
let state = "new"; // well, gone, token
let unseen = false; // whether there is ink that no network was asked about
let handAt = null; // when a hand drew the first of it, as performance.now()
let asking = false;
let loading = 0; // networks on their way
let aloud = 0;
let answered = 0; // answers that are not shown yet
let showing = null; // when a hand drew the first of what the next frame will show

const pad = new Pad($("pad"));
const panels = [new Panel("first", () => colours, choose, failed)];
const cards = new CardTab($("view-card"), (digit) => {
  show("draw", true);
  pad.lay(digit);
});
const live = new LiveTab($("view-live"), failed);

// Asking.

pad.addEventListener("ink", ({ detail }) => {
  unseen = true;
  handAt ??= detail;
  $("pad-hint").hidden = !pad.blank;
  busy();
  ask();
});

/** Ask all panels, one call at a time, as long as there is ink that they have not seen. */
async function ask() {
  if (asking || state !== "well") return;
  asking = true;
  busy();
  try {
    while (unseen) {
      const since = handAt;
      [unseen, handAt] = [false, null];
      const answers = [];
      if (!pad.blank) {
        const image = await pad.image();
        for (const panel of panels) answers.push(await panel.ask(image));
      }
      answered += 1;
      setTimeout(light, 0, answers, since); // painting shall not hold up the next question
    }
  } catch (error) {
    unseen = true;
    failed(error);
  } finally {
    asking = false;
    busy();
  }
}

/** Whether there is ink that the page does not show the network's answer to. */
function busy() {
  document.documentElement.dataset.busy = asking || loading || answered || unseen || pad.playing ? "yes" : "no";
}

/** Show answers, and measure the time until the browser has painted them. */
function light(answers, since) {
  answered -= 1;
  panels.forEach((panel, index) => panel.show(pad.blank ? null : answers[index]?.predictions[0] ?? null));
  tell(pad.blank ? [] : answers);
  busy();
  if (since === null || document.hidden) return;
  if (showing === null) requestAnimationFrame(painted);
  showing ??= since;
}

function painted() {
  const first = showing;
  showing = null;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => measure(first); // comes after the frame was painted
  port2.postMessage(null);
}

const times = [];
function measure(since) {
  const { duration } = performance.measure(MEASURE, { start: since, end: performance.now() });
  times.push(duration);
  if (times.length > MEASURES) times.shift();
  if (performance.getEntriesByName(MEASURE).length > MEASURES) performance.clearMeasures(MEASURE);
  const latest = times.slice(-20).sort((a, b) => a - b);
  say($("timing"), `${Math.round(latest[Math.floor(latest.length / 2)])} ms from stroke to light`);
}

/** What the networks say, in words; aloud once the hand rests. */
function tell(answers = []) {
  const seen = panels.filter((panel) => panel.seen);
  const words = seen.map(({ card, seen: { best, scores } }) => `${card.classes[best]}, ${percent(scores[best])}`);
  const margin = seen.length === 1 ? `, margin ${seen[0].seen.margin.toFixed(3)}` : "";
  const verdict = $("verdict");
  verdict.replaceChildren(...(seen.length ? seen.map(({ card, seen: { best, scores, margin: lead } }) => element("span", {},
    element("strong", {}, card.classes[best]), element("small", {}, percent(scores[best]), element("br"), `margin ${lead.toFixed(3)}`))) : ["\u00a0"]));
  say($("warnings"), [...new Set(answers.flatMap((answer) => answer?.predictions[0].warnings ?? []))].join(" ") || "\u00a0");
  clearTimeout(aloud);
  aloud = setTimeout(() => say($("said"), seen.length ? `The network says ${words.join("; the other says ")}${margin}.` : ""), QUIET);
}

// The server: there, gone, or closed to strangers.

function failed(error) {
  if (!(error instanceof rpc.Failure)) throw error;
  if (error.kind === "gone") return turn("gone", `The server does not answer${error.message.startsWith("the server") ? "" : ` (${error.message})`}. Draw on: this page goes on by itself when it is back.`);
  if (error.kind === "token") return turn("token");
  if (error.kind === "missing") return connect();
  warn(`The server refused: ${error.message}`);
  if (error.kind === "busy") setTimeout(ask, 1000 * Math.max(error.wait, 0.5));
  else unseen = false; // the same would be refused again
}

function warn(text) {
  say($("banner"), text);
  $("banner").hidden = !text;
}

function turn(to, text = "") {
  state = to;
  document.documentElement.dataset.server = to;
  say($("status"), { well: "Connected", gone: "Server gone", token: "Token wanted" }[to]);
  warn(text);
  if (to === "token" && !$("token-dialog").open) {
    say($("token-why"), rpc.token.get() ? "It does not know this token. Enter another one." : $("token-why").textContent);
    $("token-dialog").showModal();
  }
}

/** Learn what the server has, and show it. */
async function connect() {
  try {
    const listing = await rpc.call("ListModels", {});
    limits = listing;
    const versions = listing.models.flatMap(({ name, versions: all }) => all
      .filter((each) => each.state === "MODEL_STATE_READY")
      .map(({ version }) => ({ model: name, version, text: `${name} ${version}` })));
    if (!versions.length) return turn("gone", "The server has no model that is ready. This page goes on by itself when it has.");
    for (const each of versions.slice(0, MOST_CARDS)) {
      const { card } = await rpc.call("GetModel", { model: each.model, version: each.version });
      each.text += `, ${FUNCTIONS[card.activation] ?? card.activation}, ${percent(card.accuracy)}`;
    }
    const own = versions.filter(({ model }) => model === listing.defaultModel).at(-1) ?? versions[0];
    const other = versions.filter(({ model, version }) => model === own.model && version !== own.version).at(-1) ?? versions.find((each) => each !== own) ?? own;
    panels.forEach((panel, index) => panel.offer(versions, index ? `${other.model} ${other.version}` : `${own.model} ${own.version}`));
    connect.versions = versions;
    connect.other = `${other.model} ${other.version}`;
    for (const panel of panels) await panel.load();
    turn("well");
    unseen = true;
    ask();
    view();
  } catch (error) {
    failed(error);
  }
}

async function watch() {
  if (!document.hidden) {
    const said = await rpc.readiness();
    if (said === "gone") failed(new rpc.Failure("gone", "the server does not answer"));
    else if (said !== "ready") failed(new rpc.Failure("gone", said));
    else if (state === "gone") await connect();
  }
  setTimeout(watch, state === "gone" ? LOOK.gone : LOOK.well);
}

async function choose() {
  loading += 1;
  busy();
  try {
    for (const panel of panels) await panel.load();
    unseen = true;
  } catch (error) {
    failed(error);
  } finally {
    loading -= 1;
  }
  await ask();
  busy();
}

$("token-button").addEventListener("click", () => $("token-dialog").showModal());
$("token-dialog").addEventListener("close", () => {
  if ($("token-dialog").returnValue === "use") {
    rpc.token.set($("token").value.trim());
    $("token").value = "";
    connect();
  }
});

// What to draw.

$("clear").addEventListener("click", () => pad.clear());
$("undo").addEventListener("click", () => pad.undo());
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files[0]) open($("file").files[0]);
  $("file").value = "";
});
addEventListener("paste", (event) => open([...(event.clipboardData?.files ?? [])][0]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  open([...(event.dataTransfer?.files ?? [])][0]);
});

async function open(file) {
  if (!file) return;
  try {
    show("draw");
    await pad.open(file);
    warn("");
  } catch {
    warn(`${file.name || "This"} is no image that this browser can read.`);
  }
}

$("samples").append(...SAMPLES.map((strokes, digit) => {
  const lines = strokes.map((points) => svg("path", { d: `M${points.map(([x, y]) => `${(100 * x).toFixed(1)} ${(100 * y).toFixed(1)}`).join("L")}` }));
  const button = element("button", { type: "button", "aria-label": `Draw a ${digit}` }, svg("svg", { viewBox: "10 5 80 90", "aria-hidden": "true" }, ...lines));
  button.addEventListener("click", () => pad.play(strokes));
  return button;
}));

$("compare").addEventListener("change", () => {
  if ($("compare").checked) {
    const panel = new Panel("second", () => colours, choose, failed);
    panels.push(panel);
    panel.offer(connect.versions ?? [], connect.other);
    $("panels").append(panel.root);
  } else panels.pop().root.remove();
  $("panels").classList.toggle("two", $("compare").checked);
  choose();
});
$("panels").append(panels[0].root);

// Tabs.

const tabs = [...document.querySelectorAll("[role=tab]")];

const nameOf = (tab) => tab.id.slice(4);

function show(name, focus = false) {
  for (const tab of tabs) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  live.stop();
  view();
}

/** What a tab shows is fetched when it is looked at. */
function view() {
  if (state !== "well") return;
  if (!$("view-card").hidden) cards.show(panels[0].model, panels[0].version, limits.maxRows).catch(failed);
  if (!$("view-live").hidden) live.start();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => show(nameOf(tab)));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) show(nameOf(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]), true);
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours = palette();
  pad.paint();
  for (const panel of panels) panel.paint();
});

show(["draw", "card", "live"].find((name) => location.hash === `#${name}`) ?? "draw");
await connect();
watch();
// The first thing to be seen is a network at work.
if (state === "well" && pad.blank && !$("view-draw").hidden) pad.play(SAMPLES[3], 1100);

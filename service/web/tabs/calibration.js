// How far a model is to be trusted, by its card: whether its scores are chances, and what it takes for no digit.

import { element, percent, svg } from "../dom.js";

const SIDE = 260; // of the diagram, in its own units, as are the next ones
const [LEFT, BELOW, RIM] = [38, 36, 10];
const [LEAST, MOST] = [2.2, 8]; // radius of a dot for one image, and for as many as the fullest bin has
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** A box with the diagram of reliability; null where the card has none. */
export function reliability(card) {
  const bins = card.reliability.filter(({ images }) => images);
  return bins.length ? element("div", { class: "box" }, element("h2", {}, "Are its scores chances?"), diagram(bins, card), numbers(bins)) : null;
}

/** A box with what it tells digits from, and how well; null where the card says nothing of that. */
export function outliers({ outlierAuc }) {
  const kinds = Object.keys(outlierAuc).sort(); // in an answer they stand in any order
  const rows = kinds.map((kind) => [kind === "all" ? "all that it learned from" : kind, outlierAuc[kind].toFixed(4)]);
  return rows.length ? element("div", { class: "box" }, element("h2", {}, "Does it know what is no digit?"),
    table(["Tells digits from", "Area"], rows, "The area under the curve: 1 never wrong, 0.5 a guess.")) : null;
}

/** Share right against best score, a dot for each bin. */
function diagram(bins, { calibrationError }) {
  const x = (score) => LEFT + score * SIDE;
  const y = (share) => RIM + (1 - share) * SIDE;
  const most = Math.max(...bins.map(({ images }) => images));
  const text = (at, words, more = {}) => svg("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, words);
  const ticks = TICKS.flatMap((tick) => [
    svg("path", { class: "grid", d: `M${x(tick)} ${y(0)}V${y(1)}M${x(0)} ${y(tick)}H${x(1)}` }),
    text([x(tick), y(0) + 15], `${100 * tick}`),
    ...(tick ? [text([x(0) - 5, y(tick) + 4], `${100 * tick}`, { "text-anchor": "end" })] : []),
  ]);
  const dots = bins.map(({ images, meanScore, accuracy }) => {
    const error = Math.sqrt((accuracy * (1 - accuracy)) / images);
    const [low, high] = [Math.max(accuracy - error, 0), Math.min(accuracy + error, 1)];
    return svg("g", {},
      svg("path", { class: "error", d: `M${x(meanScore)} ${y(low)}V${y(high)}` }),
      svg("circle", { cx: x(meanScore), cy: y(accuracy), r: LEAST + (MOST - LEAST) * Math.sqrt(images / most) }),
      svg("title", {}, `${images.toLocaleString("en")} images: best score ${percent(meanScore)}, right ${percent(accuracy)}`));
  });
  const error = calibrationError === undefined ? "" : ` Calibration error ${percent(calibrationError, 2)}.`;
  return element("figure", { class: "reliability" },
    svg("svg", { viewBox: `0 0 ${LEFT + SIDE + RIM} ${RIM + SIDE + BELOW}`, role: "img", "aria-label": `Share right against best score.${error} The numbers are in the table below.` },
      ...ticks, svg("path", { class: "even", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }), ...dots,
      text([x(0.5), y(0) + 32], "best score, mean of the bin, %"),
      text([0, 0], "share right, %", { transform: `translate(10 ${y(0.5)}) rotate(-90)` })),
    element("figcaption", { class: "note" }, "A dot for each range of best scores, the larger the more test images; strokes are standard errors. On the line scores are chances: of answers with a score of 70\u00a0%, so many are right."));
}

function numbers(bins) {
  return element("details", {}, element("summary", {}, "The same in numbers"),
    table(["Best score, mean", "Right", "Images"], bins.map(({ images, meanScore, accuracy }) => [percent(meanScore), percent(accuracy), images.toLocaleString("en")])));
}

/** A table whose rows are named by their first cell. */
function table(heads, rows, caption = null) {
  return element("table", { class: "figures" },
    caption && element("caption", {}, caption),
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, rows.map(([name, ...values]) => element("tr", {}, element("th", { scope: "row" }, name), values.map((value) => element("td", {}, value))))));
}

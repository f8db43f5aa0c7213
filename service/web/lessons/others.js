// Buttons that lead from a version that a lesson cannot show to those that it can.

import { element } from "../dom.js";
import { describe } from "../network/inspector.js";

/** A row with a button for each version of the page that is `wanted`; null where there is none. Raises `Failure`. */
export async function others(page, wanted) {
  await page.described(); // their cards are here then
  const buttons = page.versions().filter(wanted).map(({ model, version, card }) => {
    const button = element("button", { type: "button" }, `${model} ${version}${card ? `: ${describe(card)}` : ""}`);
    button.addEventListener("click", () => page.choose({ model, version }));
    return button;
  });
  return buttons.length ? element("div", { class: "row" }, buttons) : null;
}

// Ten digits as strokes of a hand: the few points that each goes through, in percent of the pad's side.

const THROUGH = [
  [[[54, 18], [36, 26], [28, 50], [36, 76], [52, 82], [67, 70], [72, 46], [64, 24], [50, 18]]],
  [[[40, 30], [54, 17], [53, 48], [51, 82]]],
  [[[31, 34], [38, 20], [56, 18], [65, 31], [58, 50], [42, 67], [29, 81], [50, 80], [71, 79]]],
  [[[32, 25], [48, 17], [63, 25], [60, 40], [46, 48], [62, 54], [68, 68], [55, 81], [38, 80], [29, 72]]],
  [[[40, 18], [34, 36], [29, 54], [48, 54], [72, 52]], [[60, 22], [59, 52], [57, 83]]],
  [[[66, 20], [40, 20], [37, 34], [35, 46], [50, 43], [66, 52], [66, 70], [52, 81], [32, 77]]],
  [[[60, 17], [44, 32], [34, 54], [36, 74], [52, 82], [66, 72], [62, 57], [48, 54], [36, 66]]],
  [[[28, 22], [48, 21], [70, 20], [60, 42], [50, 62], [43, 83]]],
  [[[64, 26], [48, 17], [35, 27], [44, 43], [59, 55], [66, 70], [52, 82], [36, 73], [42, 56], [59, 42], [64, 26]]],
  [[[65, 30], [50, 18], [35, 28], [38, 45], [53, 48], [65, 36], [66, 30], [64, 56], [57, 82]]],
];

/** Points along the curve through all (Catmull-Rom), close enough to be played one after the other. */
function smooth(points) {
  const found = [];
  for (let at = 0; at + 1 < points.length; at++) {
    const [a, b, c, d] = [points[at - 1] ?? points[at], points[at], points[at + 1], points[at + 2] ?? points[at + 1]];
    for (let t = 0; t < 1; t += 0.125) {
      found.push([0, 1].map((i) => 0.5 * (2 * b[i] + (c[i] - a[i]) * t + (2 * a[i] - 5 * b[i] + 4 * c[i] - d[i]) * t * t
        + (3 * b[i] - a[i] - 3 * c[i] + d[i]) * t * t * t) / 100));
    }
  }
  return [...found, points.at(-1).map((each) => each / 100)];
}

/** Strokes of each digit, 0 to 9: lists of [x, y] in parts of the side. */
export const SAMPLES = THROUGH.map((strokes) => strokes.map(smooth));

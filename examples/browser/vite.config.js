// The development server hands RPCs on to the digits server, since a browser asks only the page's own origin.
const target = `http://${process.env.DIGITS ?? "localhost:8000"}`;
export default { server: { proxy: { "/digits.v1.DigitsService": { target } } } };

// Classifies and reads pictures with node: node classify.js [HOST:PORT [PICTURE [SHEET]]]
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const defaults = ["localhost:8001", here("../../tests/data/images/seven.png"), here("../../tests/data/several.png")];
const [address, picture, sheet] = defaults.map((value, index) => process.argv[2 + index] ?? value);

const definition = loadSync("digits/v1/digits.proto", {
  includeDirs: [here("../../proto"), here("node_modules/google-proto-files")],
  defaults: true,
});
const client = new (loadPackageDefinition(definition).digits.v1.DigitsService)(address, credentials.createInsecure());
const call = (method, request) => promisify(client[method].bind(client))(request);

const answer = await call("Classify", { encodedImages: [readFileSync(picture)] });
const [{ digit, scores }] = answer.predictions;
console.log(`${digit} with a score of ${scores[digit].toFixed(3)} by ${answer.model.name}`);
console.log(`read: ${(await call("Read", { encodedImage: readFileSync(sheet) })).text}`);
client.close();

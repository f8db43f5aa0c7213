// The operations in openapi.json, each with a form to try it.

import { $, element, say } from "../dom.js";
import { token } from "../rpc.js";

const openapi = await (await fetch("openapi.json")).json();
const { schemas } = openapi.components;

say($("about"), openapi.info.description);
$("token").value = token.get();
$("token").addEventListener("change", () => token.set($("token").value.trim()));
// By POST where that and GET are the same.
$("methods").append(...Object.entries(openapi.paths).map(([path, { parameters = [], get, post }]) => (post ? operation("POST", path, parameters, post) : operation("GET", path, parameters, get))));

/** One operation: what it does, its fields, and the form. */
function operation(verb, path, parameters, { operationId, summary, description, requestBody, responses }) {
  const sent = requestBody?.content["application/json"];
  const answered = responses["200"].content?.["application/json"].schema;
  const request = sent ? named(sent.schema) : null;
  const message = element("textarea", { spellcheck: "false", "aria-label": `Request of ${operationId}` });
  message.value = JSON.stringify(sent?.example, null, 1);
  const address = element("input", { spellcheck: "false", "aria-label": `Path of ${operationId}` });
  address.value = parameters.reduce((found, { name, example }) => found.replace(`{${name}}`, example), path);
  const answer = element("pre", { role: "status", tabindex: "0", "aria-label": `Answer of ${operationId}` });
  const send = element("button", { class: "strong" }, "Send");
  send.addEventListener("click", async () => {
    send.disabled = true;
    say(answer, await ask(verb, address.value, request ? message.value : undefined));
    send.disabled = false;
  });
  const image = Object.keys(request?.properties ?? {}).find((name) => name.startsWith("encodedImage"));
  return element(
    "details",
    { id: operationId },
    element("summary", {}, element("strong", {}, operationId), " ", element("small", {}, summary)),
    element("p", {}, description),
    element("p", {}, element("code", {}, `${verb} ${path}`)),
    element("h3", {}, "Request"),
    request ? fields(request) : null,
    parameters.length ? address : null,
    image ? chooser(message, image, request.properties[image].type === "array") : null,
    request ? message : null,
    send,
    answer,
    answered ? element("h3", {}, answered.items ? "Answer: a list of" : "Answer") : null,
    answered ? fields(named(answered.items ?? answered)) : null,
  );
}

/** An input whose image becomes that field of the message. */
function chooser(message, field, several) {
  const input = element("input", { type: "file", accept: "image/*" });
  input.addEventListener("change", async () => {
    const bytes = new Uint8Array(await input.files[0].arrayBuffer());
    const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    message.value = JSON.stringify({ [field]: several ? [text] : text }, null, 1);
  });
  return element("p", {}, element("label", {}, "Image ", input));
}

/** Status, request id and body of the answer. */
async function ask(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  try {
    const response = await fetch(path, { method, body, headers, cache: "no-store" });
    const text = await response.text();
    const id = response.headers.get("x-request-id");
    return `HTTP ${response.status}${id ? `, request ${id}` : ""}\n${pretty(text)}`;
  } catch {
    return "The server does not answer.";
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

function named(schema) {
  return schemas[schema.$ref.split("/").at(-1)];
}

function fields({ properties }) {
  const list = Object.entries(properties).map(([name, schema]) => [
    element("dt", {}, element("code", {}, name), " ", element("small", {}, type(schema))),
    element("dd", {}, schema.description ?? ""),
  ]);
  return element("dl", {}, ...list);
}

/** The type of a field for people. */
function type(schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.type === "array") return `list of ${type(schema.items)}`;
  if (schema.contentEncoding) return "Base64";
  return [schema.type ?? "number"].flat().join(" or ");
}

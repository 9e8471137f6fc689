// Apart from the page, because its Content-Security-Policy allows no inline script.
import { init } from "./redoc-3.0.1/redoc.standalone.js";

// The badge "API docs by" takes a logo from its makers' host, by attribute and by property.
const image = HTMLImageElement.prototype;
const src = Object.getOwnPropertyDescriptor(image, "src");
const isForeign = (url) => {
  const { origin } = new URL(url, document.baseURI);
  return origin !== location.origin && origin !== "null"; // "null" is what a data: address has
};
Object.defineProperty(image, "src", {
  ...src,
  set(url) {
    if (!isForeign(url)) src.set.call(this, url);
  },
});
image.setAttribute = function (name, value) {
  if (name !== "src" || !isForeign(value)) Element.prototype.setAttribute.call(this, name, value);
};

// The search then builds its index here, and no worker from a string, which the policy forbids.
window.Worker = undefined;

// Given the description and not its address, the page offers no "Open in …" some other company.
const answer = await fetch(new URL("../openapi.json", document.baseURI));
init(
  await answer.json(),
  { disableTelemetry: true }, // it would report each visit to its makers
  document.getElementById("redoc"),
);

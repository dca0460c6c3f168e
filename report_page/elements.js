"use strict";
// How elements are made, classes coloured and times written: the page of a run and the page to label in share it.
// Text from files only ever goes through textContent and setAttribute, so that nothing in it is markup.

const COLOURS = 8;

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

const html = (name, properties, ...children) => fill(document.createElement(name), properties, children);
const svg = (name, properties, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
const find = (id) => document.getElementById(id);

// the same class has the same colour everywhere; after COLOURS classes stripes tell them apart
function paint(element, label) {
  element.style.setProperty("--c", `var(--c${label % COLOURS})`);
  element.dataset.stripe = Math.floor(label / COLOURS) % 3;
  return element;
}

const swatch = (label) => paint(html("i", { class: "swatch", "aria-hidden": "true" }), label);
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * scale) / scale;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

// a step of 1, 2 or 5 times a power of ten that divides `span` into at most `most` parts
function niceStep(span, most) {
  const rough = span / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
}

function buildTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  find("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  });
}

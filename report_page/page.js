"use strict";
// What every part of the page shares: the data, what is chosen, and how elements are made.
// Text from the data only ever goes through textContent and setAttribute, so that nothing in it is markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = 8;
const chosen = { threshold: DATA.threshold, label: -1 };
const onChange = [];

function changed() {
  for (const update of onChange) update();
}

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

// a prediction is [label, start, end, score, own, any]: the annotated actions that it takes, or -1; see matching.py
const shown = (prediction) =>
  prediction[3] >= chosen.threshold && (chosen.label < 0 || prediction[0] === chosen.label);
const shownTruth = (action) => chosen.label < 0 || action[0] === chosen.label;

// what is right and wrong in a video with what is chosen
function counts(video) {
  const segments = video.predictions.filter(shown);
  const right = segments.filter((segment) => segment[4] >= 0).length;
  const positives = (video.truth || []).filter(shownTruth).length;
  return { shown: segments.length, right, positives };
}

const f1 = ({ shown: segments, right, positives }) =>
  segments + positives ? (2 * right) / (segments + positives) : 1;

function total() {
  const sum = { shown: 0, right: 0, positives: 0 };
  for (const video of DATA.videos) for (const [name, count] of Object.entries(counts(video))) sum[name] += count;
  return sum;
}

function chooseLabel(label) {
  chosen.label = chosen.label === label ? -1 : label;
  changed();
}

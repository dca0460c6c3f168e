// What every part of the page shares: the data, what is chosen, and what is right and wrong with it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const chosen = { threshold: DATA.threshold, label: -1 };
const onChange = [];

function changed() {
  for (const update of onChange) update();
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

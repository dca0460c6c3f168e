// Put the page together and connect slider, lists, theme and keys.

function buildControls() {
  const slider = find("threshold");
  const [low, high] = DATA.range;
  Object.assign(slider, { min: low, max: high, step: (high - low) / 100 });
  slider.value = chosen.threshold;
  slider.addEventListener("input", () => {
    chosen.threshold = Number(slider.value);
    changed();
  });
  // an order that changes under the hand would be no help: it does when the slider is let go
  slider.addEventListener("change", arrange);
  const filter = find("filter");
  DATA.classes.forEach((name, label) => filter.append(html("option", { value: label }, name)));
  filter.addEventListener("change", () => {
    chosen.label = Number(filter.value);
    changed();
  });
  find("sort").addEventListener("change", arrange);
  onChange.push(() => {
    find("level").textContent = chosen.threshold.toFixed(2);
    filter.value = chosen.label;
    filterRows();
    for (const row of rows) if (row.near) drawRow(row);
    opened?.view.update();
  });
}

const KEYS = {
  " ": (view) => view.toggle(),
  ArrowLeft: (view) => view.seek(view.time - 1),
  ArrowRight: (view) => view.seek(view.time + 1),
  n: (view) => view.step(1),
  p: (view) => view.step(-1),
};

// keys are the player's, unless they belong to the control that has the focus; a row just opened by a click is not one
function onKey(event) {
  const action = KEYS[event.key];
  if (!action || !opened || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select")) return;
  if (event.key === " " && event.target.closest("button:not(.open *)")) return;
  event.preventDefault();
  action(opened.view);
}

buildTheme();
buildFigures();
buildCharts();
buildControls();
arrange();
changed();
for (const { element } of rows) inSight.observe(element);
const first = rows.find(({ element }) => element === find("list").firstElementChild);
if (first) openRow(first);
document.addEventListener("keydown", onKey, true);

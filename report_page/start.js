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

// what is chosen stands in the address, so that a link or a reload shows the same
function remember() {
  // inside a notebook there is no address of its own
  if (location.protocol === "about:") return;
  const state = new URLSearchParams();
  const { theme } = document.documentElement.dataset;
  if (theme !== (darkWanted() ? "dark" : "light")) state.set("theme", theme);
  if (chosen.threshold !== DATA.threshold) state.set("score", String(+chosen.threshold.toFixed(4)));
  if (chosen.label >= 0) state.set("action", DATA.classes[chosen.label]);
  const sort = find("sort");
  if (sort.selectedIndex > 0) state.set("sort", sort.value);
  if (opened && opened.row !== firstRow) state.set("video", opened.row.video.id);
  history.replaceState(null, "", String(state) ? `#${state}` : location.pathname + location.search);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  const theme = state.get("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  const score = Number(state.get("score"));
  if (state.has("score") && score >= DATA.range[0] && score <= DATA.range[1]) chosen.threshold = score;
  chosen.label = DATA.classes.indexOf(state.get("action"));
  const sort = find("sort");
  if ([...sort.options].some((option) => option.value === state.get("sort"))) sort.value = state.get("sort");
  find("threshold").value = chosen.threshold;
  arrange();
  changed();
  const row = rows.find(({ video }) => video.id === state.get("video"));
  if (row) {
    openRow(row);
    row.element.scrollIntoView({ block: "start" });
  }
}

const darkWanted = () => matchMedia("(prefers-color-scheme: dark)").matches;

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
let firstRow = null; // the one that is open at first
restore();
for (const { element } of rows) inSight.observe(element);
const first = rows.find(({ element }) => element === find("list").firstElementChild);
firstRow = first || null;
if (first && !opened) openRow(first);
for (const name of ["theme", "sort", "threshold", "filter"]) {
  find(name).addEventListener(name === "theme" ? "click" : "change", remember);
}
find("list").addEventListener("click", remember);
find("charts")?.addEventListener("click", remember);
document.querySelector("nav a").addEventListener("click", (event) => {
  event.preventDefault(); // the address is kept for what is chosen
  find("videos").scrollIntoView();
});
addEventListener("hashchange", restore);
// paper shows every row, not only those near the screen
addEventListener("beforeprint", () => {
  for (const row of rows) {
    row.near = true;
    drawRow(row);
  }
});
document.addEventListener("keydown", onKey, true);

// The keys: everything can be done with them. One table is both what they do and the card that shows them.

function neighbour(list, direction) {
  const at = list.indexOf(selected);
  if (at >= 0) return list[at + direction];
  return direction > 0 ? list.find(({ start }) => start > playhead.time + EPSILON)
    : list.findLast(({ start }) => start < playhead.time - EPSILON);
}

function go(list, direction) {
  const next = neighbour(list, direction);
  if (next) goTo(next);
}

function setIn() {
  inPoint = playhead.time;
  schedule();
}

function setOut() {
  const end = timeOf(playhead.frame + 1);
  const start = inPoint;
  inPoint = null;
  if (start !== null && start < end) make(start, end);
  else schedule();
}

function takeBorder(side) {
  if (!selected) return;
  const time = side === "start" ? playhead.time : timeOf(playhead.frame + 1);
  const { start, end } = { ...selected, [side]: time };
  alter(selected, { start, end });
}

// with none chosen, the suggestion under the playhead
const ghostInHand = () => (isGhost(selected) ? selected
  : video.ghosts.find(({ start, end }) => start <= playhead.time && playhead.time < end) || video.ghosts[0]);

function acceptOne() {
  const ghost = ghostInHand();
  if (ghost) accept([ghost]);
}

let unsureAt = -1;
function nextUnsure() {
  if (!video.unsure.length) return;
  unsureAt = (unsureAt + 1) % video.unsure.length;
  seek(video.unsure[unsureAt][0]);
}

const toggleFinished = () => setStatus(video.status === "finished" ? "in work" : "finished");

const GROUPS = [
  ["Play", [
    [[" "], "play, pause", () => toggle()],
    [[",", "ArrowLeft"], "one frame back", () => toFrame(playhead.frame - 1)],
    [[".", "ArrowRight"], "one frame on", () => toFrame(playhead.frame + 1)],
    [["Shift+ArrowLeft"], "one second back", () => seek(playhead.time - 1)],
    [["Shift+ArrowRight"], "one second on", () => seek(playhead.time + 1)],
    [["Home"], "to the begin", () => seek(0)],
    [["End"], "to the end", () => seek(video.end)],
    [["<"], "slower", () => speed(-1)],
    [[">"], "faster", () => speed(1)],
    [["Enter"], "play the chosen action", () => playSegment(selected)],
  ]],
  ["Label", [
    [["i"], "in: an action begins at this frame", setIn],
    [["o"], "out: it ends with this frame", setOut],
    [["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"], "class: of the chosen action, or of the next", (digit) => {
      const name = state.classes[(Number(digit) + 9) % 10];
      if (name !== undefined) relabel(name);
    }],
    [["c"], "new class", () => askClass()],
    [["r"], "rename the class", () => active !== null && rename(active)],
    [["f"], "finished, or not", toggleFinished],
  ]],
  ["Correct", [
    [["n"], "next action", () => go(video.segments.filter(passes), 1)],
    [["p"], "previous action", () => go(video.segments.filter(passes), -1)],
    [["["], "its start is this frame", () => takeBorder("start")],
    [["]"], "its end is this frame", () => takeBorder("end")],
    [["s"], "split it at this frame", () => split(selected, playhead.time)],
    [["m"], "merge it with the next of its class", () => merge(selected)],
    [["Delete", "Backspace"], "delete it", () => remove(selected)],
    [["e"], "note to it", askNote],
    [["z", "Ctrl+z"], "undo", () => undo()],
    [["y", "Ctrl+y", "Ctrl+Shift+Z"], "redo", () => undo("redo", "undo")],
  ]],
  ["Suggestions", [
    [["k"], "next suggestion", () => go(video.ghosts, 1)],
    [["j"], "previous suggestion", () => go(video.ghosts, -1)],
    [["a"], "accept it", acceptOne],
    [["x"], "reject it", () => reject(ghostInHand())],
    [["A"], "accept all of the chosen score", () => accept(video.ghosts)],
    [["u"], "next place the model is unsure of", nextUnsure],
  ]],
  ["Look", [
    [["+", "="], "zoom in", () => zoom(1 / ZOOM)],
    [["-"], "zoom out", () => zoom(ZOOM)],
    [["w"], "the whole video", showAll],
    [["v"], "the chosen action", () => selected && showSegment(selected)],
    [["g"], "snapping on or off", () => { find("snap").checked = !find("snap").checked; }],
    [["/"], "filter", () => find("filter").focus()],
    [["PageDown"], "next video", () => stepVideo(1)],
    [["PageUp"], "previous video", () => stepVideo(-1)],
    [["Escape"], "let go", () => (drag ? cancelDrag() : select(null))],
    [["?"], "this card", () => find("card").showModal()],
  ]],
];

const NAMES = { " ": "space", ArrowLeft: "←", ArrowRight: "→", "Shift+ArrowLeft": "⇧←", "Shift+ArrowRight": "⇧→",
  PageDown: "PgDn", PageUp: "PgUp", Delete: "Del", Backspace: "⌫", Escape: "Esc", Enter: "⏎" };
const ALONE = new Set(["?", "c", "PageDown", "PageUp"]); // of use without an open video

const ACTIONS = new Map(GROUPS.flatMap(([, lines]) =>
  lines.flatMap(([keys, , act]) => keys.map((name) => [name, () => act(name)]))));

function keyName(event) {
  const shift = event.shiftKey && event.key.length > 1 ? "Shift+" : "";
  const control = event.ctrlKey || event.metaKey ? `Ctrl+${event.shiftKey ? "Shift+" : ""}` : "";
  return control ? control + event.key : shift + event.key;
}

// keys belong to the text that is being written, and to a dialog
function onKey(event) {
  if (event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input[type=search]")) {
    if (event.key === "Escape" || event.key === "Enter") event.target.blur();
    return;
  }
  const name = keyName(event);
  if (event.target.closest("select, input[type=range]") && event.key.startsWith("Arrow")) return;
  if ((name === " " || name === "Enter") && event.target.closest("button, select, summary, input")) return;
  const act = ACTIONS.get(name);
  if (!act || (!video && !ALONE.has(name))) return;
  event.preventDefault();
  act();
}

function buildCard() {
  const line = ([keys, words]) => html("div", {}, html("span", {}, shownKeys(keys).map((name) => html("kbd", {}, name))), words);
  find("keys").replaceChildren(...GROUPS.map(([name, lines]) => html("section", {}, html("h4", {}, name), lines.map(line))));
}

const shownKeys = (keys) => (keys.length > 5 ? ["1", "…", "0"] : keys.filter((name) => name !== "=").slice(0, 2)
  .map((name) => NAMES[name] || name));

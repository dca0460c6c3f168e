// What stands around the timeline: videos, classes, suggestions, actions, teaching.

const LINE = 30; // pixels of a row in a list
let filter = "";

const passes = (segment) =>
  !filter || segment.label.toLowerCase().includes(filter) || segment.note.toLowerCase().includes(filter);

// a list of any length draws the rows in sight
function drawRows(holder, items, make) {
  const first = Math.max(0, Math.floor(holder.scrollTop / LINE) - 5);
  const drawn = items.slice(first, first + Math.ceil(holder.clientHeight / LINE) + 10);
  const inner = html("div", { class: "all" }, drawn.map((item, n) => {
    const row = make(item);
    row.style.top = `${(first + n) * LINE}px`;
    return row;
  }));
  inner.style.height = `${items.length * LINE}px`;
  holder.replaceChildren(inner);
}

// rows move into sight; the page does not
function scrollTo(holder, number) {
  if (number < 0) return;
  const [top, bottom] = [number * LINE, (number + 1) * LINE];
  if (top < holder.scrollTop) holder.scrollTop = top;
  else if (bottom > holder.scrollTop + holder.clientHeight) holder.scrollTop = bottom - holder.clientHeight;
}

const byName = (one, other) => (one.id < other.id ? -1 : 1);
const ORDERS = {
  rank: (one, other) => (one.rank ?? Infinity) - (other.rank ?? Infinity) || ORDERS.open(one, other),
  name: byName,
  open: (one, other) => (one.status === "finished") - (other.status === "finished") || byName(one, other),
};
const SIGNS = { "not begun": "○", "in work": "◐", finished: "●" };

const ordered = () => state.videos.slice().sort((one, other) => {
  const order = ORDERS[find("order").value](one, other);
  return Number.isNaN(order) ? ORDERS.open(one, other) : order;
});

function drawVideos() {
  const done = state.videos.filter(({ status }) => status === "finished").length;
  find("progress").textContent = `${done} of ${state.videos.length} finished`;
  drawRows(find("videos"), ordered(), ({ id, status, count }) => html("button", {
    type: "button", class: "line", title: `${id}: ${status}`, onclick: () => openVideo(id),
    "aria-current": video?.id === id ? "true" : null,
  }, html("span", { class: `sign ${status.replace(" ", "-")}` }, SIGNS[status]), html("span", { class: "name" }, id),
  html("span", { class: "many" }, count ? String(count) : "")));
}

async function openVideo(id, again = false) {
  if (unsaved.length && !lost) await flushed();
  const keep = again && video?.id === id;
  let opened;
  try {
    opened = await ask("open", { video: id });
  } catch (error) {
    notify(error.message);
    return;
  }
  const was = keep ? [video.ready, video.error].join() : null;
  video = opened;
  selected = inPoint = drag = null;
  arrange();
  if (!keep) {
    Object.assign(playhead, { time: 0, frame: 0 });
    Object.assign(view, { start: 0, span: video.end });
  }
  if (was !== [video.ready, video.error].join()) buildStage();
  window.history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  if (!keep) scrollTo(find("videos"), ordered().findIndex((one) => one.id === id));
  changed();
}

function stepVideo(direction) {
  const all = ordered();
  const next = all[all.findIndex(({ id }) => id === video?.id) + direction];
  if (next) openVideo(next.id);
}

function setStatus(status) {
  if (video && video.status !== status) commit({ status });
}

function drawTop() {
  find("title").textContent = video?.id ?? "";
  find("status").replaceChildren(...["in work", "finished"].map((status) => html("button", {
    type: "button", class: "plain", "aria-pressed": String(video?.status === status), onclick: () => setStatus(status),
  }, `${SIGNS[status]} ${status}`)));
  const words = lost ? "label.py does not answer: not saved" : unsaved.length ? "saving…" : "saved";
  find("saved").textContent = words;
  find("saved").classList.toggle("bad", lost);
  find("undo").disabled = !video || !past().undo.length;
  find("redo").disabled = !video || !past().redo.length;
}

function drawClasses() {
  const digits = "1234567890";
  find("classes").replaceChildren(...state.classes.map((name, n) => html("div", { class: "line" },
    html("button", { type: "button", class: "line", "aria-pressed": String(active === name), title: name,
      onclick: () => relabel(name) },
    html("kbd", {}, digits[n] ?? " "), swatch(n), html("span", { class: "name" }, name),
    html("span", { class: "many" }, String(state.counts[name] || ""))),
    html("button", { type: "button", class: "pen", "aria-label": `rename ${name}`, onclick: () => rename(name) }, "✎"))));
}

function drawGhosts() {
  find("ghosts").hidden = !video?.suggestions.length;
  if (!video) return;
  find("level").textContent = threshold.toFixed(2);
  find("threshold").value = threshold;
  find("ghostcount").textContent = `${video.ghosts.length} open`;
  find("acceptall").disabled = !video.ghosts.length;
}

function drawActions() {
  if (!video) return;
  const listed = video.segments.filter(passes);
  const all = video.segments.length;
  find("count").textContent = listed.length === all ? String(all) : `${listed.length} of ${all}`;
  const at = listed.indexOf(selected);
  if (at >= 0 && at !== drawActions.last) scrollTo(find("actions"), at);
  drawActions.last = at;
  drawRows(find("actions"), listed, (segment) => html("button", {
    type: "button", class: "line", "aria-current": segment === selected ? "true" : null, title: segment.note || null,
    onclick: () => goTo(segment), ondblclick: () => playSegment(segment),
  }, html("span", { class: "when" }, clock(segment.start, 2)), swatch(labelNumber(segment.label)),
  html("span", { class: "name" }, `${segment.label}${segment.note ? ` — ${segment.note}` : ""}`),
  html("span", { class: "many" }, `${(segment.end - segment.start).toFixed(2)} s`)));
  drawChosen();
}

function drawChosen() {
  if (!selected) {
    find("chosen").replaceChildren();
    return;
  }
  const ways = isGhost(selected)
    ? [["accept", "a", () => accept([selected])], ["reject", "x", () => reject(selected)]]
    : [["note", "e", askNote], ["split", "s", () => split(selected, playhead.time)],
      ["merge", "m", () => merge(selected)], ["delete", "Del", () => remove(selected)]];
  const button = ([name, key, act]) => html("button", { type: "button", class: "plain", title: key, onclick: act }, name);
  const score = isGhost(selected) ? `, suggested with ${selected.score.toFixed(2)}` : "";
  find("chosen").replaceChildren(`${clock(selected.start, 3)} to ${clock(selected.end, 3)}${score}`, html("br"),
    ...ways.map(button));
}

function goTo(segment) {
  select(segment);
  seek(segment.start);
}

function drawTeaching() {
  const { running, step, error, lines = [], page } = state.teaching;
  const told = running || error ? [...(error ? [error] : []), ...lines.slice(-5)] : page ? [`its page: ${page}`] : [];
  find("teach").disabled = running;
  find("step").textContent = running ? `${step}…` : error ? "stopped" : step;
  find("log").hidden = !told.length;
  find("log").textContent = told.join("\n");
}

async function teach() {
  try {
    take(await tell("teach", {}));
  } catch (error) {
    notify(error.message);
  }
  changed();
}

// one line of text from the user; `accept` may throw what is wrong with it
function askText(question, value, accept) {
  const dialog = find("ask");
  find("question").textContent = question;
  find("wrong").textContent = "";
  find("answer").value = value;
  dialog.returnValue = "no";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    try {
      await accept(find("answer").value.trim());
    } catch (error) {
      askText(question, find("answer").value, accept);
      find("wrong").textContent = error.message;
    }
  };
  dialog.showModal();
  find("answer").select();
}

function askClass(then = null) {
  askText("New class", "", async (name) => {
    if (!state.classes.includes(name)) take(await tell("class", { new: name }));
    active = name;
    if (then) then(name);
    else changed();
  });
}

function rename(old) {
  askText(`Another name for “${old}”, in all videos`, old, async (name) => {
    if (name === old) return;
    await flushed();
    take(await tell("class", { old, new: name }));
    if (active === old) active = name;
    histories.clear();
    await openVideo(video.id, true);
  });
}

const flushed = () => new Promise((done) => {
  const look = () => (unsaved.length ? setTimeout(look, 20) : done());
  look();
});

function askNote() {
  if (!selected || isGhost(selected)) return;
  const segment = selected;
  askText(`Note to “${segment.label}”`, segment.note, (note) => alter(segment, { note }));
}

// What is labelled: the segments of the open video, the gestures that change them, and their undoing.
// A segment is {raw: the annotation as the file has it, start, end, label, note, row}; times in seconds.

const state = { videos: [], classes: [], counts: {}, teaching: {}, session: null, ordered: false };
let video = null; // the open one, as the server tells it, with segments, rejected, suggestions and history
let selected = null; // a segment, or a ghost: a suggestion
let active = null; // the class of what is drawn next
let threshold = 0.3; // score from which suggestions are shown
let inPoint = null; // where the action begins that `o` ends
const onChange = [];
const histories = new Map(); // video -> {undo, redo}: lists of changes, as long as the session
const EPSILON = 1e-6;
const SAME = 0.5; // tIoU from which a segment, or a rejection, settles a suggestion of its class
const SURELY_SAME = 0.8; // and one of any class

function changed() {
  for (const update of onChange) update();
}

const wrap = (raw) => ({
  raw, start: Number(raw.segment[0]), end: Number(raw.segment[1]), label: raw.label, note: raw.note || "",
});

// an annotation like `raw`, with what is given in its place
function rawLike(raw, { start, end, label, note }) {
  const made = { ...raw };
  if (start !== undefined) made.segment = [start, end];
  if (label !== undefined) made.label = label;
  if (note !== undefined) made.note = note;
  if (made.note === "") delete made.note;
  return made;
}

// the times of the frames: frame n is shown from timeOf(n) to timeOf(n + 1)
const frameCount = () => video.frames.count || video.frames.times.length;

function timeOf(number) {
  if (number >= frameCount()) return video.end;
  if (number < 0) return 0;
  return video.frames.times ? video.frames.times[number] : Math.round((number / video.frames.rate) * 1e6) / 1e6;
}

function frameAt(time) {
  let low = 0;
  let high = frameCount() - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (timeOf(middle) <= time + EPSILON) low = middle;
    else high = middle - 1;
  }
  return low;
}

// the nearest moment at which one frame follows another
function border(time) {
  const number = frameAt(Math.max(0, time));
  return time - timeOf(number) <= timeOf(number + 1) - time ? timeOf(number) : timeOf(number + 1);
}

// segments that overlap stand in rows of their own
function stack(segments) {
  const ends = [];
  for (const segment of segments) {
    let row = ends.findIndex((end) => end <= segment.start + EPSILON);
    if (row < 0) row = ends.length;
    ends[row] = segment.end;
    segment.row = row;
  }
  return Math.max(1, ends.length);
}

function tiou(one, other) {
  const overlap = Math.min(one.end, other.end) - Math.max(one.start, other.start);
  return overlap <= 0 ? 0 : overlap / (one.end - one.start + other.end - other.start - overlap);
}

// take the segments from `video.annotations`, after it changed
function arrange() {
  video.segments = video.annotations.map(wrap).sort((one, other) => one.start - other.start || one.end - other.end);
  video.rows = stack(video.segments);
  settle();
}

// the suggestions that are still open, at the chosen score
function settle() {
  const settled = [...video.segments, ...video.rejected.map(wrap)];
  const done = (ghost) => settled.some((other) => {
    const same = tiou(ghost, other);
    return same >= SURELY_SAME || (same >= SAME && other.label === ghost.label);
  });
  const open = video.suggestions.filter((suggestion) => suggestion.score >= threshold)
    .map((suggestion) => ({ ...wrap(suggestion), score: suggestion.score }))
    .filter((ghost) => ghost.end > ghost.start && !done(ghost));
  video.ghosts = open.sort((one, other) => one.start - other.start || one.end - other.end);
  video.ghostRows = stack(video.ghosts);
}

const key = (raw) => JSON.stringify(raw);

function without(list, removed) {
  const left = removed.map(key);
  return list.filter((raw) => {
    const at = left.length ? left.indexOf(key(raw)) : -1;
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function apply(change) {
  video.annotations = [...without(video.annotations, change.remove || []), ...(change.add || [])];
  video.rejected = [...without(video.rejected, change.unreject || []), ...(change.reject || [])];
  if (change.status) video.status = change.status;
  arrange();
}

function inverse(change) {
  const turned = {};
  if (change.add) turned.remove = change.add;
  if (change.remove) turned.add = change.remove;
  if (change.reject) turned.unreject = change.reject;
  if (change.unreject) turned.reject = change.unreject;
  if (change.status) turned.status = video.status === "finished" ? "finished" : "in work";
  return turned;
}

const past = () => {
  if (!histories.has(video.id)) histories.set(video.id, { undo: [], redo: [] });
  return histories.get(video.id);
};

// do a change: {remove, add, reject, unreject: annotations; status}; it is saved at once
function commit(change) {
  past().undo.push(inverse(change));
  past().redo = [];
  perform(change);
}

function perform(change) {
  apply(change);
  if (video.status === "not begun") video.status = "in work";
  const first = change.add?.[0];
  selected = first ? video.segments.find(({ raw }) => raw === first) || null : null;
  send(change);
  changed();
}

function undo(from = "undo", to = "redo") {
  const change = video && past()[from].pop();
  if (!change) return;
  past()[to].push(inverse(change));
  perform(change);
}

const isGhost = (segment) => segment?.score !== undefined;

// gestures

function make(start, end, label = active) {
  if (end - start < EPSILON) return;
  if (label === null) {
    askClass((name) => make(start, end, name));
    return;
  }
  commit({ add: [{ segment: [start, end], label }] });
}

// another border, class or note; a suggestion that is corrected is thereby accepted
function alter(segment, what) {
  const { start, end, label } = { ...segment, ...what };
  if (end - start < EPSILON) return;
  if (isGhost(segment)) {
    commit({ add: [{ segment: [start, end], label }] });
    return;
  }
  const moved = what.start !== undefined || what.end !== undefined;
  const raw = rawLike(segment.raw, moved ? { ...what, start, end } : what);
  if (key(raw) !== key(segment.raw)) commit({ remove: [segment.raw], add: [raw] });
}

function remove(segment) {
  if (isGhost(segment)) reject(segment);
  else if (segment) commit({ remove: [segment.raw] });
}

function split(segment, at) {
  if (!segment || isGhost(segment) || at <= segment.start + EPSILON || at >= segment.end - EPSILON) return;
  const parts = [[segment.start, at], [at, segment.end]].map(([start, end]) => rawLike(segment.raw, { start, end }));
  commit({ remove: [segment.raw], add: parts });
}

// with the next of its class, or else the one before
function merge(segment) {
  if (!segment || isGhost(segment)) return;
  const alike = video.segments.filter(({ label }) => label === segment.label);
  const at = alike.indexOf(segment);
  const other = alike[at + 1] || alike[at - 1];
  if (!other) return;
  const notes = [segment, other].map(({ note }) => note).filter(Boolean);
  const whole = { start: Math.min(segment.start, other.start), end: Math.max(segment.end, other.end) };
  const raw = rawLike(segment.raw, { ...whole, note: notes.join("; ") });
  commit({ remove: [segment.raw, other.raw], add: [raw] });
}

const plain = ({ start, end, label }) => ({ segment: [start, end], label });

function accept(ghosts) {
  const taken = ghosts.filter(isGhost);
  if (taken.length) commit({ add: taken.map((ghost) => plain({ ...ghost, start: Math.max(0, border(ghost.start)), end: border(ghost.end) })) });
}

function reject(ghost) {
  if (!isGhost(ghost)) return;
  const next = video.ghosts[video.ghosts.indexOf(ghost) + 1];
  commit({ reject: [plain(ghost)] });
  if (next) select(video.ghosts.find((other) => other.start === next.start && other.label === next.label) || null);
}

function relabel(label) {
  active = label;
  if (selected) alter(selected, { label });
  else changed();
}

function select(segment) {
  selected = segment;
  changed();
}

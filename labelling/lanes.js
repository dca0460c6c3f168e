// The lanes: only what is in sight is drawn, what is narrower than a few pixels as one block; drawing and dragging.

const MOST_DRAWN = 300; // elements of a band
const EDGE = 7; // pixels around a border that take hold of it
const MAGNET = 8; // pixels from which a border jumps to a cut or to another segment's
const BEGUN = 4; // pixels that a drag needs, else it is a click
let drag = null; // {segment or null, side, start, end, from}
let scheduled = false;

const labelNumber = (label) => Math.max(0, state.classes.indexOf(label));
const busy = () => drag !== null || document.querySelector("dialog[open]") !== null;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (video) draw();
  });
}

function draw() {
  drawAxis();
  drawOverview();
  drawBand(find("suggested"), video.ghosts, video.ghostRows);
  drawBand(find("labelled"), video.segments.filter(passes), video.rows);
  find("suggested").hidden = !video.suggestions.length;
  drawMarks();
  moveMarker();
}

function drawBand(band, segments, rows) {
  const from = view.start;
  const to = view.start + view.span;
  const least = Math.max(4, (rows * width()) / MOST_DRAWN); // pixels; narrower ones are drawn together
  const parts = [];
  const crowds = []; // of each row the open one: {left, right, count, label}
  const close = (row) => {
    if (crowds[row]) parts.push(crowdElement(crowds[row], row));
    crowds[row] = null;
  };
  for (const segment of segments) {
    if (segment.start > to) break;
    if (segment.end < from || segment === drag?.segment) continue;
    const left = Math.max(-2, toPixel(segment.start));
    const right = Math.min(width() + 2, toPixel(segment.end));
    const crowd = crowds[segment.row];
    if (segment !== selected && ((segment.end - segment.start) / view.span) * width() < least) {
      if (crowd && left < crowd.left + least) {
        Object.assign(crowd, { right: Math.max(right, crowd.right), count: crowd.count + 1 });
        continue;
      }
      close(segment.row);
      crowds[segment.row] = { left, right, count: 1, segment };
      continue;
    }
    close(segment.row);
    parts.push(segmentElement(segment, left, right));
  }
  crowds.forEach((_, row) => close(row));
  if (drag && (drag.segment ? isGhost(drag.segment) : false) === (band.id === "suggested")) {
    const label = drag.segment ? drag.segment.label : active;
    const held = { row: 0, label: label ?? "", note: "", ...drag.segment, start: drag.start, end: drag.end };
    parts.push(segmentElement(held, Math.max(-2, toPixel(held.start)), Math.min(width() + 2, toPixel(held.end)), "held"));
  }
  band.style.setProperty("--rows", rows);
  band.replaceChildren(...parts);
}

function segmentElement(segment, left, right, kind = "") {
  const { start, end, label, note, score } = segment;
  const words = [label, `${clock(start, 2)} to ${clock(end, 2)}`];
  if (score !== undefined) words.push(`suggested, score ${score.toFixed(2)}`);
  if (note) words.push(note);
  const text = `${note ? "✎ " : ""}${label}${score === undefined ? "" : ` ${score.toFixed(2)}`}`;
  const element = html("div", { class: `segment ${kind}`, title: kind ? null : words.join(" · ") }, html("span", {}, text));
  if (score !== undefined) element.classList.add("ghost");
  if (segment === selected) element.setAttribute("aria-current", "true");
  element.segment = segment;
  return place(element, left, right, segment.row, label);
}

function crowdElement({ left, right, count, segment }, row) {
  const element = html("div", { class: "segment crowd", title: `${count} actions: zoom in` });
  if (isGhost(segment)) element.classList.add("ghost");
  if (count === 1) element.segment = segment;
  return place(element, left, Math.max(right, left + 2), row, segment.label);
}

function place(element, left, right, row, label) {
  element.style.left = `${left}px`;
  element.style.width = `${Math.max(2, right - left)}px`;
  element.style.setProperty("--row", row);
  return paint(element, labelNumber(label));
}

function drawMarks() {
  const line = (time, kind, title) => {
    const mark = html("i", { class: kind, title });
    mark.style.left = `${toPixel(time)}px`;
    return mark;
  };
  const inSight = (time) => time >= view.start && time <= view.start + view.span;
  let cuts = (video.shots || []).filter(inSight);
  if (cuts.length > width() / 8) cuts = []; // a fence shows nothing
  const marks = cuts.map((time) => line(time, "cut", "another shot"));
  if (inPoint !== null && inSight(inPoint)) marks.push(line(inPoint, "in", "in"));
  find("marks").replaceChildren(...marks);
}

// where the pointer is: the segment, and the border that it can take hold of
function under(event) {
  const x = event.clientX;
  const near = (element) => {
    const box = element.getBoundingClientRect();
    const inside = box.width < 3 * EDGE ? 1 : EDGE; // of a narrow one the middle can still be clicked
    if (x >= box.left - EDGE && x <= box.left + inside) return "start";
    return x <= box.right + EDGE && x >= box.right - inside ? "end" : null;
  };
  const hit = event.target.closest?.(".segment");
  if (hit?.segment) return { segment: hit.segment, side: near(hit) };
  if (hit) return { segment: null, side: null, crowd: true };
  const row = Math.floor((event.clientY - event.currentTarget.getBoundingClientRect().top) / ROW);
  for (const element of event.currentTarget.children) {
    if (element.segment?.row === row && near(element)) return { segment: element.segment, side: near(element) };
  }
  return { segment: null, side: null };
}

const ROW = 30; // pixels, as in label.css
const pointerTime = (event) => toTime(event.clientX - find("tracks").getBoundingClientRect().left);

// the nearest border of another segment or cut within the magnet's reach, else the nearest frame's
function snapped(time, but, free) {
  if (find("snap").checked && !free) {
    const reach = (MAGNET / width()) * view.span;
    const borders = [...(video.shots || []), timeOf(playhead.frame)];
    for (const segment of video.segments) if (segment !== but) borders.push(segment.start, segment.end);
    let best = null;
    for (const one of borders) {
      const distance = Math.abs(one - time);
      if (distance <= reach && (best === null || distance < Math.abs(best - time))) best = one;
    }
    if (best !== null) return Math.min(Math.max(0, best), video.end);
  }
  return Math.min(Math.max(0, border(time)), video.end);
}

function onDown(event) {
  if (!video || event.button) return;
  const { segment, side, crowd } = under(event);
  event.preventDefault();
  document.activeElement?.blur?.();
  if (crowd) {
    zoom(1 / (ZOOM * ZOOM), pointerTime(event));
    return;
  }
  event.currentTarget.setPointerCapture(event.pointerId);
  const time = pointerTime(event);
  drag = { segment, side, from: event.clientX, begun: false, start: segment?.start ?? time, end: segment?.end ?? time,
    at: time, band: event.currentTarget };
  if (segment) select(segment);
}

function onMove(event) {
  if (!drag) {
    if (video) event.currentTarget.classList.toggle("edge", Boolean(under(event).side));
    return;
  }
  if (!drag.begun && Math.abs(event.clientX - drag.from) < BEGUN) return;
  if (drag.segment && !drag.side) return; // a click on the middle
  if (!drag.begun && !drag.segment) drag.at = snapped(drag.at, null, event.altKey);
  drag.begun = true;
  const time = snapped(pointerTime(event), drag.segment, event.altKey);
  const fixed = !drag.segment ? drag.at : drag.side === "start" ? drag.segment.end : drag.segment.start;
  drag.start = Math.min(fixed, time);
  drag.end = Math.max(fixed, time);
  // the first frame inside, or the last
  showFrame(time === drag.end ? frameAt(time) - 1 : frameAt(time));
  tip(time, event);
  schedule();
}

function onUp(event) {
  if (!drag) return;
  const { segment, begun, start, end } = drag;
  drag = null;
  find("tip").hidden = true;
  if (!begun) {
    seek(segment ? segment.start : pointerTime(event));
  } else if (!segment) make(start, end);
  else if (start !== segment.start || end !== segment.end) alter(segment, { start, end });
  schedule();
}

function cancelDrag() {
  drag = null;
  find("tip").hidden = true;
  schedule();
}

function tip(time, event) {
  const box = find("tracks").getBoundingClientRect();
  const words = `${clock(time, 3)} · ${clock(drag.end - drag.start, 3)} long`;
  Object.assign(find("tip"), { hidden: false, textContent: words });
  find("tip").style.left = `${Math.min(Math.max(60, event.clientX - box.left), box.width - 60)}px`;
}

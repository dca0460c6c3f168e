// The part of the time that is shown, the overview of all of it, and the axis.

const view = { start: 0, span: 1 };
const LEAST_SPAN = 1; // seconds
const ZOOM = 1.6;

const width = () => find("tracks").clientWidth || 1;
const toPixel = (time) => ((time - view.start) / view.span) * width();
const toTime = (pixel) => view.start + (pixel / width()) * view.span;

function show(start, span) {
  view.span = Math.min(Math.max(span, Math.min(LEAST_SPAN, video.end)), video.end);
  view.start = Math.min(Math.max(0, start), video.end - view.span);
  schedule();
}

// keep what is under `at` (seconds) where it is
function zoom(factor, at = playhead()) {
  const inside = at >= view.start && at <= view.start + view.span ? at : view.start + view.span / 2;
  const span = Math.min(Math.max(view.span * factor, Math.min(LEAST_SPAN, video.end)), video.end);
  show(inside - ((inside - view.start) / view.span) * span, span);
}

const showAll = () => show(0, video.end);

function showSegment(segment) {
  const around = (segment.end - segment.start) * 0.6 + 0.5;
  show(segment.start - around, segment.end - segment.start + 2 * around);
}

// move on when the time leaves what is shown
function reveal(time) {
  if (time < view.start || time > view.start + view.span) show(time - view.span * 0.15, view.span);
}

function drawAxis() {
  const step = niceStep(view.span, Math.max(3, Math.min(12, width() / 90)));
  const digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
  const ticks = [];
  for (let n = Math.ceil(view.start / step - EPSILON); n * step <= view.start + view.span; n++) {
    const tick = html("span", {}, clock(n * step, digits));
    tick.style.left = `${toPixel(n * step)}px`;
    ticks.push(tick);
  }
  find("axis").replaceChildren(...ticks);
}

// all segments and what is shown of them, as pixels: 10,000 of them are one element
function drawOverview() {
  const canvas = find("overview");
  const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(wide * scale)) canvas.width = Math.round(wide * scale);
  if (canvas.height !== Math.round(high * scale)) canvas.height = Math.round(high * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, wide, high);
  const style = getComputedStyle(document.documentElement);
  const colours = Array.from({ length: COLOURS }, (_, n) => style.getPropertyValue(`--c${n}`));
  const x = (time) => (time / video.end) * wide;
  for (const segment of video.segments) {
    pen.fillStyle = resolved(colours[labelNumber(segment.label) % COLOURS]);
    pen.fillRect(x(segment.start), 4, Math.max(1, x(segment.end) - x(segment.start)), high - 8);
  }
  pen.fillStyle = pen.strokeStyle = resolved(style.getPropertyValue("--ink"));
  pen.lineWidth = 1.5;
  pen.strokeRect(x(view.start) + 0.75, 0.75, Math.max(3, x(view.span) - 1.5), high - 1.5);
  pen.fillRect(x(playhead()) - 0.75, 0, 1.5, high);
}

// light-dark(a, b) is not for a canvas
function resolved(colour) {
  const parts = colour.match(/light-dark\((#\w+), (#\w+)\)/);
  if (!parts) return colour;
  return parts[document.documentElement.dataset.theme === "dark" ? 2 : 1];
}

function dragOverview(event) {
  if (event.type === "pointerdown") {
    event.currentTarget.setPointerCapture(event.pointerId);
    event.preventDefault();
  } else if (!event.buttons) return;
  const box = event.currentTarget.getBoundingClientRect();
  show(((event.clientX - box.left) / box.width) * video.end - view.span / 2, view.span);
}

// the wheel moves; with Ctrl (or two fingers that part) it zooms around the pointer
function onWheel(event) {
  if (!video) return;
  const at = toTime(event.clientX - find("tracks").getBoundingClientRect().left);
  if (event.ctrlKey || event.metaKey) zoom(event.deltaY > 0 ? ZOOM : 1 / ZOOM, at);
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    show(view.start + ((event.deltaX || event.deltaY) / width()) * view.span, view.span);
  } else return;
  event.preventDefault();
}

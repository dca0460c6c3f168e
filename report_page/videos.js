// The list of videos. A row's content is made when it comes near the screen and dropped when it leaves, and one video
// is open at a time, so that a page of thousands stays light.

const NEAR = "600px";
const rows = DATA.videos.map((video, number) => (
  { video, element: html("article", { class: "row", "data-video": number }) }
));
let opened = null; // {row, view}

const summary = {
  worst: (one, other) => one.quality - other.quality || other.errors - one.errors || byName(one, other),
  most: (one, other) => other.found - one.found || byName(one, other),
  name: byName,
  longest: (one, other) => other.video.duration - one.video.duration || byName(one, other),
};

function byName(one, other) {
  return one.video.id < other.video.id ? -1 : 1;
}

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const row = rows[Number(target.dataset.video)];
    row.near = isIntersecting;
    drawRow(row);
  }
}, { rootMargin: NEAR });

function drawRow(row) {
  const focused = row.head && document.activeElement === row.head;
  row.head?.remove();
  row.head = null;
  if (!row.near && opened?.row !== row) return;
  const { video } = row;
  const picture = clearest(video)?.[1];
  const { shown: segments, right, positives } = counts(video);
  const words = [clock(video.duration)];
  if (video.truth) words.push(`${right} of ${positives} found`, `${segments - right} wrong`);
  else words.push(plural(segments, "action"));
  const lanes = [miniLane(video, video.predictions.filter(shown))];
  if (video.truth) lanes.unshift(miniLane(video, video.truth.filter(shownTruth)));
  const open = String(opened?.row === row);
  row.head = html("button", { class: "head", type: "button", "aria-expanded": open, onclick: () => toggleRow(row) },
    picture ? html("img", { src: picture, alt: "" }) : html("span", { class: "nopicture" }),
    html("span", { class: "title" }, html("b", {}, video.id), html("span", {}, words.join(" · "))),
    html("span", { class: "mini", "aria-hidden": "true" }, lanes));
  row.element.prepend(row.head);
  if (focused) row.head.focus({ preventScroll: true });
}

// the picture in the middle, unless it shows much less than another: a black one is a short file
function clearest({ thumbnails }) {
  const middle = thumbnails[Math.floor(thumbnails.length / 2)];
  const most = thumbnails.reduce((one, other) => (other[1].length > one[1].length ? other : one), thumbnails[0]);
  return middle && middle[1].length >= most[1].length / 2 ? middle : most;
}

function miniLane(video, segments) {
  const length = video.duration || 1;
  return html("span", {}, segments.map(([label, start, end]) => {
    const block = paint(html("i"), label);
    const left = Math.min(Math.max(0, start), length);
    block.style.left = `${(100 * left) / length}%`;
    block.style.width = `${(100 * Math.max(0, Math.min(end, length) - left)) / length}%`;
    return block;
  }));
}

function toggleRow(row) {
  const previous = opened;
  closeOpened();
  if (previous?.row === row) return;
  openRow(row);
  const { top, bottom } = row.element.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) row.element.scrollIntoView({ block: "start" });
}

function openRow(row) {
  closeOpened();
  opened = { row, view: new Opened(row.video) };
  row.element.append(opened.view.element);
  row.element.classList.add("open");
  drawRow(row);
}

function closeOpened() {
  if (!opened) return;
  const { row, view } = opened;
  opened = null;
  view.close();
  row.element.classList.remove("open");
  drawRow(row);
}

// order by what is chosen now; videos without anything of the chosen class are left out
function arrange() {
  for (const row of rows) {
    const sum = counts(row.video);
    row.quality = f1(sum);
    row.errors = sum.shown - sum.right + sum.positives - sum.right;
    row.found = sum.shown;
  }
  rows.slice().sort(summary[find("sort").value]).forEach(({ element }) => find("list").append(element));
}

function filterRows() {
  let left = 0;
  for (const { video, element } of rows) {
    const has = chosen.label < 0 || (video.truth || []).some(shownTruth) || video.predictions.some(shown);
    element.hidden = !has;
    left += has;
  }
  const all = plural(rows.length, "video");
  find("count").textContent = left === rows.length ? all : `${left} of ${all}`;
}

// The video: it plays at any speed, goes from frame to frame by the container's own times, and tells the playhead.

let player = null;
let wanted = null; // where a seek is to go that waits for the one before
let until = null; // where the playing of an action ends
const SPEEDS = [0.25, 0.5, 1, 2, 4];

const playhead = () => playhead.time;
Object.assign(playhead, { time: 0, frame: 0 });

// the middle of a frame's time: its borders belong to its neighbours by a rounding
const middleOf = (frame) => (timeOf(frame) + timeOf(frame + 1)) / 2 + video.late;

function buildStage() {
  player?.removeAttribute("src");
  player = null;
  if (video.error) {
    find("stage").replaceChildren(html("p", { class: "reason" }, `${video.name}: ${video.error}. It can be labelled blind.`));
    return;
  }
  if (!video.ready) {
    const words = "This browser cannot play it: a copy is made, once.";
    const bar = html("progress", { max: 1, value: video.copied });
    find("stage").replaceChildren(html("p", { class: "reason" }, `${video.name}. ${words} `, bar));
    return;
  }
  player = html("video", { preload: "auto", playsinline: "", src: `media/${encodeURIComponent(video.id)}` });
  const made = player;
  player.addEventListener("seeked", onSeeked);
  player.addEventListener("loadedmetadata", () => seek(playhead.time));
  player.addEventListener("play", () => { tick(); drawControls(); });
  player.addEventListener("pause", () => { settleOnFrame(); drawControls(); });
  player.addEventListener("click", toggle);
  player.addEventListener("error", () => {
    if (player !== made) return;
    find("stage").replaceChildren(html("p", { class: "reason" },
      `This browser cannot play ${video.name}: ${made.error?.message || "it does not know why"}`));
    player = null;
  });
  player.playbackRate = Number(find("speed").value);
  find("stage").replaceChildren(player);
}

function takeProgress(now) {
  const was = [video.ready, video.error, video.copied].join();
  Object.assign(video, now);
  if (was !== [video.ready, video.error, video.copied].join()) buildStage();
}

const paused = () => !player || player.paused;

function tick() {
  if (paused() || !video) return;
  setPlayhead(Math.max(0, player.currentTime - video.late));
  if (until !== null && playhead.time >= until) {
    until = null;
    player.pause();
  }
  reveal(playhead.time);
  requestAnimationFrame(tick);
}

function setPlayhead(time) {
  playhead.frame = frameAt(time);
  playhead.time = paused() ? timeOf(playhead.frame) : time;
  moveMarker();
  drawTime();
}

// after a pause the playhead stands on the frame that is seen
function settleOnFrame() {
  if (video && player) setPlayhead(Math.max(0, player.currentTime - video.late));
}

// show a frame without moving the playhead, as while a border is dragged; of quick ones the last
function showFrame(frame) {
  const number = Math.min(Math.max(0, frame), frameCount() - 1);
  showFrame.shown = number;
  if (!player) return;
  player.pause();
  wanted = middleOf(number);
  if (!player.seeking) onSeeked();
}

function onSeeked() {
  if (wanted === null || !player) return;
  const time = wanted;
  wanted = null;
  if (Math.abs(player.currentTime - time) > EPSILON) player.currentTime = time;
}

function seek(time) {
  if (!video) return;
  until = null;
  toFrame(frameAt(Math.min(Math.max(0, time), video.end)));
}

function toFrame(number) {
  player?.pause();
  playhead.frame = Math.min(Math.max(0, number), frameCount() - 1);
  playhead.time = timeOf(playhead.frame);
  showFrame(playhead.frame);
  reveal(playhead.time);
  moveMarker();
  drawTime();
}

function toggle() {
  if (!player) return;
  until = null;
  if (player.paused) play();
  else player.pause();
}

function play() {
  player?.play().catch((error) => {
    if (error.name === "NotAllowedError") notify("The browser wants a click on the video first.");
  });
}

function playSegment(segment) {
  if (!segment || !player) return;
  seek(segment.start);
  until = segment.end;
  play();
}

function speed(step) {
  const at = SPEEDS.indexOf(Number(find("speed").value)) + step;
  if (SPEEDS[at]) setSpeed(SPEEDS[at]);
}

function setSpeed(value) {
  find("speed").value = String(value);
  if (player) player.playbackRate = value;
}

function moveMarker() {
  const pixel = toPixel(playhead.time);
  find("marker").hidden = pixel < -1 || pixel > width() + 1;
  find("marker").style.left = `${pixel}px`;
}

function drawTime() {
  find("time").textContent = `${clock(playhead.time, 3)} · frame ${playhead.frame.toLocaleString("en")}`;
}

function drawControls() {
  find("play").textContent = paused() ? "▶" : "❚❚";
}

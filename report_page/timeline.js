// The opened video: a player, the list of its actions, and lanes that share one time with it.

const LEAST_PIXELS_A_SECOND = 10; // a long video's lanes scroll rather than become unreadable
const WIDEST = 12000; // pixels
const BACK = 0.05; // seconds; a segment that is begun counts as the present one
const MOST_SCORES = 400; // segments whose scores are drawn
const PAST = 0.5; // seconds; playing an action ends a little behind its end

class Opened {
  constructor(video) {
    this.video = video;
    this.time = 0;
    this.until = null; // where the playing of an action ends
    this.current = null; // the action in hand
    const ends = [...(video.truth || []), ...video.predictions].map((segment) => segment[2]);
    this.length = video.duration || Math.max(1, ...ends);
    this.stage = html("div", { class: "stage" });
    this.now = html("p", { class: "now", "aria-live": "off" });
    this.actions = html("ol", { class: "actions" });
    this.marker = html("div", { class: "marker" });
    this.lanes = html("div", { class: "lanes" });
    this.track = html("div", { class: "track", onclick: (event) => this.seekTo(event) }, this.lanes, this.marker);
    this.track.style.minWidth = `${Math.min(WIDEST, this.length * LEAST_PIXELS_A_SECOND)}px`;
    this.scroller = html("div", { class: "scroll timeline", tabindex: "0", "aria-label": "timeline" }, this.track);
    const side = html("div", { class: "side" }, html("div", {}, this.stage, this.now), this.actions);
    this.element = html("div", { class: "opened" }, side, this.scroller, this.legend());
    this.fillStage();
    this.update();
  }

  fillStage() {
    const { file, name } = this.video;
    if (!file) {
      this.showStill("There was no video file when this page was made.");
      return;
    }
    // the player begins with the first picture, which is sharper than ours unless it is black
    const [first] = this.video.thumbnails;
    const clear = first && clearest(this.video)[1];
    const poster = first && first[1].length < clear.length / 2 ? clear : null;
    const player = html("video", { controls: "", preload: "metadata", playsinline: "", src: file, poster });
    const failed = (reason) => {
      if (this.player !== player) return;
      const hint = "Browsers play H.264, VP9 and AV1 in .mp4 and .webm.";
      this.showStill(`This browser cannot play ${name}: ${reason}. ${hint}`);
    };
    const unknown = "the file is gone, or of a kind that it does not know";
    player.addEventListener("error", () => failed(player.error?.message || unknown));
    player.addEventListener("loadedmetadata", () => {
      if (!player.videoWidth) failed("it knows the sound, but not the picture");
    });
    for (const moved of ["timeupdate", "seeking", "seeked"]) player.addEventListener(moved, () => this.follow());
    player.addEventListener("play", () => this.tick());
    this.player = player;
    this.stage.replaceChildren(player);
  }

  // the nearest picture, and why there is no more
  showStill(reason) {
    this.player = null;
    this.still = this.video.thumbnails.length ? html("img", { alt: "" }) : null;
    this.stage.replaceChildren(html("div", { class: "still" }, this.still, html("p", { class: "reason" }, reason)));
    this.move(this.time);
  }

  // while it plays, the marker moves with every picture that the screen shows
  tick() {
    if (!this.player || this.player.paused) return;
    this.follow();
    requestAnimationFrame(() => this.tick());
  }

  follow() {
    if (!this.player) return;
    if (this.until !== null && this.player.currentTime >= this.until && !this.player.paused) {
      // further on it was the player's own slider
      if (this.player.currentTime < this.until + PAST) this.player.pause();
      this.until = null;
    }
    this.move(this.player.currentTime);
  }

  move(time) {
    this.time = Math.min(Math.max(0, time), this.length);
    this.marker.style.left = `${(100 * this.time) / this.length}%`;
    this.say();
    if (this.still) {
      const distance = ([second]) => Math.abs(second - this.time);
      const nearest = this.video.thumbnails.reduce((one, other) => (distance(other) < distance(one) ? other : one));
      this.still.src = nearest[1];
    }
    const pixel = (this.time / this.length) * this.track.clientWidth;
    const { scrollLeft, clientWidth } = this.scroller;
    if (this.track.clientWidth > clientWidth && (pixel < scrollLeft || pixel > scrollLeft + clientWidth - 8)) {
      this.scroller.scrollLeft = pixel - clientWidth / 4;
    }
  }

  say() {
    const here = (segment) => segment[1] <= this.time && this.time < segment[2];
    const best = this.video.predictions.filter(shown).find(here);
    const named = (segment) => (segment ? [swatch(segment[0]), DATA.classes[segment[0]]] : "–");
    const said = (name, segment) => html("span", {}, html("em", {}, name), named(segment));
    const { truth } = this.video;
    this.now.replaceChildren(html("b", {}, clock(this.time, 1)),
      truth ? said("annotated", truth.filter(shownTruth).find(here)) : "", said("predicted", best));
  }

  seek(time) {
    this.until = null;
    if (this.player) this.player.currentTime = Math.min(Math.max(0, time), this.length);
    this.move(time);
  }

  seekTo(event) {
    const box = this.track.getBoundingClientRect();
    this.seek(((event.clientX - box.left) / box.width) * this.length);
  }

  play() {
    // a file that cannot be played tells its reason by the error event
    this.player?.play().catch((error) => {
      if (error.name === "NotAllowedError") this.now.textContent = "The browser wants a click on the video first.";
    });
  }

  toggle() {
    if (!this.player) return;
    if (this.player.paused) this.play();
    else this.player.pause();
  }

  playAction(segment) {
    this.current = segment;
    this.seek(segment[1]);
    this.until = segment[2];
    this.play();
    this.mark();
  }

  // what was predicted and what was missed, in the order of time
  sequence() {
    const found = this.video.predictions.filter(shown);
    const taken = new Set(found.map((segment) => segment[4]));
    const missed = (this.video.truth || []).filter((action, n) => shownTruth(action) && !taken.has(n));
    const all = [...found, ...missed].sort((one, other) => one[1] - other[1] || one[2] - other[2]);
    return { found, missed, all };
  }

  step(direction) {
    const { all } = this.sequence();
    if (!all.length) return;
    const here = this.current && this.current[1] - BACK <= this.time && this.time <= this.current[2] + PAST;
    const at = here ? all.indexOf(this.current) : -1;
    let next;
    if (at >= 0) next = at + direction;
    else if (direction > 0) next = all.findIndex((segment) => segment[1] > this.time + BACK);
    else next = all.findLastIndex((segment) => segment[1] < this.time - BACK);
    if (all[next]) this.playAction(all[next]);
  }

  mark() {
    for (const element of this.element.querySelectorAll("[aria-current]")) element.removeAttribute("aria-current");
    for (const element of this.elements.get(this.current) || []) {
      element.setAttribute("aria-current", "true");
      // only the list's own scroll position: the page must not jump
      if (element.parentElement?.parentElement === this.actions) {
        this.actions.scrollTop = element.offsetTop - this.actions.clientHeight / 2;
      }
    }
  }

  // draw what the chosen score and class leave
  update() {
    this.elements = new Map();
    const { found, missed, all } = this.sequence();
    const lost = new Set(missed);
    const place = (segment) => this.segment(segment, lost.has(segment));
    const parts = [this.axis()];
    if (this.video.thumbnails.length) {
      const picture = ([, src]) => html("img", { src, alt: "", draggable: "false" });
      parts.push(html("div", { class: "strip" }, this.video.thumbnails.map(picture)));
    }
    if (this.video.truth) parts.push(lane("annotated", this.video.truth.filter(shownTruth), place));
    const [here, there] = DATA.comparison?.names || [];
    parts.push(lane(here ? `predicted by ${here}` : "predicted", found, place, "predicted"));
    if (there) parts.push(lane(`predicted by ${there}`, this.others(), place, "predicted"));
    parts.push(this.scores(), this.curves());
    this.lanes.replaceChildren(...parts.filter((part) => part !== null));
    this.actions.replaceChildren(...all.map((segment) => html("li", {}, this.entry(segment, lost.has(segment)))));
    if (!all.length) this.actions.append(html("li", { class: "none" }, "No action at this score."));
    this.mark();
    this.move(this.time);
  }

  verdict(segment, lost) {
    if (segment.length === 3) return lost ? "missed" : "annotated";
    if (!this.video.truth) return "predicted";
    return segment[4] >= 0 ? "right" : "wrong";
  }

  remember(segment, element) {
    this.elements.set(segment, [...(this.elements.get(segment) || []), element]);
    return paint(element, segment[0]);
  }

  segment(segment, lost) {
    const [label, start, end, score] = segment;
    const kind = this.verdict(segment, lost);
    const words = [DATA.classes[label], `${clock(start, 1)} to ${clock(end, 1)}`, kind];
    if (score !== undefined) words.splice(2, 0, `score ${score.toFixed(2)}`);
    const play = (event) => {
      event.stopPropagation();
      this.playAction(segment);
    };
    const sign = { right: "✓ ", wrong: "✗ " }[kind] || "";
    const properties = { class: `segment ${kind}`, type: "button", title: words.join(" · "), onclick: play };
    const element = html("button", properties, html("span", {}, sign + DATA.classes[label]));
    const left = Math.min(Math.max(0, start), this.length);
    element.style.left = `${(100 * left) / this.length}%`;
    element.style.width = `${(100 * Math.max(0, Math.min(end, this.length) - left)) / this.length}%`;
    const strength = 12 + 38 * Math.min(1, Math.max(0, score));
    if (score !== undefined) element.style.setProperty("--strength", `${Math.round(strength)}%`);
    return this.remember(segment, element);
  }

  entry(segment, lost) {
    const kind = this.verdict(segment, lost);
    const sign = { right: "✓", wrong: "✗", missed: "missed" }[kind] || "";
    const [label, start, end, score] = segment;
    const properties = { class: kind, type: "button", onclick: () => this.playAction(segment) };
    return this.remember(segment, html("button", properties,
      html("span", { class: "when" }, `${clock(start, 1)} – ${clock(end, 1)}`), swatch(label),
      html("span", { class: "name" }, DATA.classes[label]), html("span", { class: "sign" }, sign),
      html("span", { class: "score" }, score === undefined ? "" : score.toFixed(2))));
  }

  axis() {
    const step = Math.max(1, niceStep(this.length, Math.max(4, Math.min(12, this.length / 2))));
    const ticks = [];
    for (let second = 0; second < this.length; second += step) {
      const tick = html("span", {}, clock(second));
      tick.style.left = `${(100 * second) / this.length}%`;
      ticks.push(tick);
    }
    return html("div", { class: "axis" }, ticks);
  }

  // what the second run found, from the score on that is best for it
  others() {
    const scored = (segment) => segment[3] >= DATA.other_threshold;
    return this.video.others.filter((segment) => scored(segment) && (chosen.label < 0 || segment[0] === chosen.label));
  }

  // the score of each predicted segment, which decides whether it is shown: what lies above the line is
  scores() {
    const all = this.video.predictions.filter(([label]) => chosen.label < 0 || label === chosen.label);
    if (!all.length) return null;
    const [low, high] = DATA.range;
    const y = (score) => 96 - (92 * (score - low)) / (high - low || 1);
    const box = { viewBox: `0 0 ${this.length} 100`, preserveAspectRatio: "none" };
    const picture = svg("svg", { ...box, role: "img", "aria-label": "scores of the predicted segments" });
    for (const segment of all.slice(0, MOST_SCORES).reverse()) {
      const [label, start, end, score] = segment;
      const line = svg("line", { x1: start, x2: end, y1: y(score), y2: y(score) });
      picture.append(paint(svg("g", { class: shown(segment) ? "bar-of-score" : "bar-of-score below" }, line), label));
    }
    const level = y(chosen.threshold);
    picture.append(svg("line", { class: "level", x1: 0, x2: this.length, y1: level, y2: level }));
    const said = `score of each segment, ${low} to ${high}; above the line: shown`;
    return html("div", { class: "curves of-segments" }, html("h4", {}, said), picture);
  }

  curves() {
    const { times, curves } = this.video;
    const drawn = times ? curves.filter(([label]) => chosen.label < 0 || label === chosen.label) : [];
    if (!drawn.length) return null;
    const box = { viewBox: `0 0 ${this.length} 100`, preserveAspectRatio: "none" };
    const picture = svg("svg", { ...box, role: "img", "aria-label": "scores over time" });
    for (const [label, values] of drawn) {
      const path = values.map((value, n) => `${n ? "L" : "M"}${times[n]} ${100 - value}`).join("");
      const area = `${path}L${times.at(-1)} 100L${times[0]} 100Z`;
      const lines = [svg("path", { class: "area", d: area }), svg("path", { d: path })];
      picture.append(paint(svg("g", { class: "series" }, lines), label));
    }
    return html("div", { class: "curves" }, html("h4", {}, "score of each frame, 0 to 1"), picture);
  }

  legend() {
    const { truth, times } = this.video;
    const parts = [];
    if (truth) parts.push("✓ overlaps an annotated action of its class by half; ✗ and dashes: wrong, or missed.");
    if (times) parts.push("Frame scores are what segments are made from: a high curve alone makes none.");
    return html("p", { class: "hint" }, parts.join(" "));
  }

  close() {
    const { player } = this;
    this.player = null;
    if (player) {
      player.pause();
      player.removeAttribute("src");
      player.load(); // lets go of the file
    }
    this.element.remove();
  }
}

// segments that overlap stand in rows of their own, the best on top
function lane(name, segments, place, kind = name) {
  const rows = [];
  const elements = segments.map((segment) => {
    let row = rows.findIndex((taken) => taken.every((other) => segment[2] <= other[1] || other[2] <= segment[1]));
    if (row < 0) row = rows.push([]) - 1;
    rows[row].push(segment);
    const element = place(segment);
    element.style.setProperty("--row", row);
    return element;
  });
  const holder = html("div", { class: "lane" }, elements);
  holder.style.setProperty("--rows", Math.max(1, rows.length));
  return html("div", { class: `band ${kind}` }, html("h4", {}, name), holder);
}

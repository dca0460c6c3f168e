// The figures at the top and the charts of a run, from what metrics.py measured.

const MOST_IN_TABLE = 25; // classes that a confusion table can show
const MOST_ON_PHONE = 6;
const narrow = matchMedia("(max-width: 760px)");
const KINDS_SAID = {
  "true positive": "right: the first to overlap an annotated action of its class by half",
  "double detection": "right place and class, but a better one has the action",
  "wrong label": "right place, wrong class",
  localization: "right class, but the borders are off",
  confusion: "wrong class, and the borders are off",
  background: "nothing is annotated there",
};

function figure(value, name, explanation, id) {
  const parts = [html("strong", {}, value), html("span", {}, name), html("p", {}, explanation)];
  return html("div", { class: "figure", id }, parts);
}

// the interval of a figure in words, from {"low": …}: what other videos of the same kind could have given
const between = (ends, digits = 0) =>
  (ends ? `${(100 * ends[0]).toFixed(digits)} to ${(100 * ends[1]).toFixed(digits)} %` : "");

const inBrackets = (ends) => (ends ? ` (${between(ends)})` : "");

function spread(ends) {
  const { intervals } = DATA.evaluation;
  return ends ? `; with other videos ${between(ends)} (${Math.round(100 * intervals.level)} % of draws)` : "";
}

// how much stands behind the figures where it is little
function rough() {
  const spans = DATA.evaluation?.intervals;
  if (!spans?.rough) return null;
  const actions = Object.values(spans.classes).reduce((sum, one) => sum + one.actions, 0);
  return `rough: ${plural(actions, "action")} in ${plural(spans.videos, "video")}`;
}

function buildFigures() {
  const place = find("figures");
  const seconds = DATA.videos.reduce((sum, video) => sum + video.duration, 0);
  const update = () => {
    const sum = total();
    const level = chosen.threshold.toFixed(2);
    const only = chosen.label < 0 ? "" : ` of “${DATA.classes[chosen.label]}”`;
    const cards = [];
    if (DATA.evaluation) {
      const { average_mAP: average, mAP, intervals = {} } = DATA.evaluation;
      const levels = Object.keys(mAP);
      cards.push(
        figure(percent(average), "average mAP", 
          `the field's headline: mean of tIoU ${levels[0]} to ${levels.at(-1)}${spread(intervals.average_mAP)}`),
        figure(percent(mAP["0.50"]), "mAP at tIoU 0.5", 
          `an action counts when the overlap is half or more${spread(intervals.mAP?.["0.50"])}`),
      );
    }
    if (DATA.annotated) {
      const foundSaid = `annotated actions${only} that a segment of score ${level} or more overlaps by half`;
      const wrongSaid = `wrong place, wrong class, or a second one${only}, at that score`;
      cards.push(
        figure(`${sum.right} of ${sum.positives}`, "actions found", foundSaid, "found"),
        figure(`${sum.shown - sum.right} of ${sum.shown}`, "shown segments wrong", wrongSaid, "wrong"),
      );
    } else {
      cards.push(
        figure(String(sum.shown), "actions shown", `segments${only} that score ${level} or more`, "found"),
        figure(String(DATA.videos.length), "videos", `${clock(seconds)} in all`),
      );
    }
    place.replaceChildren(...cards, html("p", { class: "more" }, overview(seconds)));
  };
  onChange.push(update);
  update();
}

function overview(seconds) {
  const predictions = DATA.videos.reduce((sum, video) => sum + video.predictions.length, 0);
  const parts = [`${plural(DATA.videos.length, "video")}, ${clock(seconds)}`, plural(predictions, "prediction")];
  if (rough()) parts.unshift(rough());
  if (DATA.annotated) {
    const actions = DATA.positives.reduce((sum, count) => sum + count, 0);
    parts.push(`${plural(actions, "action")} of ${DATA.positives.filter(Boolean).length} classes`);
  }
  if (DATA.evaluation) {
    const { proposals, classification, videos, intervals = {} } = DATA.evaluation;
    const spans = [intervals.proposals?.AR["100"], intervals.classification?.top_1].map(inBrackets);
    parts.push(`recall of 100 proposals a video ${percent(proposals.AR["100"])}${spans[0]}`);
    parts.push(`best guess of a video's action right ${percent(classification.top_1)}${spans[1]}`);
    if (videos.missing) parts.push(`${videos.missing} without predictions`);
  }
  return parts.join(" · ");
}

function buildCharts() {
  const place = find("charts");
  const cards = [];
  if (DATA.comparison) cards.push(twoRuns());
  if (DATA.evaluation) cards.push(mapByTiou(), apByClass());
  if (DATA.annotated) cards.push(precisionRecall(), confusion());
  if (DATA.evaluation?.reliability) cards.push(reliability());
  if (DATA.errors) cards.push(errorKinds(), misses());
  if (DATA.training) cards.push(...training());
  if (cards.length) place.append(html("h2", {}, "Results"), html("div", { class: "grid" }, cards));
  else place.remove();
}

// the figures of two runs side by side, and what their difference could be with other videos
function twoRuns() {
  const { average_mAP: average, mAP, AP, names, videos, better } = DATA.comparison;
  const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`;
  const pairs = [["average mAP", average], ...Object.entries(mAP).filter(([tiou]) => tiou === "0.50" || tiou === "0.75")
    .map(([tiou, pair]) => [`mAP at tIoU ${tiou}`, pair])];
  const classes = Object.entries(AP).sort((one, other) => other[1].difference - one[1].difference);
  const cells = [...pairs, ...classes].map(([, { one, other, difference, interval }]) => {
    const sure = interval && (interval[0] > 0 || interval[1] < 0);
    const share = sure ? Math.min(1, 2 * Math.abs(difference)) + 0.15 : 0;
    const ends = interval ? `${signed(interval[0])} to ${signed(interval[1])}` : "one video";
    return [{ text: (100 * one).toFixed(1), share: 0 }, { text: (100 * other).toFixed(1), share: 0 },
      { text: signed(difference), share, wrong: difference < 0 }, { text: ends, share: 0 }];
  });
  const rows = [...pairs, ...classes].map(([name]) => html("span", { title: name }, name));
  const gained = Object.values(videos).filter(({ one, other }) => other > one).length;
  const lost = Object.values(videos).filter(({ one, other }) => other < one).length;
  const chance = better === undefined ? "" : ` ${names[1]} is ahead in ${Math.round(100 * better)} % of the draws.`;
  const said = `${plural(gained, "video")} got better with ${names[1]}, ${lost} worse.${chance} Tinted: beyond the `
    + "chance of which videos were taken.";
  return card("Two runs", said, shareTable("percent", [names[0], names[1], "difference", "interval"], rows, cells));
}

function mapByTiou() {
  const points = Object.entries(DATA.evaluation.mAP).map(([tiou, value]) => [Number(tiou), value]);
  const range = [points[0][0], points.at(-1)[0]];
  const spans = DATA.evaluation.intervals?.mAP;
  const low = points.map(([tiou], n) => [tiou, spans ? Object.values(spans)[n][0] : 0]);
  const high = points.map(([tiou], n) => [tiou, spans ? Object.values(spans)[n][1] : 0]).reverse();
  const band = spans ? [{ name: "interval", points: [...low, ...high], kind: "band" }] : [];
  const chart = lineChart(
    [...band, { name: "mAP", points, kind: "strong dots" }],
    { x: "tIoU: overlap that is asked for", xRange: range, yRange: [0, 1], share: true },
    "mean average precision in percent by temporal IoU",
  );
  const said = "How the score falls, in percent, as closer borders are asked for.";
  return card("mAP by tIoU", spans ? `${said} The band: what other videos could have given.` : said, chart);
}

function apByClass() {
  const number = new Map(DATA.classes.map((name, n) => [name, n]));
  const sorted = Object.entries(DATA.evaluation.AP).sort((one, other) => other[1] - one[1]);
  const rows = sorted.map(([name, share]) => {
    const label = number.get(name);
    const ends = DATA.evaluation.intervals?.AP?.[name];
    const counted = DATA.evaluation.intervals?.classes[name];
    const behind = counted ? `${plural(counted.actions, "action")} in ${plural(counted.videos, "video")}` : "";
    const title = [name, behind, ends ? between(ends) : ""].filter(Boolean).join(" · ");
    return { name, share, text: percent(share), label, ends, title, choose: () => chooseLabel(label) };
  });
  const bars = barRows(rows, { id: "ap" });
  onChange.push(() => {
    for (const row of bars.children) row.setAttribute("aria-pressed", Number(row.dataset.label) === chosen.label);
  });
  const said = "Mean over all tIoU, best first; thin lines: intervals. Click a class to see only its actions.";
  return card("AP by class", said, bars);
}

function precisionRecall() {
  const holder = html("div", { id: "pr" });
  const many = DATA.classes.length > MOST_IN_TABLE;
  const update = () => {
    const series = DATA.curves.classes
      .map((points, label) => ({ name: DATA.classes[label], points, label, kind: "" }))
      .filter(({ label }) => (many ? label === chosen.label : chosen.label < 0 || label === chosen.label));
    if (chosen.label >= 0) for (const one of series) one.kind = "strong";
    series.push({ name: "all classes together", points: DATA.curves.all, kind: chosen.label < 0 ? "strong" : "" });
    const { shown: segments, right, positives } = total();
    if (segments && positives) {
      series.push({ name: "at the chosen score", points: [[right / positives, right / segments]], kind: "here" });
    }
    const axes = { x: "recall: share of the actions found", xRange: [0, 1], yRange: [0, 1], share: true, xShare: true };
    holder.replaceChildren(lineChart(series, axes, "precision by recall, in percent"));
  };
  onChange.push(update);
  update();
  const said = "At tIoU 0.5: how many segments are right as more actions are found. The bold line: all classes; "
    + "the ring: the chosen score.";
  return card("Precision and recall", said, holder);
}

// whether scores are probabilities: the share of right ones among the predictions of about one score
function reliability() {
  const { bins, error, interval, tiou } = DATA.evaluation.reliability;
  const points = bins.map((bin) => [bin.score, bin.right]);
  const series = [
    { name: "scores that are probabilities", points: [[0, 0], [1, 1]], kind: "" },
    { name: "measured", points, kind: "strong dots" },
  ];
  const axes = { x: "score", xRange: [0, 1], yRange: [0, 1], share: true, xShare: true };
  const said = `How many predictions of a score are right at tIoU ${tiou}, in percent; on the straight line scores are `
    + `probabilities. Off it by ${(100 * error).toFixed(1)} points${interval ? ` (${between(interval, 1).replace(" %", "")})` : ""} on average.`;
  return card("What scores mean", said, lineChart(series, axes, "share of right predictions by score"));
}

// rows: annotated classes, and nothing; columns: predicted classes, and missed
function confusionCounts() {
  const size = DATA.classes.length;
  const table = Array.from({ length: size + 1 }, () => new Array(size + 1).fill(0));
  for (const video of DATA.videos) {
    const taken = new Set();
    for (const [label, , , score, , any] of video.predictions) {
      if (score < chosen.threshold) continue;
      table[any < 0 ? size : video.truth[any][0]][label] += 1;
      if (any >= 0) taken.add(any);
    }
    (video.truth || []).forEach(([label], n) => {
      if (!taken.has(n)) table[label][size] += 1;
    });
  }
  return table;
}

function confusion() {
  const holder = html("div", { id: "confusion" });
  const update = () => {
    const table = confusionCounts();
    const most = narrow.matches ? MOST_ON_PHONE : MOST_IN_TABLE;
    holder.replaceChildren(DATA.classes.length > most ? confusionList(table) : confusionTable(table));
  };
  onChange.push(update);
  narrow.addEventListener("change", update);
  update();
  const said = DATA.classes.length > (narrow.matches ? MOST_ON_PHONE : MOST_IN_TABLE)
    ? "Annotated classes and what was predicted in their place most often, at tIoU 0.5 and the chosen score."
    : "What was annotated (rows) and what was predicted there (columns), at tIoU 0.5 and the chosen score.";
  return card("Confusion", said, holder);
}

function confusionTable(table) {
  const size = DATA.classes.length;
  const marked = (label) => html("span", { title: DATA.classes[label] }, swatch(label), String(label + 1));
  const columns = [...DATA.classes.map((_, label) => marked(label)), "missed"];
  const named = (name, label) => html("span", { title: name }, swatch(label), `${label + 1} ${name}`);
  const rows = [...DATA.classes.map(named), "nothing there"];
  const cells = table.map((line, row) => {
    const sum = line.reduce((one, other) => one + other, 0);
    return line.map((count, column) => {
      const names = [row < size ? DATA.classes[row] : "nothing", column < size ? DATA.classes[column] : "missed"];
      const title = `${names.join(" → ")}: ${count}`;
      return { text: count ? String(count) : "", share: sum ? count / sum : 0, wrong: row !== column, title };
    });
  });
  return shareTable("annotated ↓ predicted →", columns, rows, cells);
}

function confusionList(table) {
  const names = DATA.classes;
  const pairs = names.flatMap((_, row) => names.map((_, column) => [table[row][column], row, column]))
    .filter(([count, row, column]) => count && row !== column)
    .sort((one, other) => other[0] - one[0]);
  if (!pairs.length) return html("p", { class: "hint" }, "No class is taken for another at this score.");
  return barRows(pairs.slice(0, MOST_IN_TABLE).map(([count, row, column]) => (
    { name: `${names[row]} → ${names[column]}`, share: count / pairs[0][0], text: String(count) }
  )), { class: "bars pairs" });
}

function errorKinds() {
  const { profile, gain, tiou, intervals: spans = {} } = DATA.errors;
  const sum = (tenth) => Object.values(tenth).reduce((one, other) => one + other, 0);
  const used = profile.filter((tenth) => sum(tenth));
  const kinds = Object.keys(profile[0]);
  const columns = [...used.map((_, n) => `${n + 1} G`), "gain"];
  const cells = kinds.map((kind) => {
    const wrong = kind !== "true positive";
    const shares = used.map((tenth, n) => {
      const share = tenth[kind] / sum(tenth);
      const title = `${tenth[kind]} of ${sum(tenth)}${inBrackets(spans.profile?.[n][kind])}`;
      return { text: String(Math.round(100 * share)), share, wrong, title };
    });
    const points = kind in gain ? `+${(100 * gain[kind]).toFixed(1)}` : "";
    const title = `points of mAP without these errors${inBrackets(spans.gain?.[kind])}`;
    return [...shares, { text: points, share: 0, wrong, title }];
  });
  const rows = kinds.map((kind) => html("span", { title: KINDS_SAID[kind] || kind }, kind));
  const said = `Percent of each kind at tIoU ${tiou}. Column 1 G: each class's best predictions, as many as it has `
    + "actions; 2 G: as many again. Gain: points of mAP without these errors. The pointer shows intervals.";
  return card("What the errors are", said, shareTable("kind", columns, rows, cells));
}

function misses() {
  const { misses: missed, segments, intervals: spans = {} } = DATA.errors;
  const groups = [["length", "length", " s"], ["coverage", "share of the video", ""],
    ["instances", "actions of the class in the video", ""]];
  const blocks = groups.flatMap(([key, title, unit]) => {
    const ends = (bin) => spans.misses?.[key][missed[key].indexOf(bin)];
    const rows = missed[key].filter((bin) => bin.segments).map((bin) => ({
      ends: ends(bin),
      name: bin.to === null ? `over ${bin.above}${unit}` : `${bin.above} to ${bin.to}${unit}`,
      share: bin.missed / bin.segments,
      text: `${bin.missed} of ${bin.segments}`,
      title: between(ends(bin)),
    }));
    return [html("h4", {}, `by ${title}`), barRows(rows)];
  });
  const said = `${missed.missed} of ${plural(segments, "annotated action")}${inBrackets(spans.misses?.missed)} that none `
    + "of the analysed predictions finds; thin lines: intervals.";
  return card("What is missed", said, blocks);
}

function training() {
  const curves = [
    ["Loss", "loss", false, ["loss", "training", ""], ["loss_eval", "validation", "strong dots"]],
    ["Mean precision", "mean precision of frames, in percent", true,
      ["mean_precision_train", "training", ""], ["mean_precision_eval", "validation", "strong dots"]],
    ["mAP while training", "mAP of the validation subset, in percent", true,
      ["mAP_0.50", "tIoU 0.5", "dots"], ["average_mAP", "average", "strong dots"]],
  ];
  const pointsOf = (key) => DATA.training.filter((record) => key in record).map((record) => [record.step, record[key]]);
  return curves.flatMap(([title, said, share, ...lines]) => {
    const series = lines.map(([key, name, kind]) => ({ name, kind, points: pointsOf(key) }))
      .filter(({ points }) => points.length);
    if (!series.length) return [];
    const values = series.flatMap(({ points }) => points);
    const highest = Math.max(...values.map(([, value]) => value));
    const last = Math.max(...values.map(([step]) => step));
    const axes = { x: "step", xRange: [0, last], yRange: [0, share ? 1 : highest || 1], share };
    const chart = lineChart(series, axes, `${said} by step`);
    return [card(title, `The ${said}, by step.`, chart, key(series.map(({ name, kind }) => [name, kind])))];
  });
}

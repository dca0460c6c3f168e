// The figures at the top and the charts of a run, from what metrics.py measured.

const MOST_IN_TABLE = 25; // classes that a confusion table can show
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

function buildFigures() {
  const place = find("figures");
  const seconds = DATA.videos.reduce((sum, video) => sum + video.duration, 0);
  const update = () => {
    const sum = total();
    const level = chosen.threshold.toFixed(2);
    const only = chosen.label < 0 ? "" : ` of “${DATA.classes[chosen.label]}”`;
    const cards = [];
    if (DATA.evaluation) {
      const { average_mAP: average, mAP } = DATA.evaluation;
      const levels = Object.keys(mAP);
      cards.push(
        figure(percent(average), "average mAP", `the field's headline: mean of tIoU ${levels[0]} to ${levels.at(-1)}`),
        figure(percent(mAP["0.50"]), "mAP at tIoU 0.5", "an action counts when the overlap is half or more"),
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
  if (DATA.annotated) {
    const actions = DATA.positives.reduce((sum, count) => sum + count, 0);
    parts.push(`${plural(actions, "action")} of ${DATA.positives.filter(Boolean).length} classes`);
  }
  if (DATA.evaluation) {
    const { proposals, classification, videos } = DATA.evaluation;
    parts.push(`recall of 100 proposals a video ${percent(proposals.AR["100"])}`);
    parts.push(`best guess of a video's action right ${percent(classification.top_1)}`);
    if (videos.missing) parts.push(`${videos.missing} without predictions`);
  }
  return parts.join(" · ");
}

function buildCharts() {
  const place = find("charts");
  const cards = [];
  if (DATA.evaluation) cards.push(mapByTiou(), apByClass());
  if (DATA.annotated) cards.push(precisionRecall(), confusion());
  if (DATA.errors) cards.push(errorKinds(), misses());
  if (DATA.training) cards.push(...training());
  if (cards.length) place.append(html("h2", {}, "Results"), html("div", { class: "grid" }, cards));
  else place.remove();
}

function mapByTiou() {
  const points = Object.entries(DATA.evaluation.mAP).map(([tiou, value]) => [Number(tiou), value]);
  const range = [points[0][0], points.at(-1)[0]];
  const chart = lineChart(
    [{ name: "mAP", points, kind: "strong dots" }],
    { x: "tIoU: overlap that is asked for", xRange: range, yRange: [0, 1], share: true },
    "mean average precision in percent by temporal IoU",
  );
  return card("mAP by tIoU", "How the score falls, in percent, as closer borders are asked for.", chart);
}

function apByClass() {
  const number = new Map(DATA.classes.map((name, n) => [name, n]));
  const sorted = Object.entries(DATA.evaluation.AP).sort((one, other) => other[1] - one[1]);
  const rows = sorted.map(([name, share]) => {
    const label = number.get(name);
    return { name, share, text: percent(share), label, choose: () => chooseLabel(label) };
  });
  const bars = barRows(rows, { id: "ap" });
  onChange.push(() => {
    for (const row of bars.children) row.setAttribute("aria-pressed", Number(row.dataset.label) === chosen.label);
  });
  return card("AP by class", "Mean over all tIoU, best first. Click a class to see only its actions.", bars);
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
    holder.replaceChildren(DATA.classes.length > MOST_IN_TABLE ? confusionList(table) : confusionTable(table));
  };
  onChange.push(update);
  update();
  const said = DATA.classes.length > MOST_IN_TABLE
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
  )));
}

function errorKinds() {
  const { profile, gain, tiou } = DATA.errors;
  const sum = (tenth) => Object.values(tenth).reduce((one, other) => one + other, 0);
  const used = profile.filter((tenth) => sum(tenth));
  const kinds = Object.keys(profile[0]);
  const columns = [...used.map((_, n) => `${n + 1} G`), "gain"];
  const cells = kinds.map((kind) => {
    const wrong = kind !== "true positive";
    const shares = used.map((tenth) => {
      const share = tenth[kind] / sum(tenth);
      return { text: String(Math.round(100 * share)), share, wrong, title: `${tenth[kind]} of ${sum(tenth)}` };
    });
    const points = kind in gain ? `+${(100 * gain[kind]).toFixed(1)}` : "";
    return [...shares, { text: points, share: 0, wrong, title: "points of mAP without these errors" }];
  });
  const rows = kinds.map((kind) => html("span", { title: KINDS_SAID[kind] || kind }, kind));
  const said = `Percent of each kind at tIoU ${tiou}. Column 1 G: each class's best predictions, as many as it has `
    + "actions; 2 G: as many again. Gain: points of mAP without these errors.";
  return card("What the errors are", said, shareTable("kind", columns, rows, cells));
}

function misses() {
  const { misses: missed, segments } = DATA.errors;
  const groups = [["length", "length", " s"], ["coverage", "share of the video", ""],
    ["instances", "actions of the class in the video", ""]];
  const blocks = groups.flatMap(([key, title, unit]) => {
    const rows = missed[key].filter((bin) => bin.segments).map((bin) => ({
      name: bin.to === null ? `over ${bin.above}${unit}` : `${bin.above} to ${bin.to}${unit}`,
      share: bin.missed / bin.segments,
      text: `${bin.missed} of ${bin.segments}`,
    }));
    return [html("h4", {}, `by ${title}`), barRows(rows)];
  });
  const said = `${missed.missed} of ${plural(segments, "annotated action")} that none of the analysed predictions finds.`;
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

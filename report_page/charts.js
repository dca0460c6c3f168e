// Plain charts: a line chart in SVG, rows of bars and a table of shares in HTML.

const CHART = { width: 380, height: 230, left: 42, right: 12, top: 10, bottom: 36 };

// series: [{name, points: [[x, y], …], kind: "" | "strong" | "dots", label: class number or none}]
// axes: {x: title, xRange: [low, high], yRange: [low, high], share: whether y is shown in percent}
function lineChart(series, axes, description) {
  const { width, height, left, right, top, bottom } = CHART;
  const [x0, x1] = axes.xRange;
  const [y0, y1] = axes.yRange;
  const x = (value) => left + ((value - x0) / (x1 - x0 || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - y0) / (y1 - y0 || 1)) * (height - top - bottom);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description });
  const yStep = niceStep(y1 - y0, 5);
  for (let n = Math.ceil(y0 / yStep - 1e-9); n * yStep <= y1 + 1e-9; n++) {
    const value = n * yStep;
    const text = axes.share ? String(Math.round(100 * value)) : String(+value.toPrecision(6));
    picture.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, text),
    );
  }
  const xStep = niceStep(x1 - x0, 6);
  for (let n = Math.ceil(x0 / xStep - 1e-9); n * xStep <= x1 + 1e-9; n++) {
    const value = +(n * xStep).toPrecision(6);
    const text = axes.xShare ? String(Math.round(100 * value)) : value.toLocaleString("en");
    const anchor = x(value) + 3.5 * text.length > width ? "end" : "middle"; // a long number would be cut at the edge
    picture.append(svg("text", { x: x(value), y: height - bottom + 17, "text-anchor": anchor }, text));
  }
  picture.append(svg("text", { x: width - right, y: height - 3, "text-anchor": "end" }, axes.x));
  for (const { name, points, kind = "", label } of series) {
    if (!points.length) continue;
    const path = points.map(([px, py], n) => `${n ? "L" : "M"}${x(px).toFixed(1)} ${y(py).toFixed(1)}`).join("");
    const group = svg("g", { class: `series ${kind}` }, svg("title", {}, name), svg("path", { d: path }));
    if (kind.includes("dots") || points.length === 1) {
      group.append(...points.map(([px, py]) => svg("circle", { cx: x(px), cy: y(py), r: 3.5 })));
    }
    picture.append(label === undefined ? group : paint(group, label));
  }
  return picture;
}

const key = (entries) =>
  html("p", { class: "key" }, entries.map(([name, kind]) => html("span", { class: kind }, html("i"), name)));

// rows: [{name, share, text, label: class number or none, choose: what a click does or none, ends: interval or none,
// title: what the pointer is told or none}]
function barRows(rows, properties = {}) {
  const line = ({ name, share, text, label, choose, ends, title }) => {
    const bar = html("span", { class: "bar" });
    bar.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
    const whisker = ends ? html("span", { class: "whisker" }) : null;
    if (whisker) {
      whisker.style.left = `${100 * ends[0]}%`;
      whisker.style.width = `${100 * (ends[1] - ends[0])}%`;
    }
    const parts = [
      html("span", { class: "name", title: title || name }, label === undefined ? null : swatch(label), name),
      html("span", { class: "rail" }, label === undefined ? bar : paint(bar, label), whisker),
      html("span", { class: "value" }, text),
    ];
    return choose
      ? html("button", { class: "barrow", type: "button", onclick: choose, "data-label": label }, parts)
      : html("div", { class: "barrow" }, parts);
  };
  return html("div", { class: "bars", ...properties }, rows.map(line));
}

// a table whose cells are tinted by their share; cells: [[{text, share, wrong, title}, …], …]
function shareTable(corner, columns, rows, cells) {
  const head = html("tr", {}, html("th", {}, corner), columns.map((column) => html("th", { scope: "col" }, column)));
  const body = cells.map((line, n) => {
    const tinted = line.map(({ text, share, wrong, title }) => {
      const cell = html("td", { title, class: wrong ? "wrong" : "right" }, text);
      cell.style.setProperty("--share", `${Math.round(70 * share)}%`);
      return cell;
    });
    return html("tr", {}, html("th", { scope: "row" }, rows[n]), tinted);
  });
  const table = html("table", { class: "shares" }, html("thead", {}, head), html("tbody", {}, body));
  return html("div", { class: "scroll" }, table);
}

function card(title, explanation, ...content) {
  // a table, and names of two classes, need the room of two charts
  const wide = content.some((element) => element.querySelector?.("table") || element.id === "confusion") ? " wide" : "";
  const said = html("p", { class: "say" }, explanation);
  return html("article", { class: `card${wide}` }, html("h3", {}, title), said, content);
}

// Distortion versus bitrate: every measured code on one plot, with the limits, a budget slider and a table.
//
// One self-contained ES module for two homes: anywidget loads it in Jupyter and Colab, and the book wraps it into a
// classic script that its loader runs without a kernel. `model` needs get, set, save_changes, on and off. State:
//   data    benchmarks/results/rd_gaussian.json: {meta, points: [{family, name, rate, mse, stderr, ...}], limits}
//   rate    the budget in bits a number; hidden: families switched off; view: "distortion" or "gap"
// Every number shown is in `data` or follows from it by SQNR = -10 log10 D and gap = 10 log10 (D / 2^(-2R)).
// Tests: tests/browser/test_widget.py.

const SVG = "http://www.w3.org/2000/svg";
const MARKERS = [
  "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z", // circle
  "M-4 -4H4V4H-4Z", // square
  "M0 -5.2L4.9 3.8H-4.9Z", // triangle
  "M0 -5.6L5.6 0L0 5.6L-5.6 0Z", // diamond
  "M0 5.2L4.9 -3.8H-4.9Z", // triangle downwards
  "M-1.7 -5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z", // plus
];
let instances = 0;

const shannon = (rate) => 2 ** (-2 * rate);
const decibel = (ratio) => 10 * Math.log10(ratio);
const sqnr = (mse) => -decibel(mse);
const gapDb = (mse, rate) => decibel(mse / shannon(rate));
const gapPercent = (mse, rate) => 100 * (mse / shannon(rate) - 1);
const bits = (rate) => rate.toFixed(2) + (Math.abs(rate - 1) < 1e-9 ? " bit" : " bits");
const title = (family) => family.replaceAll("_", " ");

function svg(name, attributes, parent, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

function html(name, attributes, parent, text) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

/** The marker of the index-th family; from the seventh on, colors come again with other markers. */
const marker = (index) => MARKERS[(index + Math.floor(index / 6)) % 6];

function swatch(index, parent) {
  const icon = svg("svg", { viewBox: "-8 -8 16 16", class: "llvq-rd-swatch", "aria-hidden": "true" }, parent);
  svg("path", { d: marker(index), class: "f" + (index % 6) }, icon);
}

/** Families in order of appearance, each with its points by rate. */
function group(points) {
  const families = new Map();
  for (const point of points) {
    if (!families.has(point.family)) families.set(point.family, []);
    families.get(point.family).push(point);
  }
  for (const list of families.values()) list.sort((a, b) => a.rate - b.rate || b.mse - a.mse);
  return families;
}

/** The code of least distortion whose rate the budget covers, or null. */
function affordable(points, budget) {
  let best = null;
  for (const point of points) {
    if (point.rate <= budget + 1e-6 && (best === null || point.mse < best.mse)) best = point;
  }
  return best;
}

/** The points that no cheaper code of the same family beats. */
function frontier(points) {
  const front = [];
  for (const point of points) {
    if (front.length && point.mse >= front.at(-1).mse) continue;
    if (front.length && point.rate === front.at(-1).rate) front.pop();
    front.push(point);
  }
  return front;
}

/** The 24-dimensional floor at any rate inside its table, by interpolating its gap in dB; null outside. */
function floorAt(rows, rate) {
  for (let i = 0; i < rows.length; i++) {
    if (Math.abs(rows[i].rate - rate) < 1e-9) return rows[i].floor24;
    if (i && rows[i - 1].rate < rate && rate < rows[i].rate) {
      const t = (rate - rows[i - 1].rate) / (rows[i].rate - rows[i - 1].rate);
      const a = gapDb(rows[i - 1].floor24, rows[i - 1].rate);
      const b = gapDb(rows[i].floor24, rows[i].rate);
      return shannon(rate) * 10 ** ((a + t * (b - a)) / 10);
    }
  }
  return null;
}

function controls(root, id, families, range) {
  const box = html("div", { class: "llvq-rd-controls" }, root);
  const row = html("div", { class: "llvq-rd-slider" }, box);
  html("label", { for: id + "rate" }, row, "Rate");
  const slider = html("input", { type: "range", id: id + "rate", min: range[0], max: range[1], step: 0.05 }, row);
  const shown = html("output", { for: id + "rate" }, row);

  const views = html("fieldset", {}, box);
  html("legend", {}, views, "Show");
  const radios = {};
  for (const [view, text] of [["distortion", "Distortion"], ["gap", "Gap to the limit"]]) {
    const label = html("label", {}, views);
    radios[view] = html("input", { type: "radio", name: id + "view", value: view }, label);
    label.append(text);
  }
  const boxes = html("fieldset", {}, box);
  html("legend", {}, boxes, "Families");
  const toggles = new Map();
  [...families.keys()].forEach((family, index) => {
    const label = html("label", {}, boxes);
    toggles.set(family, html("input", { type: "checkbox", value: family }, label));
    swatch(index, label);
    label.append(title(family));
  });
  return { slider, shown, radios, toggles };
}

/** Axis ranges and the functions from rate and distortion to pixels. */
function scales(families, view, width, height, range) {
  const pad = { left: 52, right: 10, top: 10, bottom: 40 };
  const all = [...families.values()].flat();
  const value = view === "gap" ? (mse, rate) => gapDb(mse, rate) : (mse) => Math.log10(mse);
  const values = all.map((p) => value(p.mse, p.rate));
  let low = -0.15;
  let high = Math.max(...values);
  if (view === "gap") high = Math.ceil(high * 2) / 2;
  else {
    low = Math.log10(shannon(range[1])) - 0.05;
    high = Math.max(high, Math.log10(shannon(range[0]))) + 0.08;
  }
  const x = (rate) => pad.left + ((rate - range[0]) / (range[1] - range[0])) * (width - pad.left - pad.right);
  const y = (v) => pad.top + ((high - v) / (high - low)) * (height - pad.top - pad.bottom);
  return { pad, low, high, x, y, value, at: (mse, rate) => y(value(mse, rate)) };
}

function drawAxes(plot, s, view, width, height, range) {
  const bottom = height - s.pad.bottom;
  const axes = svg("g", { class: "ax" }, plot);
  for (let rate = Math.ceil(range[0] * 2) / 2; rate <= range[1] + 1e-9; rate += 0.5) {
    svg("line", { x1: s.x(rate), x2: s.x(rate), y1: s.pad.top, y2: bottom, class: "grid" }, axes);
    svg("text", { x: s.x(rate), y: bottom + 16, "text-anchor": "middle" }, axes, String(rate));
  }
  const ticks = [];
  if (view === "gap") for (let v = 0; v <= s.high + 1e-9; v += s.high > 4 ? 1 : 0.5) ticks.push([v, String(v)]);
  else
    for (let e = -5; e <= 0; e++)
      for (const m of [1, 2, 5]) ticks.push([Math.log10(m) + e, String(+(m * 10 ** e).toPrecision(1))]);
  for (const [v, text] of ticks.filter(([v]) => v >= s.low && v <= s.high)) {
    svg("line", { x1: s.pad.left, x2: width - s.pad.right, y1: s.y(v), y2: s.y(v), class: "grid" }, axes);
    svg("text", { x: s.pad.left - 6, y: s.y(v) + 4, "text-anchor": "end" }, axes, text);
  }
  svg("text", { x: (s.pad.left + width) / 2, y: height - 6, "text-anchor": "middle" }, axes, "rate (bits a number)");
  const middle = (s.pad.top + bottom) / 2;
  const label = view === "gap" ? "gap to Shannon's limit (dB)" : "distortion (MSE)";
  svg("text", { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle" }, axes, label);
}

function polyline(plot, points, attributes) {
  svg("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" "), ...attributes }, plot);
}

function drawLimits(plot, s, range, floors) {
  const steps = Array.from({ length: 41 }, (_, i) => range[0] + (i / 40) * (range[1] - range[0]));
  polyline(plot, steps.map((r) => [s.x(r), s.at(shannon(r), r)]), { class: "limit" });
  const inside = floors.filter((row) => row.rate >= range[0] && row.rate <= range[1]);
  polyline(plot, inside.map((row) => [s.x(row.rate), s.at(row.floor24, row.rate)]), { class: "floor" });
}

function describe(point) {
  const error = point.stderr ? ` ± ${point.stderr.toPrecision(1)}` : "";
  const parts = [`${point.name}: ${bits(point.rate)}, MSE ${point.mse.toFixed(5)}${error}`];
  if (point.table_bytes != null) parts.push(`${point.table_bytes.toLocaleString("en")} bytes of tables`);
  if (point.encode_blocks_per_s) {
    parts.push(`encodes ${Math.round(point.encode_blocks_per_s).toLocaleString("en")} blocks/s`);
  }
  return parts.join("; ") + ".";
}

function draw(stage, families, hidden, budget, view, range, floors, hint) {
  const width = Math.max(280, Math.round(stage.clientWidth || 640));
  const height = Math.round(Math.min(400, Math.max(280, width * 0.58)));
  stage.replaceChildren();
  const label = `${view === "gap" ? "Gap to the limit" : "Distortion"} against rate; the table below has the numbers.`;
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, stage);
  plot.style.height = height + "px";
  const s = scales(families, view, width, height, range);
  drawAxes(plot, s, view, width, height, range);
  svg("line", { x1: s.x(budget), x2: s.x(budget), y1: s.pad.top, y2: height - s.pad.bottom, class: "budget" }, plot);
  drawLimits(plot, s, range, floors);
  [...families].forEach(([family, points], index) => {
    if (hidden.includes(family)) return;
    const color = "f" + (index % 6);
    polyline(plot, frontier(points).map((p) => [s.x(p.rate), s.at(p.mse, p.rate)]), { class: "front " + color });
    const chosen = affordable(points, budget);
    for (const point of points) {
      const place = `translate(${s.x(point.rate).toFixed(1)} ${s.at(point.mse, point.rate).toFixed(1)})`;
      const size = point === chosen ? " scale(1.55)" : "";
      const mark = svg("path", { d: marker(index), transform: place + size, class: color }, plot);
      svg("title", {}, mark, describe(point));
      mark.addEventListener("pointerenter", () => (hint.textContent = describe(point)));
    }
  });
  const perPixel = (range[1] - range[0]) / (s.x(range[1]) - s.x(range[0]));
  return { plot, rateAt: (pixel) => range[0] + (pixel - s.x(range[0])) * perPixel };
}

function tableRow(body, index, name, rate, mse) {
  const row = html("tr", {}, body);
  const head = html("th", { scope: "row" }, row);
  if (index !== null) swatch(index, head);
  head.append(name);
  if (mse === null) {
    html("td", { colspan: 5 }, row, "none at this rate");
    return;
  }
  const cells = [rate.toFixed(3), mse.toFixed(5), sqnr(mse).toFixed(2), gapDb(mse, rate).toFixed(2)];
  for (const text of [...cells, gapPercent(mse, rate).toFixed(1)]) html("td", {}, row, text);
}

function makeTable(root) {
  // a scrolling region must be reachable by keyboard
  const frame = html("div", { class: "llvq-rd-table", tabindex: 0, role: "region", "aria-label": "Best codes" }, root);
  const table = html("table", {}, frame);
  const caption = html("caption", {}, table);
  const head = html("tr", {}, html("thead", {}, table));
  for (const text of ["code", "bits", "MSE", "SQNR dB", "gap dB", "gap %"]) html("th", { scope: "col" }, head, text);
  return { caption, body: html("tbody", {}, table) };
}

function fillTable(table, families, hidden, budget, floors) {
  table.caption.textContent = `The best code of each family within ${bits(budget)} a number`;
  table.body.replaceChildren();
  let best = null;
  [...families].forEach(([family, points], index) => {
    if (hidden.includes(family)) return;
    const code = affordable(points, budget);
    tableRow(table.body, index, code ? code.name : title(family), code?.rate, code ? code.mse : null);
    if (code && (best === null || code.mse < best.mse)) best = code;
  });
  const floor = floorAt(floors, budget);
  if (floor !== null) tableRow(table.body, null, "24-dimensional floor", budget, floor);
  tableRow(table.body, null, "Shannon's limit", budget, shannon(budget));
  return best;
}

function render({ model, el }) {
  const data = model.get("data");
  const id = `llvq-rd${++instances}-`;
  const families = group(data.points);
  const floors = data.limits.filter((row) => row.floor24 != null).sort((a, b) => a.rate - b.rate);
  const rates = data.points.map((p) => p.rate);
  const range = [Math.floor(Math.min(...rates) * 4) / 4, Math.ceil(Math.max(...rates) * 4) / 4];

  const root = html("div", { class: "llvq-rd", role: "group", "aria-label": "Distortion versus bitrate" }, el);
  const ui = controls(root, id, families, range);
  const stage = html("div", { class: "llvq-rd-plot" }, root);
  const key = html("p", { class: "llvq-rd-key" }, root);
  for (const [line, text] of [["limit", "Shannon's limit"], ["floor", "24-dimensional floor"], ["budget", "your rate"]]) {
    const icon = svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, html("span", {}, key));
    svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: line }, icon);
    icon.after(" " + text);
  }
  const hint = html("p", { class: "llvq-rd-hint" }, root, "Point at a mark to see which code it is.");
  const status = html("p", { class: "llvq-rd-status", role: "status" }, root);
  const table = makeTable(root);
  let drawn = null;

  function update() {
    const [budget, view, hidden] = [model.get("rate"), model.get("view"), model.get("hidden")];
    ui.slider.value = budget;
    ui.slider.setAttribute("aria-valuetext", bits(budget) + " a number");
    ui.shown.textContent = bits(budget);
    ui.radios[view].checked = true;
    for (const [family, box] of ui.toggles) box.checked = !hidden.includes(family);
    drawn = draw(stage, families, hidden, budget, view, range, floors, hint);
    const best = fillTable(table, families, hidden, budget, floors);
    status.textContent = best
      ? `Best within ${bits(budget)}: ${best.name}, ${gapDb(best.mse, best.rate).toFixed(2)} dB above the limit.`
      : `No code of these families works within ${bits(budget)}.`;
  }
  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }
  ui.slider.addEventListener("input", () => set("rate", Number(ui.slider.value)));
  for (const [view, radio] of Object.entries(ui.radios)) radio.addEventListener("change", () => set("view", view));
  for (const box of ui.toggles.values()) {
    const off = () => [...ui.toggles].filter(([, other]) => !other.checked).map(([family]) => family);
    box.addEventListener("change", () => set("hidden", off()));
  }
  stage.addEventListener("click", (event) => {
    const left = drawn.plot.getBoundingClientRect().left;
    const rate = Math.round(drawn.rateAt(event.clientX - left) * 20) / 20;
    set("rate", Math.min(range[1], Math.max(range[0], rate)));
  });
  // JupyterLab would take the arrow keys for moving between cells
  root.addEventListener("keydown", (event) => event.stopPropagation());

  const events = ["change:rate", "change:view", "change:hidden"];
  for (const event of events) model.on(event, update);
  const observer = new ResizeObserver(() => update());
  observer.observe(stage);
  update();
  return () => {
    observer.disconnect();
    for (const event of events) model.off(event, update);
  };
}

export default { render };

// Distortion versus bitrate: the measured codes of one source on one plot, with the limits, a budget slider, a table, and
// each code's numbers by pointing, tapping or arrow keys.
//
// `model` needs get, set, save_changes, on and off. State (llvq_mini/widgets/distortion_bitrate.py describes it):
//   points    {family, name, source, rate, mse, stderr, ...} and limits {rate, floor24}, from benchmarks/results/rd.json
//   families  {family, group, color, path, filled, shown} in the order of the legend; hidden: families switched off
//   sources   {source, label, factor, kind, curve}: D_0 = factor 2^(-2R) is a "limit", a "bound" or a "reference"
//   source, rate (the budget in bits a number), view: "distortion" or "gap"
// Every number shown is in the state or follows from it by SQNR = -10 log10 D and gap = 10 log10 (D / D_0).
// Tests: tests/browser/test_widget.py.

const curveAt = (source, rate) => source.factor * 2 ** (-2 * rate);
const gapDb = (source, mse, rate) => decibel(mse / curveAt(source, rate));
const percent = (ratio) => (100 * (ratio - 1)).toFixed(1);
const bits = (rate) => rate.toFixed(2) + (Math.abs(rate - 1) < 1e-9 ? " bit" : " bits");
const count = (n) => Math.round(n).toLocaleString("en-US");
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const HINT = "Point at a mark, or go from mark to mark with the arrow keys, to see its numbers.";
/** An entropy coder meets its rate only nearly: a code this much above the budget still counts. */
const TOLERANCE = 0.02;

function markOf(look, parent, attributes) {
  const css = `mark f${look.color}${look.filled ? "" : " hollow"}`;
  return svg("path", { d: look.path, class: css, ...attributes }, parent);
}

function swatch(look, parent) {
  const icon = svg("svg", { viewBox: "-8 -8 16 16", class: "llvq-rd-swatch", "aria-hidden": "true" }, parent);
  markOf(look, icon, {});
}

/** The source's points, for each family that is not hidden by rate: [[look, points], ...]. */
function visible(every, looks, source, hidden) {
  const found = [];
  for (const look of looks) {
    if (hidden.includes(look.family)) continue;
    const points = every.filter((p) => p.family === look.family && p.source === source);
    points.sort((a, b) => a.rate - b.rate || b.mse - a.mse);
    if (points.length) found.push([look, points]);
  }
  return found;
}

/** The code of least distortion whose rate the budget covers, or null. */
function affordable(points, budget) {
  let best = null;
  for (const point of points) {
    if (point.rate <= budget + TOLERANCE && (best === null || point.mse < best.mse)) best = point;
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
  const gap = (row) => decibel(row.floor24 * 4 ** row.rate);
  for (let i = 0; i < rows.length; i++) {
    if (Math.abs(rows[i].rate - rate) < 1e-9) return rows[i].floor24;
    if (i && rows[i - 1].rate < rate && rate < rows[i].rate) {
      const t = (rate - rows[i - 1].rate) / (rows[i].rate - rows[i - 1].rate);
      return 4 ** -rate * 10 ** (((1 - t) * gap(rows[i - 1]) + t * gap(rows[i])) / 10);
    }
  }
  return null;
}

/** What is known about a code, as [term, text] pairs. */
function facts(point, source, floors) {
  const ratio = point.mse / curveAt(source, point.rate);
  const floor = floorAt(floors, point.rate);
  const speed = (n) => `${count(n)} blocks/s a core`;
  const rows = [
    ["Rate", `${point.rate.toFixed(4)} bits a number${point.variable_rate ? ", measured" : ""}`],
    ["MSE", `${point.mse.toFixed(5)} ± ${point.stderr.toFixed(5)}`],
    ["SQNR", `${(-decibel(point.mse)).toFixed(2)} dB`],
    [`To ${source.curve}`, `${decibel(ratio).toFixed(2)} dB, ${percent(ratio)} %`],
  ];
  if (source.kind === "limit" && floor !== null) {
    rows.push(["To the 24-dimensional floor", `${decibel(point.mse / floor).toFixed(2)} dB, ${percent(point.mse / floor)} %`]);
  }
  rows.push(["Block", `${point.dim} numbers`], ["Tables", `${count(point.table_bytes)} bytes`]);
  rows.push(["Encoding", speed(point.encode_blocks_per_s)], ["Decoding", speed(point.decode_blocks_per_s)]);
  return rows;
}
const sentence = (point, rows) => `${point.name}: ${rows.map(([term, text]) => `${term} ${text}`).join("; ")}.`;

function sourceSelect(box, id, sources, set) {
  const row = html("div", { class: "llvq-rd-source" }, box);
  html("label", { for: id + "source" }, row, "Source");
  const select = html("select", { id: id + "source" }, row);
  for (const { source, label } of sources) html("option", { value: source }, select, label);
  select.addEventListener("change", () => set("source", select.value));
  return select;
}

/** Check boxes in groups, with buttons for all, the main ones and none. */
function legend(root, looks, set) {
  const box = html("details", { class: "llvq-rd-families" }, root);
  box.open = (root.clientWidth || window.innerWidth) > 576;
  const summary = html("summary", {}, box);
  const buttons = html("div", { class: "llvq-rd-buttons" }, box);
  for (const [text, keep] of [["Main", (look) => look.shown], ["All", () => true], ["None", () => false]]) {
    const button = html("button", { type: "button" }, buttons, text);
    button.addEventListener("click", () => set("hidden", looks.filter((l) => !keep(l)).map((l) => l.family)));
  }
  const toggles = new Map();
  const groups = html("div", { class: "llvq-rd-groups" }, box);
  for (const group of new Set(looks.map((look) => look.group))) {
    const field = html("fieldset", {}, groups);
    html("legend", {}, field, capital(group));
    for (const look of looks.filter((one) => one.group === group)) {
      const label = html("label", {}, field);
      const toggle = html("input", { type: "checkbox", value: look.family }, label);
      swatch(look, label);
      label.append(look.family);
      toggles.set(look.family, toggle);
      const off = () => [...toggles].filter(([, other]) => !other.checked).map(([family]) => family);
      toggle.addEventListener("change", () => set("hidden", off()));
    }
  }
  return { summary, toggles };
}

/** Axis ranges and the functions from rate and distortion to pixels. */
function scales(shown, source, view, width, height, range) {
  const pad = { left: 52, right: 10, top: 10, bottom: 40 };
  const value = view === "gap" ? (mse, rate) => gapDb(source, mse, rate) : (mse) => Math.log10(mse);
  const values = shown.flatMap(([, points]) => points.map((p) => value(p.mse, p.rate)));
  let [low, high] = [Math.min(-0.15, ...values) - 0.05, Math.ceil(Math.max(1, ...values) * 2) / 2];
  if (view === "distortion") {
    low = Math.log10(curveAt(source, range[1])) - 0.05;
    high = Math.max(Math.log10(curveAt(source, range[0])), ...values) + 0.08;
  }
  const x = (rate) => pad.left + ((rate - range[0]) / (range[1] - range[0])) * (width - pad.left - pad.right);
  const y = (v) => pad.top + ((high - v) / (high - low)) * (height - pad.top - pad.bottom);
  return { pad, low, high, x, y, at: (mse, rate) => y(value(mse, rate)) };
}

function drawAxes(plot, s, source, view, width, height, range) {
  const bottom = height - s.pad.bottom;
  for (let rate = Math.ceil(range[0] * 2) / 2; rate <= range[1] + 1e-9; rate += 0.5) {
    svg("line", { x1: s.x(rate), x2: s.x(rate), y1: s.pad.top, y2: bottom, class: "grid" }, plot);
    svg("text", { x: s.x(rate), y: bottom + 16, "text-anchor": "middle" }, plot, String(rate));
  }
  const ticks = [];
  if (view === "gap") for (let v = 0; v <= s.high + 1e-9; v += s.high > 4 ? 1 : 0.5) ticks.push([v, String(v)]);
  else
    for (let e = -5; e <= 0; e++)
      for (const m of [1, 2, 5]) ticks.push([Math.log10(m) + e, String(+(m * 10 ** e).toPrecision(1))]);
  for (const [v, text] of ticks.filter(([v]) => v >= s.low && v <= s.high)) {
    svg("line", { x1: s.pad.left, x2: width - s.pad.right, y1: s.y(v), y2: s.y(v), class: "grid" }, plot);
    svg("text", { x: s.pad.left - 6, y: s.y(v) + 4, "text-anchor": "end" }, plot, text);
  }
  const middle = (s.pad.left + width - s.pad.right) / 2;
  svg("text", { x: middle, y: height - 6, "text-anchor": "middle" }, plot, "rate (bits a number)");
  const label = view === "gap" ? `gap to ${source.curve} (dB)` : "distortion (MSE)";
  const up = `translate(13 ${(s.pad.top + bottom) / 2}) rotate(-90)`;
  svg("text", { transform: up, "text-anchor": "middle" }, plot, label);
}

function polyline(plot, points, attributes) {
  svg("polyline", { points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), ...attributes }, plot);
}

function drawLimits(plot, s, source, range, floors) {
  const line = [];
  for (let i = 0; i <= 60; i++) line.push(range[0] + ((range[1] - range[0]) * i) / 60);
  polyline(plot, line.map((r) => [s.x(r), s.at(curveAt(source, r), r)]), { class: source.kind });
  if (source.kind !== "limit") return;
  const inside = line.map((r) => [r, floorAt(floors, r)]).filter(([, d]) => d !== null);
  if (inside.length > 1) polyline(plot, inside.map(([r, d]) => [s.x(r), s.at(d, r)]), { class: "floor" });
}

/** The plot. Marks are options of a list box, of which one takes part in the tab order. */
function draw(stage, shown, source, budget, view, range, floors) {
  const width = Math.max(280, Math.round(stage.clientWidth || 640));
  const height = Math.round(Math.min(420, Math.max(300, width * 0.6)));
  stage.replaceChildren();
  const label = `${view === "gap" ? "Gap" : "Distortion"} against rate; the table below has the numbers.`;
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label }, stage);
  plot.style.height = height + "px";
  const s = scales(shown, source, view, width, height, range);
  const back = svg("g", { "aria-hidden": "true" }, plot);
  drawAxes(back, s, source, view, width, height, range);
  svg("line", { x1: s.x(budget), x2: s.x(budget), y1: s.pad.top, y2: height - s.pad.bottom, class: "budget" }, back);
  drawLimits(back, s, source, range, floors);
  for (const [look, points] of shown) {
    polyline(back, frontier(points).map((p) => [s.x(p.rate), s.at(p.mse, p.rate)]), { class: "front f" + look.color });
  }
  const roles = shown.length ? { role: "listbox", "aria-label": "Measured codes" } : {};
  const list = svg("g", roles, plot);
  const marks = [];
  shown.forEach(([look, points], row) => {
    const chosen = affordable(points, budget);
    points.forEach((point, column) => {
      const [x, y] = [s.x(point.rate), s.at(point.mse, point.rate)];
      const place = `translate(${x.toFixed(1)} ${y.toFixed(1)})${point === chosen ? " scale(1.5)" : ""}`;
      const said = sentence(point, facts(point, source, floors));
      const attributes = { transform: place, role: "option", tabindex: -1, "aria-selected": "false", "aria-label": said };
      marks.push({ node: markOf(look, list, attributes), point, look, x, y, row, column });
    });
  });
  const perPixel = (range[1] - range[0]) / (s.x(range[1]) - s.x(range[0]));
  return { plot, marks, rateAt: (pixel) => range[0] + (pixel - s.x(range[0])) * perPixel };
}

/** The mark that a key leads to: left and right within its family, up and down to the next family's nearest rate. */
function neighbor(marks, from, key) {
  const row = (n) => marks.filter((mark) => mark.row === n);
  const own = row(from.row);
  const at = own.indexOf(from);
  const near = (list) =>
    list.sort((a, b) => Math.abs(a.point.rate - from.point.rate) - Math.abs(b.point.rate - from.point.rate))[0];
  const steps = {
    ArrowRight: () => own[at + 1],
    ArrowLeft: () => own[at - 1],
    Home: () => own[0],
    End: () => own.at(-1),
    ArrowDown: () => near(row(from.row + 1)),
    ArrowUp: () => near(row(from.row - 1)),
  };
  return key in steps ? steps[key]() || from : null;
}

function showFacts(card, mark, source, floors) {
  card.replaceChildren();
  if (!mark) return;
  const head = html("p", { class: "llvq-rd-name" }, card);
  swatch(mark.look, head);
  head.append(mark.point.name);
  const list = html("dl", {}, card);
  for (const [term, text] of facts(mark.point, source, floors)) {
    const pair = html("div", {}, list);
    html("dt", {}, pair, term);
    html("dd", {}, pair, text);
  }
}

function tableRow(body, look, name, cells) {
  const row = html("tr", {}, body);
  const head = html("th", { scope: "row" }, row);
  if (look) swatch(look, head);
  head.append(name);
  for (const text of cells) html("td", {}, row, text);
}

/** Fill the table; returns the best code. */
function fillTable(table, shown, source, budget, floors) {
  table.caption.textContent = `The best code of each family within ${bits(budget)} a number; gaps are to ${source.curve}`;
  table.body.replaceChildren();
  const toFloor = source.kind === "limit";
  table.head.lastChild.hidden = !toFloor;
  const cells = (mse, rate) => {
    const ratio = mse / curveAt(source, rate);
    const floor = floorAt(floors, rate);
    const row = [rate.toFixed(3), mse.toFixed(5), (-decibel(mse)).toFixed(2), decibel(ratio).toFixed(2), percent(ratio)];
    return toFloor ? [...row, floor === null ? "–" : percent(mse / floor)] : row;
  };
  let best = null;
  for (const [look, points] of shown) {
    const code = affordable(points, budget);
    if (code) tableRow(table.body, look, code.name, cells(code.mse, code.rate));
    if (code && (best === null || code.mse < best.mse)) best = code;
  }
  const floor = toFloor ? floorAt(floors, budget) : null;
  if (floor !== null) tableRow(table.body, null, "24-dimensional floor", cells(floor, budget));
  tableRow(table.body, null, capital(source.curve), cells(curveAt(source, budget), budget));
  return best;
}

const roundUp = (rate) => Math.ceil((rate - TOLERANCE) * 20 - 1e-6) / 20;

const NOTES = {
  limit: "The floor binds fixed-rate codes whose blocks divide 24; long blocks and entropy coding can pass below it.",
  bound: "The bound holds at every rate; at low rates the true limit of this source may lie above it.",
  reference: "For weights no limit is known: the curve is that of a Gaussian, a reference that a code may well cross.",
};

function fillKey(key, note, source) {
  key.replaceChildren();
  const lines = [[source.kind, capital(source.curve)], ["floor", "24-dimensional floor"], ["budget", "your rate"]];
  for (const [line, text] of lines.filter(([line]) => line !== "floor" || source.kind === "limit")) {
    const icon = svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, html("span", {}, key));
    svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: line }, icon);
    icon.after(" " + text);
  }
  note.textContent = `${HINT} ${NOTES[source.kind]}`;
}

/** Pointing, tapping and arrow keys choose a mark; a click or Enter also moves the budget there. */
function listen(stage, view) {
  const nearest = (event) => {
    const box = view.drawn.plot.getBoundingClientRect();
    const far = (mark) => Math.hypot(mark.x - (event.clientX - box.left), mark.y - (event.clientY - box.top));
    const best = view.drawn.marks.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return best && far(best) < 16 ? best : null;
  };
  stage.addEventListener("pointermove", (event) => {
    const mark = nearest(event);
    if (mark) view.pick(mark);
  });
  stage.addEventListener("click", (event) => {
    const mark = nearest(event);
    if (mark) view.pick(mark);
    const left = view.drawn.plot.getBoundingClientRect().left;
    view.budget(mark ? roundUp(mark.point.rate) : Math.round(view.drawn.rateAt(event.clientX - left) * 20) / 20);
  });
  stage.addEventListener("focusin", (event) => {
    const mark = view.drawn.marks.find(({ node }) => node === event.target);
    if (mark) view.pick(mark);
  });
  stage.addEventListener("keydown", (event) => {
    const mark = view.drawn.marks.find(({ node }) => node === event.target);
    if (!mark) return;
    const next = neighbor(view.drawn.marks, mark, event.key);
    if (next) next.node.focus();
    else if (event.key === "Enter" || event.key === " ") view.budget(roundUp(mark.point.rate));
    else return;
    event.preventDefault();
  });
}

function render({ model, el }) {
  const [every, limits, looks, sources] = ["points", "limits", "families", "sources"].map((key) => model.get(key));
  const set = setter(model);
  const id = uid();
  const floors = limits.filter((row) => row.floor24 != null).sort((a, b) => a.rate - b.rate);
  const rates = every.map((p) => p.rate);
  const outward = [Math.min(...rates) + TOLERANCE, Math.max(...rates) - TOLERANCE];
  const range = [Math.floor(outward[0] * 4) / 4, Math.ceil(outward[1] * 4) / 4];

  const root = frame(el, "llvq-rd", "Distortion versus bitrate");
  const box = html("div", { class: "llvq-w-controls" }, root);
  const slider = sliderRow(box, id + "rate", "Rate", { min: range[0], max: range[1], step: 0.05 });
  slider.input.addEventListener("input", () => set("rate", Number(slider.input.value)));
  const select = sourceSelect(box, id, sources, set);
  const views = [["distortion", "Distortion"], ["gap", "Gap to the limit"]];
  const radios = radioRow(box, id + "view", "Show", views, (value) => set("view", value));
  const families = legend(root, looks, set);
  const stage = html("div", { class: "llvq-w-plot llvq-rd-plot" }, root);
  const key = html("p", { class: "llvq-w-key" }, root);
  const note = html("p", { class: "llvq-w-note" }, root);
  const card = html("div", { class: "llvq-rd-card" }, root);
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const columns = ["code", "bits", "MSE", "SQNR dB", "gap dB", "gap %", "floor %"];
  const table = tableFrame(root, "Best codes", columns);
  const view = {
    drawn: null,
    point: null, // what the reader pointed at; until then the best code of the budget is described
    budget: (rate) => set("rate", clamp(rate, range[0], range[1])),
    pick(mark) {
      view.point = mark.point;
      view.choose(mark);
    },
    choose(mark) {
      for (const other of view.drawn.marks) other.node.setAttribute("aria-selected", String(other === mark));
      const stop = mark || view.drawn.marks[0];
      for (const other of view.drawn.marks) other.node.setAttribute("tabindex", other === stop ? 0 : -1);
      showFacts(card, mark, view.source, floors);
    },
  };

  function update() {
    const [name, hidden] = [model.get("source"), model.get("hidden")];
    const budget = clamp(model.get("rate"), range[0], range[1]);
    view.source = sources.find(({ source }) => source === name);
    const shown = visible(every, looks, name, hidden);
    slider.show(budget, bits(budget) + " a number");
    select.value = name;
    radios[model.get("view")].checked = true;
    for (const [family, toggle] of families.toggles) toggle.checked = !hidden.includes(family);
    families.summary.textContent = `Families: ${looks.length - hidden.length} of ${looks.length} shown`;
    const focused = stage.contains(document.activeElement);
    view.drawn = draw(stage, shown, view.source, budget, model.get("view"), range, floors);
    const best = fillTable(table, shown, view.source, budget, floors);
    const find = (wanted) => view.drawn.marks.find(({ point }) => point === wanted);
    const mark = find(view.point);
    view.choose(mark || find(best));
    if (focused && mark) mark.node.focus();
    fillKey(key, note, view.source);
    const far = best && gapDb(view.source, best.mse, best.rate);
    status.textContent = best
      ? `Best within ${bits(budget)}: ${best.name}, ${Math.abs(far).toFixed(2)} dB ${far < 0 ? "below" : "above"} ${view.source.curve}.`
      : `None of these codes works within ${bits(budget)}.`;
  }
  listen(stage, view);
  return follow(model, ["rate", "view", "hidden", "source"], stage, update);
}

export default { render };

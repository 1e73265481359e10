// The linears of a quantized model as a map, decoder layers from left to right, colored by a figure of the report.
//
// State (llvq_mini/widgets/error_map.py makes it and explains the figures):
//   cells     {layer, kind, rows, columns, bits_per_weight, sqnr_db, path, seconds, and the measures} of every linear
//   paths     what was done, by number; kinds: rows of the map, from above
//   measures  [key, text, logarithmic, low, high]; colors: of the scale between low and high
//   measure   the key shown; cell: number of the chosen linear
// The page computes nothing but colors and ranks.  Tests: tests/browser/test_widget_error_map.py.

const percent = (value) => `${(100 * value).toPrecision(3)} %`;
const FIGURES = {
  proxy_error: percent,
  mse: percent,
  condition: (value) => (value < 1e4 ? value.toPrecision(3) : `${Math.round(value).toLocaleString("en-US")}`),
  damping: (value) => (value ? value.toExponential(2).replace("-", "−") : "0"),
};

/** As error_map.color in Python. */
function colorOf(colors, value, low, high, logarithmic) {
  if (high <= low || value <= low) return colors[0];
  const part = logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const at = Math.min(part, 1) * (colors.length - 1);
  const n = Math.min(Math.floor(at), colors.length - 2);
  const channel = (code, i) => parseInt(code.slice(i, i + 2), 16);
  const mix = (i) => {
    const [a, b] = [channel(colors[n], i), channel(colors[n + 1], i)];
    return Math.floor(a + (at - n) * (b - a) + 0.5);
  };
  return "#" + [1, 3, 5].map((i) => mix(i).toString(16).padStart(2, "0")).join("");
}

/** A grid of rows and cells for screen readers; one cell is in the tab order. */
function grid(parent, cells, kinds, choose) {
  const layers = 1 + Math.max(...cells.map((cell) => cell.layer));
  const box = html("div", { class: "llvq-em-grid", role: "grid", "aria-label": "Linears by kind and decoder layer" }, parent);
  box.style.gridTemplateColumns = `auto repeat(${layers}, minmax(0, 1fr))`;
  const nodes = [];
  const places = new Map(cells.map((cell, n) => [`${cell.kind} ${cell.layer}`, n]));
  for (const kind of kinds) {
    const row = html("div", { role: "row", class: "row" }, box);
    html("span", { role: "rowheader", class: "kind" }, row, kind.replace(/_proj$/, ""));
    for (let layer = 0; layer < layers; layer++) {
      const n = places.get(`${kind} ${layer}`);
      const node = html("span", { role: "gridcell", class: n === undefined ? "none" : "cell" }, row);
      if (n === undefined) continue;
      nodes[n] = node;
      node.addEventListener("click", () => choose(n, true));
    }
  }
  const feet = html("div", { class: "row", "aria-hidden": "true" }, box);
  html("span", {}, feet);
  for (let layer = 0; layer < layers; layer++) html("span", { class: "foot" }, feet, layer % 5 ? "" : String(layer));
  box.addEventListener("keydown", (event) => {
    const n = nodes.indexOf(event.target);
    if (n < 0) return;
    const { kind, layer } = cells[n];
    const [dx, dy] = ARROWS[event.key] || [0, 0];
    const ends = { Home: 0, End: layers - 1 };
    if (!dx && !dy && !(event.key in ends)) return;
    const to = kinds[clamp(kinds.indexOf(kind) + dy, 0, kinds.length - 1)];
    const next = places.get(`${to} ${event.key in ends ? ends[event.key] : layer + dx}`);
    event.preventDefault();
    if (next !== undefined) choose(next, true);
  });
  return nodes;
}

/** The scale of colors with its ends. */
function legend(parent, colors) {
  const box = html("p", { class: "llvq-em-scale" }, parent);
  const low = html("span", {}, box);
  const bar = html("span", { class: "bar", "aria-hidden": "true" }, box);
  bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
  const high = html("span", {}, box);
  return (from, to) => {
    low.textContent = `${from} and less`;
    high.textContent = to;
  };
}

function factRows(cell, paths) {
  return [
    ["Shape", `${cell.rows} × ${cell.columns}, ${(cell.rows * cell.columns).toLocaleString("en-US")} weights`],
    ["Rate", `${cell.bits_per_weight.toFixed(4)} bits a weight`],
    ["Lost output", FIGURES.proxy_error(cell.proxy_error)],
    ["Error of the weights", `${FIGURES.mse(cell.mse)}, ${cell.sqnr_db.toFixed(2)} dB`],
    ["Condition of the Hessian", FIGURES.condition(cell.condition)],
    ["Damping", FIGURES.damping(cell.damping)],
    ["Path", paths[cell.path]],
    ["Time", `${cell.seconds.toFixed(2)} s`],
  ];
}

function fillTable(table, cells, kinds, [key, text]) {
  const show = FIGURES[key];
  table.caption.textContent = `${text[0].toUpperCase()}${text.slice(1)}, by kind of linear`;
  table.body.replaceChildren();
  for (const kind of kinds) {
    const own = cells.filter((cell) => cell.kind === kind);
    const values = own.map((cell) => cell[key]);
    const worst = own[values.indexOf(Math.max(...values))];
    const mean = Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
    const row = html("tr", {}, table.body);
    html("th", { scope: "row" }, row, kind);
    for (const shown of [show(Math.min(...values)), show(mean), show(Math.max(...values)), worst.layer]) html("td", {}, row, String(shown));
  }
}

function render({ model, el }) {
  const [cells, paths, kinds, measures, colors] = ["cells", "paths", "kinds", "measures", "colors"].map((key) => model.get(key));
  const set = setter(model);
  const root = frame(el, "llvq-em", "Map of the error");
  const controls = html("div", { class: "llvq-w-controls" }, root);
  const radios = radioRow(controls, uid() + "measure", "Color shows", measures.map(([key, text]) => [key, text]), (key) => set("measure", key));
  const stage = html("div", { class: "llvq-em-stage" }, root);
  const choose = (n, focus) => {
    set("cell", n);
    if (focus) nodes[n].focus();
  };
  const nodes = grid(stage, cells, kinds, choose);
  html("p", { class: "llvq-w-note llvq-em-foot" }, stage, "decoder layer");
  const showScale = legend(root, colors);
  const buttons = html("div", { class: "llvq-em-buttons" }, root);
  for (const [text, pick] of [["Largest", Math.max], ["Smallest", Math.min]]) {
    const button = html("button", { type: "button" }, buttons, text);
    button.addEventListener("click", () => {
      const values = cells.map((cell) => cell[model.get("measure")]);
      choose(values.indexOf(pick(...values)));
    });
  }
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const card = html("dl", { class: "llvq-em-card" }, root);
  const table = tableFrame(root, "Kinds of linears", ["linear", "least", "geometric mean", "largest", "in layer"]);

  function update() {
    const measure = measures.find(([key]) => key === model.get("measure"));
    const [key, text, logarithmic, low, high] = measure;
    const chosen = clamp(model.get("cell"), 0, cells.length - 1);
    radios[key].checked = true;
    nodes.forEach((node, n) => {
      node.style.background = colorOf(colors, cells[n][key], low, high, logarithmic);
      node.tabIndex = n === chosen ? 0 : -1;
      node.setAttribute("aria-selected", n === chosen ? "true" : "false");
      node.setAttribute("aria-label", `${cells[n].kind} of layer ${cells[n].layer}: ${text} ${FIGURES[key](cells[n][key])}`);
    });
    showScale(FIGURES[key](low), FIGURES[key](high));
    const cell = cells[chosen];
    const place = 1 + cells.filter((other) => other[key] > cell[key]).length;
    status.textContent = `${cell.kind} of layer ${cell.layer}: ${text} ${FIGURES[key](cell[key])}, number ${place} of ${cells.length} from the largest.`;
    card.replaceChildren();
    for (const [term, value] of factRows(cell, paths)) {
      const row = html("div", {}, card);
      html("dt", {}, row, term);
      html("dd", {}, row, value);
    }
    fillTable(table, cells, kinds, measure);
  }
  return follow(model, ["measure", "cell"], stage, update);
}

export default { render };

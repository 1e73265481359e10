// The shells of the Leech lattice as an onion: choose a run of shells; see points, classes, bits, and Gaussian blocks.
//
// State (llvq_mini/widgets/shell_onion.py, which has the formulas):
//   lattices   [key, label, counts]: exact integers as text, by shell 0, 1, 2, ...
//   classes, leaders   of the shells of the Leech lattice: how many, and [leader, points] of the largest
//   presets    [key, label, first, last]; lattice: key; first, last: the run
// The functions up to `unionOf` are those of shell_onion.py. Tests: tests/test_widgets_onion.py,
// tests/browser/test_widget_shell_onion.py.

const MARKED = [2, 3, 4, 6, 9, 13, 19]; // shells with a number in the picture
const radius = (m) => Math.sqrt(2 * m);
const bitsOf = (points) => Math.log2(Number(points)) / 24;
const grouped = (n) => n.toString().replace(/\B(?=(\d{3})+$)/g, ",");

/** P(|x| <= r) for 24 independent Gaussian numbers. */
function inside(r) {
  const t = (r * r) / 2;
  let [term, total] = [1, 0];
  for (let k = 0; k < 12; k++) {
    total += term;
    term *= t / (k + 1);
  }
  return 1 - Math.exp(-t) * total;
}

/** Points, rate, scale and the share of blocks inside of the shells first ... last; counts are BigInt. */
function unionOf(counts, first, last) {
  const chosen = counts.slice(first, last + 1);
  const points = chosen.reduce((sum, n) => sum + n, 0n);
  const rate = bitsOf(points);
  const norm = chosen.reduce((sum, n, i) => sum + 2 * (first + i) * Number(n), 0) / Number(points);
  const scale = Math.sqrt((24 * (1 - 4 ** -rate)) / norm);
  return { points, rate, scale, inside: inside(scale * radius(last)) };
}

// ---- the picture ----

const X0 = 20;
const UNIT = 56; // of the picture, for the radius 1 of the frame
const FLOOR = 380; // where the onion ends and the axis is
const BASE = 486; // of the curves below
const HIGH = 72;

function drawOnion(plot, counts, first, last) {
  counts.forEach((n, m) => {
    if (!m || !n) return;
    const chosen = first <= m && m <= last ? " chosen" : "";
    const r = UNIT * radius(m);
    svg("path", { d: `M${X0 + r} ${FLOOR}A${r} ${r} 0 0 0 ${X0} ${FLOOR - r}`, class: "arc" + chosen }, plot);
    const bits = Math.round(24 * bitsOf(n));
    for (let k = 0; k < bits; k++) {
      const angle = ((Math.PI / 2) * (k + 0.5)) / bits;
      const at = { cx: (X0 + r * Math.cos(angle)).toFixed(1), cy: (FLOOR - r * Math.sin(angle)).toFixed(1) };
      svg("circle", { ...at, r: 2.4, class: "bead" + chosen }, plot);
    }
    if (MARKED.includes(m)) svg("text", { x: X0 + r, y: FLOOR + 15, "text-anchor": "middle" }, plot, String(m));
  });
  if (first === 0) svg("circle", { cx: X0, cy: FLOOR, r: 4, class: "bead chosen" }, plot);
}

/** The space between the innermost and the outermost chosen shell. */
function drawPeel(plot, first, last) {
  const [a, b] = [UNIT * radius(first), UNIT * radius(last)];
  const inner = a ? `L${X0} ${FLOOR - a}A${a} ${a} 0 0 1 ${X0 + a} ${FLOOR}Z` : `L${X0} ${FLOOR}Z`;
  svg("path", { d: `M${X0 + b} ${FLOOR}A${b} ${b} 0 0 0 ${X0} ${FLOOR - b}${inner}`, class: "peel" }, plot);
}

/** Below: on which shells the points are, and how long blocks are, over one axis. */
function drawShares(plot, counts, first, last, found) {
  const line = [];
  for (let r = 0; r <= 6.6; r += 0.05) line.push(`${(X0 + UNIT * r).toFixed(1)} ${(BASE - HIGH * blockDensity(found.scale * r)).toFixed(1)}`);
  svg("path", { d: `M${X0} ${BASE}L${line.join("L")}V${BASE}Z`, class: "lengths" }, plot);
  const shares = counts.map((n, m) => (first <= m && m <= last ? Number(n) / Number(found.points) : 0));
  const most = Math.max(...shares);
  shares.forEach((share, m) => {
    const height = (HIGH * share) / most;
    if (height > 0.2) svg("rect", { x: X0 + UNIT * radius(m) - 3, y: BASE - height, width: 6, height, class: "share" }, plot);
  });
  svg("line", { x1: X0, x2: X0 + 6.6 * UNIT, y1: BASE, y2: BASE, class: "axis" }, plot);
  svg("text", { x: X0, y: FLOOR + 36, class: "cool" }, plot, "points of the union");
  svg("text", { x: X0, y: FLOOR + 52, class: "warm" }, plot, "lengths of blocks");
  svg("text", { x: X0, y: BASE + 16, class: "muted" }, plot, "radius 0");
  for (const r of [2, 4, 6]) svg("text", { x: X0 + UNIT * r, y: BASE + 16, "text-anchor": "middle", class: "muted" }, plot, String(r));
}

function drawPicture(stage, counts, first, last, found) {
  const label = `A quarter of the onion with the shells ${first} to ${last} chosen; below, the points on each shell and the lengths of Gaussian blocks.`;
  const plot = svg("svg", { viewBox: "0 0 400 506", role: "img", "aria-label": label });
  drawPeel(plot, first, last);
  drawOnion(plot, counts, first, last);
  const r = Math.min((UNIT * Math.sqrt(23)) / found.scale, 1.2 * FLOOR);
  svg("path", { d: `M${X0 + r} ${FLOOR}A${r} ${r} 0 0 0 ${X0} ${FLOOR - r}`, class: "typical" }, plot);
  drawShares(plot, counts, first, last, found);
  stage.replaceChildren(plot);
}

// ---- words and numbers ----

const percent = (share) => (share > 0.9995 || share < 0.0005 ? (100 * share).toPrecision(3) : (100 * share).toFixed(1)) + " %";

function describe(first, last, found, counts) {
  const run = first === last ? `Shell ${last}` : first ? `Shells ${first} to ${last}` : `The ball up to shell ${last}, with the origin`;
  const outer = Number(counts[last]) / Number(found.points);
  const whole = Math.ceil(24 * found.rate - 1e-9);
  return (
    `${run}: ${grouped(found.points)} points, ${found.rate.toFixed(5)} bits a weight; an index needs ${whole} bits. ` +
    `${percent(outer)} of the points are on the outermost shell, and ${percent(found.inside)} of Gaussian blocks are shorter than it.`
  );
}

function fillTable(table, state, counts, own, first, last) {
  table.caption.textContent = "All shells; the last column is the ball up to each, with the origin";
  table.body.replaceChildren();
  let ball = 0n;
  counts.forEach((n, m) => {
    ball += n;
    if (!n) return;
    const row = html("tr", first <= m && m <= last ? { class: "chosen" } : {}, table.body);
    html("th", { scope: "row" }, row, String(m));
    const classes = own === "leech" ? String(state.classes[m]) : "–";
    for (const text of [radius(m).toFixed(4), grouped(n), classes, bitsOf(ball).toFixed(5)]) html("td", {}, row, text);
  });
}

function fillClasses(title, list, state, own, m) {
  const some = state.leaders[m];
  const rest = state.classes[m] - some.length;
  list.replaceChildren();
  title.hidden = list.hidden = own !== "leech";
  title.textContent = `Shell ${m} has ${state.classes[m]} classes${rest ? `; the ${some.length} largest are` : ""}:`;
  for (const [leader, n] of some) html("li", {}, list, `${leader}: ${grouped(n)}`);
}

function render({ model, el }) {
  const state = Object.fromEntries(["lattices", "classes", "leaders", "presets"].map((key) => [key, model.get(key)]));
  const counts = Object.fromEntries(state.lattices.map(([key, , texts]) => [key, texts.map(BigInt)]));
  const set = setter(model);
  const id = uid();
  const root = frame(el, "llvq-so", "Shells of the Leech lattice");
  const end = state.classes.length - 1;
  function go(from, last) {
    const first = Math.min(from, last);
    const steps = [["first", first], ["last", last]];
    if (first > model.get("last")) steps.reverse(); // a listener sees each step: first <= last at all times
    for (const [key, value] of steps) set(key, value);
  }
  const presets = buttonRow(root, state.presets.map(([key, label]) => [key, label]), (key) => {
    go(...state.presets.find(([own]) => own === key).slice(2));
  });
  const from = sliderRow(root, id + "first", "From shell", { min: 0, max: end, step: 1 });
  from.input.addEventListener("input", () => {
    const first = Number(from.input.value);
    go(first, Math.max(first, model.get("last")));
  });
  const to = sliderRow(root, id + "last", "To shell", { min: 2, max: end, step: 1 });
  to.input.addEventListener("input", () => go(model.get("first"), Number(to.input.value)));
  const options = state.lattices.map(([key, label]) => [key, label]);
  const radios = radioRow(root, id + "lattice", "Lattice", options, (value) => set("lattice", value));
  const columns = html("div", { class: "llvq-so-columns" }, root);
  const stage = html("div", { class: "llvq-so-stage" }, columns);
  const side = html("div", { class: "llvq-so-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const title = html("p", {}, side);
  const list = html("ol", {}, side);
  html("p", { class: "llvq-w-note" }, side, "A bead for each bit: a shell with n beads has about 2ⁿ points. Dashed: the likeliest length of a block of 24 Gaussian numbers, when the union has the energy of Shannon's best code words.");
  const table = tableFrame(root, "All shells", ["shell", "radius", "points", "classes", "bits"]);

  function update() {
    const [own, first, last] = ["lattice", "first", "last"].map((key) => model.get(key));
    const found = unionOf(counts[own], first, last);
    from.show(first, first ? String(first) : "the origin");
    to.show(last, String(last));
    radios[own].checked = true;
    for (const [key, , a, b] of state.presets) presets[key].setAttribute("aria-pressed", String(a === first && b === last));
    drawPicture(stage, counts[own], first, last, found);
    status.textContent = describe(first, last, found, counts[own]);
    fillClasses(title, list, state, own, last);
    fillTable(table, state, counts[own], own, first, last);
  }
  return follow(model, ["lattice", "first", "last"], stage, update);
}

export default { render };

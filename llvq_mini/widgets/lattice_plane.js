// Lattices of the plane: drag the basis and see the points, the Voronoi cell, its deep holes, and how round it is.
//
// State (llvq_mini/widgets/lattice_plane.py, which has the formulas):
//   presets   [key, label, [b1, b2]]; reach: coordinates stay within; least_area, shortest: what a basis must have
//   basis     [b1, b2]; point: x; circles: "none", "packing" or "covering"
// The functions up to `allowed` are those of lattice_plane.py. Tests: tests/test_widgets_lattices.py,
// tests/browser/test_widget_lattice_plane.py.

const STEP = 0.05;
const UNIT = 100; // of the picture, for a length of 1
const EDGE = 2.65; // the picture is a square of twice this side

const dot = (p, q) => p[0] * q[0] + p[1] * q[1];
const norm = (p) => dot(p, p);
/** i b + j c. */
const combine = ([b, c], i, j) => [i * b[0] + j * c[0], i * b[1] + j * c[1]];

/** A basis of the same lattice with |b1| <= |b2| and |<b1, b2>| <= |b1|^2 / 2 (Lagrange's algorithm). */
function shortened([b, c]) {
  for (;;) {
    if (norm(c) < norm(b) * (1 - 1e-12)) [b, c] = [c, b];
    const share = dot(b, c) / norm(b);
    if (Math.abs(share) <= 0.5 + 1e-9) return [b, c];
    c = combine([b, c], -Math.floor(share + 0.5), 1);
  }
}

/** The six vectors whose bisectors bound the cell. */
function relevant(basis) {
  const [b, c] = shortened(basis);
  const half = [b, c, combine([b, c], 1, dot(b, c) > 0 ? -1 : 1)];
  return [...half, ...half.map(([x, y]) => [-x, -y])];
}

/** Corners of the Voronoi cell of the origin. */
function cell(basis) {
  const vectors = relevant(basis);
  const side = Math.hypot(...vectors[0]) + Math.hypot(...vectors[1]);
  let corners = [[-side, -side], [side, -side], [side, side], [-side, side]];
  for (const v of vectors) corners = cut(corners, v, norm(v) / 2);
  return corners;
}

/** The lattice point nearest to x. */
function nearest(basis, x) {
  const [b, c] = shortened(basis);
  const volume = b[0] * c[1] - b[1] * c[0];
  const i = Math.floor((x[0] * c[1] - x[1] * c[0]) / volume + 0.5);
  const j = Math.floor((b[0] * x[1] - b[1] * x[0]) / volume + 0.5);
  let best = Infinity;
  let found = x;
  for (let p = i - 1; p <= i + 1; p++) {
    for (let q = j - 1; q <= j + 1; q++) {
      const v = combine([b, c], p, q);
      const square = (x[0] - v[0]) ** 2 + (x[1] - v[1]) ** 2;
      if (square < best - 1e-12) [best, found] = [square, v];
    }
  }
  return found;
}

/** All numbers of a lattice of the plane, from its cell. */
function facts(basis) {
  const corners = cell(basis);
  let [volume, integral] = [0, 0];
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length];
    const area = (ax * by - ay * bx) / 2;
    volume += area;
    integral += (area * (ax * ax + ax * bx + bx * bx + ay * ay + ay * by + by * by)) / 12;
  });
  const norms = relevant(basis).map(norm);
  const least = Math.min(...norms);
  const packing = Math.sqrt(least) / 2;
  const covering = Math.max(...corners.map((corner) => Math.hypot(...corner)));
  return {
    volume,
    packing,
    covering,
    density: (Math.PI * packing ** 2) / volume,
    thickness: (Math.PI * covering ** 2) / volume,
    kissing: norms.filter((one) => one < least * (1 + 1e-6)).length,
    moment: integral / volume ** 2,
    shape: [Math.abs(dot(...shortened(basis))) / least, volume / least],
  };
}

/** Whether the widget takes this basis. */
function allowed(basis, { reach, least_area, shortest }) {
  const [[a, b], [c, d]] = basis;
  const inside = [a, b, c, d].every((v) => Math.abs(v) <= reach + 1e-9);
  return inside && Math.abs(a * d - b * c) >= least_area && Math.hypot(...shortened(basis)[0]) >= shortest;
}

// ---- the picture ----

const trim = (v, digits = 3) => (Math.round(v * 10 ** digits) / 10 ** digits || 0).toString().replace("-", "−");
const fixed = (v, digits) => (Math.abs(v) < 0.5 / 10 ** digits ? 0 : v).toFixed(digits).replace("-", "−");
const pair = ([x, y]) => `(${trim(x)}, ${trim(y)})`;
const outline = (corners, [x, y]) =>
  "M" + corners.map(([u, v]) => `${(UNIT * (x + u)).toFixed(1)} ${(-UNIT * (y + v)).toFixed(1)}`).join("L") + "Z";

/** Lattice points near the picture. */
function pointsIn(basis, edge) {
  const short = shortened(basis);
  const volume = Math.abs(short[0][0] * short[1][1] - short[0][1] * short[1][0]);
  const bound = ([x, y]) => Math.ceil(((Math.abs(x) + Math.abs(y)) * edge) / volume);
  const [rows, columns] = [bound(short[1]), bound(short[0])];
  const found = [];
  for (let i = -rows; i <= rows; i++) {
    for (let j = -columns; j <= columns; j++) {
      const at = combine(short, i, j);
      if (Math.max(Math.abs(at[0]), Math.abs(at[1])) <= edge) found.push(at);
    }
  }
  return found;
}

/** Cells, circles and points; redrawn with the lattice. */
function drawLattice(layer, basis, numbers, circles) {
  layer.replaceChildren();
  const corners = cell(basis);
  const points = pointsIn(basis, EDGE + numbers.covering);
  const cells = points.map((at) => outline(corners, at)).join("");
  svg("path", { d: cells, class: "cell" }, layer);
  svg("path", { d: outline(corners, [0, 0]), class: "home" }, layer);
  if (circles !== "none") {
    const r = UNIT * numbers[circles];
    for (const at of points) svg("circle", { cx: UNIT * at[0], cy: -UNIT * at[1], r, class: circles }, layer);
  }
  for (const at of points) svg("circle", { cx: UNIT * at[0], cy: -UNIT * at[1], r: 4, class: "point" }, layer);
  for (const [x, y] of corners) {
    svg("path", { d: "M0 -7L6.5 5H-6.5Z", transform: `translate(${UNIT * x} ${-UNIT * y})`, class: "hole" }, layer);
  }
}

/** The fixed parts of the picture: layers, arrows and the three handles, which stay while they are dragged. */
function drawStage(stage, reach) {
  const side = UNIT * EDGE;
  const box = `${-side} ${-side} ${2 * side} ${2 * side}`;
  const plot = svg("svg", { viewBox: box, role: "group", "aria-label": "The plane" }, stage);
  const lattice = svg("g", { "aria-hidden": "true" }, plot);
  const own = svg("path", { class: "own" }, plot);
  const error = svg("line", { class: "error" }, plot);
  const chosen = svg("circle", { r: 7, class: "chosen" }, plot);
  const limits = { "aria-valuemin": -reach, "aria-valuemax": reach };
  const handles = ["b1", "b2", "x"].map((key) => {
    const arrow = key === "x" ? null : svg("line", { x1: 0, y1: 0, class: "arrow " + key }, plot);
    const name = { b1: "Basis vector 1", b2: "Basis vector 2", x: "Place x" }[key];
    const handle = svg("g", { class: "handle " + key, tabindex: 0, role: "slider", "aria-label": name, ...limits }, plot);
    svg("circle", { r: 30, class: "touch" }, handle);
    if (key === "x") svg("circle", { r: 9 }, handle);
    else svg("path", { d: "M8 0L-14 -10L-9 0L-14 10Z" }, svg("g", {}, handle));
    const text = svg("text", { "text-anchor": "middle", class: "name " + key, "aria-hidden": "true" }, plot, key === "x" ? "x" : key.replace("1", "₁").replace("2", "₂"));
    return { handle, arrow, text };
  });
  return { plot, lattice, own, error, chosen, handles };
}

/** Put arrows, handles, x and its error where they belong. */
function place(view, basis, x) {
  [...basis, x].forEach(([u, v], n) => {
    const { handle, arrow, text } = view.handles[n];
    const [px, py] = [UNIT * u, -UNIT * v];
    if (arrow) {
      make(arrow, { x2: 0.94 * px, y2: 0.94 * py });
      make(handle.lastChild, { transform: `rotate(${(Math.atan2(py, px) * 180) / Math.PI})` });
    }
    make(handle, { transform: `translate(${px} ${py})`, "aria-valuenow": trim(u).replace("−", "-"), "aria-valuetext": `${trim(u)}, ${trim(v)}` });
    const away = 1 + 20 / Math.max(Math.hypot(px, py), 20);
    make(text, { x: arrow ? px * away : px, y: arrow ? py * away + 5 : py - 16 });
  });
  const p = nearest(basis, x);
  view.own.setAttribute("d", outline(cell(basis), p));
  make(view.error, { x1: UNIT * x[0], y1: -UNIT * x[1], x2: UNIT * p[0], y2: -UNIT * p[1] });
  make(view.chosen, { cx: UNIT * p[0], cy: -UNIT * p[1] });
  return p;
}

// ---- the map of all lattices of the plane ----

const MAP = { scale: 190, left: 34, top: 22, high: 1.75 };

/** Shades the strip by G and returns what puts the dot; the bluer, the rounder. */
function drawMap(parent) {
  const figure = html("div", { class: "llvq-lp-map" }, parent);
  const label = "All lattices of the plane as a strip above the unit circle, from squares at its left corner to hexagons at its right corner.";
  const plot = svg("svg", { viewBox: "0 0 190 215", role: "img", "aria-label": label }, figure);
  const px = (x) => MAP.left + MAP.scale * x;
  const py = (y) => MAP.top + MAP.scale * (MAP.high - y);
  const [steps, low] = [20, 5 / (36 * Math.sqrt(3))];
  for (let i = 0; i < steps; i++) {
    const [from, to] = [(0.5 * i) / steps, (0.5 * (i + 1)) / steps];
    for (let y = MAP.high; y > Math.sqrt(1 - to * to); y -= 0.025) {
      const middle = [(from + to) / 2, Math.max(y - 0.0125, Math.sqrt(1 - ((from + to) / 2) ** 2))];
      const worse = (facts([[1, 0], middle]).moment - low) / 0.02;
      const bottom = [to, from].map((x) => `L${px(x).toFixed(1)} ${py(Math.max(y - 0.025, Math.sqrt(1 - x * x))).toFixed(1)}`);
      const upper = [from, to].map((x) => `${px(x).toFixed(1)} ${py(Math.max(y, Math.sqrt(1 - x * x))).toFixed(1)}`);
      const d = `M${upper.join("L")}${bottom.join("")}Z`;
      svg("path", { d, class: "shade", "fill-opacity": (0.75 * Math.exp(-4 * worse)).toFixed(3) }, plot);
    }
  }
  const arc = `M${px(0)} ${MAP.top}V${py(1)}A${MAP.scale} ${MAP.scale} 0 0 1 ${px(0.5)} ${py(Math.sqrt(0.75)).toFixed(1)}V${MAP.top}`;
  svg("path", { d: arc, class: "rim" }, plot);
  svg("text", { x: px(0) - 4, y: py(1) + 16, "text-anchor": "middle" }, plot, "Z²");
  svg("text", { x: px(0.5) + 8, y: py(0.866) + 18, "text-anchor": "middle" }, plot, "A₂");
  svg("text", { x: px(0.25), y: 12, "text-anchor": "middle", class: "muted" }, plot, "↑ longer and thinner");
  const here = svg("path", { class: "here" }, plot);
  html("p", { class: "llvq-w-note" }, figure, "Every lattice of the plane, up to size, turns and reflections; the bluer, the rounder. The dot is yours.");
  return ([x, y]) => {
    const off = y > MAP.high;
    const at = `translate(${px(x).toFixed(1)} ${(off ? MAP.top + 4 : py(y)).toFixed(1)})`;
    make(here, { transform: at, d: off ? "M0 -9L7 4H-7Z" : "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0Z" });
  };
}

// ---- words and numbers ----

const COLUMNS = ["lattice", "volume", "density", "kissing", "thickness", "G", "dB"];

function fillTable(table, state, basis) {
  const [squares, hexagons] = state.presets.map(([, , vectors]) => vectors);
  const rows = [["▸ yours", basis], ["Z²", squares], ["A₂", hexagons]];
  table.caption.textContent = "Computed from the cells; dB: gain over rounding each number for itself";
  table.body.replaceChildren();
  rows.forEach(([label, vectors], n) => {
    const row = html("tr", n ? {} : { class: "chosen" }, table.body);
    html("th", { scope: "row" }, row, label);
    const found = facts(vectors);
    const gain = -decibel(12 * found.moment);
    const cells = [found.volume, found.density, found.kissing, found.thickness].map((v, i) => (i === 2 ? String(v) : v.toFixed(4)));
    for (const text of [...cells, found.moment.toFixed(5), fixed(gain, 3)]) html("td", {}, row, text);
  });
}

function describe(basis, numbers, x, p) {
  const error = ((x[0] - p[0]) ** 2 + (x[1] - p[1]) ** 2) / 2;
  const mean = numbers.moment * numbers.volume;
  return (
    `x = ${pair(x)} goes to ${pair(p)}: squared error ${error.toFixed(4)} a number; on average ${mean.toFixed(4)}, ` +
    `at a deep hole ${(numbers.covering ** 2 / 2).toFixed(4)}. ρ = ${numbers.packing.toFixed(4)}, R = ${numbers.covering.toFixed(4)}.`
  );
}

/** One step of Lagrange's algorithm and what it did. */
function shortenOnce([b, c]) {
  const [long, short, swapped] = norm(b) > norm(c) ? [b, c, true] : [c, b, false];
  const k = Math.floor(dot(long, short) / norm(short) + 0.5);
  if (Math.abs(dot(long, short)) / norm(short) <= 0.5 + 1e-9) return { basis: [b, c], said: "This basis is already short." };
  const next = combine([short, long], -k, 1);
  const [name, other] = swapped ? ["b₁", "b₂"] : ["b₂", "b₁"];
  const times = Math.abs(k) === 1 ? "" : Math.abs(k) + " ";
  const said = `${name} became ${name} ${k > 0 ? "−" : "+"} ${times}${other}: the same points, the same cell.`;
  return { basis: swapped ? [next, c] : [b, next], said };
}

/** Keys move the focused handle; a press takes the nearest handle, or x if none is near. */
function listen(stage, view, values, move) {
  const toward = (n) => (event) => {
    const box = view.plot.getBoundingClientRect();
    const unit = box.width / (2 * EDGE);
    move(n, [(event.clientX - box.left) / unit - EDGE, EDGE - (event.clientY - box.top) / unit]);
  };
  dragging(stage, (event) => {
    const box = view.plot.getBoundingClientRect();
    const unit = box.width / (2 * EDGE);
    const at = [(event.clientX - box.left) / unit - EDGE, EDGE - (event.clientY - box.top) / unit];
    const away = values().map(([x, y]) => Math.hypot(x - at[0], y - at[1]));
    const closest = away.indexOf(Math.min(...away));
    const n = away[closest] < 0.35 ? closest : 2;
    toward(n)(event);
    view.handles[n].handle.focus({ preventScroll: true });
    return toward(n);
  });
  view.handles.forEach(({ handle }, n) =>
    handle.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      const [dx, dy] = ARROWS[event.key].map((v) => v * (event.shiftKey ? 5 * STEP : STEP));
      const [x, y] = values()[n];
      move(n, [x + dx, y - dy]);
      event.preventDefault();
    }),
  );
}

function render({ model, el }) {
  const keys = ["presets", "reach", "least_area", "shortest"];
  const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
  const set = setter(model);
  const id = uid();
  let said = "";
  const root = frame(el, "llvq-lp", "Lattices of the plane");
  const same = ([a, b], [c, d]) => Math.hypot(a[0] - c[0], a[1] - c[1], b[0] - d[0], b[1] - d[1]) < 1e-9;
  const go = (basis) => set("basis", basis);
  const presets = buttonRow(root, state.presets.map(([key, label]) => [key, label]), (key) => {
    go(state.presets.find(([own]) => own === key)[2]);
  });
  const columns = html("div", { class: "llvq-lp-columns" }, root);
  const stage = html("div", { class: "llvq-lp-plane" }, columns);
  const side = html("div", { class: "llvq-lp-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const options = [["none", "none"], ["packing", "packing, ρ"], ["covering", "covering, R"]];
  const radios = radioRow(side, id + "circles", "Circles", options, (value) => set("circles", value));
  buttonRow(side, [["shorten", "Shorten the basis"]], () => {
    const step = shortenOnce(model.get("basis"));
    said = step.said + " ";
    go(step.basis.map((vector) => [...vector]));
  });
  const dotAt = drawMap(side);
  const table = tableFrame(root, "Numbers of the lattice", COLUMNS);
  html("p", { class: "llvq-w-note" }, root, "Drag the tips of the two arrows, or x; on the keyboard, Tab chooses one and arrow keys move it (Shift: larger steps). Triangles: the deep holes.");
  const view = drawStage(stage, state.reach);

  function update() {
    const [basis, x, circles] = ["basis", "point", "circles"].map((name) => model.get(name));
    const numbers = facts(basis);
    drawLattice(view.lattice, basis, numbers, circles);
    const p = place(view, basis, x);
    for (const [key, , vectors] of state.presets) presets[key].setAttribute("aria-pressed", String(same(basis, vectors)));
    radios[circles].checked = true;
    status.textContent = said + describe(basis, numbers, x, p);
    said = "";
    dotAt(numbers.shape);
    fillTable(table, state, basis);
  }
  listen(stage, view, () => [...model.get("basis"), model.get("point")], (n, at) => {
    const value = at.map((v) => Math.round(clamp(v, -state.reach, state.reach) * 1000) / 1000);
    if (n === 2) return set("point", value);
    const basis = model.get("basis").map((vector, k) => (k === n ? value : vector));
    if (allowed(basis, state)) return go(basis);
    status.textContent = "Not so: the two arrows would become too short or nearly parallel.";
  });
  return follow(model, ["basis", "point", "circles"], stage, update);
}

export default { render };

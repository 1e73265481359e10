// Codes of the plane with one point on each unit of area: drag a point and see its cell, its nearest point and the error.
//
// State (llvq_mini/widgets/plane_codes.py makes it and explains the codes):
//   codes      {key, label, period, offsets, handicap (null: infinite), moment}; "trellis" gets its handicaps here
//   coset      coset of the window 2 state + u of the trellis; neighbors: numbers before and behind the pair
//   limit      least mean error of any code in any dimension, 1 / (2 pi e)
//   code, point, seed (of the neighbors), drops (random points whose mean error is shown)
// The functions up to `cell` are those of plane_codes.py, to the last bit but for rounding.
// Tests: tests/browser/test_widget_plane_codes.py.

const REACH = 2; // the window is -2 ... 2
const STEP = 0.05;

/** Uniform numbers in 0 ... 1 from 32 bits of seed (T. Ettinger's mulberry32). */
function randomNumbers(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Squared distance of a number to the coset {2 k + coset / 2}. */
function distance(x, coset) {
  const t = x - coset / 2;
  return (t - 2 * Math.floor(t / 2 + 0.5)) ** 2;
}

/** Costs of the four states before and behind the pair, for numbers around it (Viterbi's algorithm). */
function stateCosts(coset, around) {
  const half = around.length / 2;
  let before = [0, 0, 0, 0];
  for (const x of around.slice(0, half)) {
    const cost = coset.map((c, w) => before[w >> 1] + distance(x, c));
    before = before.map((_, state) => Math.min(cost[state], cost[state + 4]));
  }
  let after = [0, 0, 0, 0];
  for (const x of around.slice(half).reverse()) {
    const cost = coset.map((c, w) => after[w & 3] + distance(x, c));
    after = after.map((_, state) => Math.min(cost[2 * state], cost[2 * state + 1]));
  }
  return { before, after };
}

/** Handicaps of the 16 classes (c1, c2) of a pair, c2 fastest, least 0, and the windows on the way to each. */
function classHandicaps(coset, { before, after }) {
  const handicap = Array(16).fill(Infinity);
  const windows = Array(16).fill(null);
  for (let first = 0; first < 8; first++) {
    for (const u of [0, 1]) {
      const second = 2 * (first & 3) + u;
      const k = 4 * coset[first] + coset[second];
      const cost = before[first >> 1] + after[second & 3];
      if (cost < handicap[k]) [handicap[k], windows[k]] = [cost, [first, second]];
    }
  }
  const least = Math.min(...handicap);
  return { handicap: handicap.map((w) => w - least), windows };
}

const drawAround = (draw, count) => Array.from({ length: 2 * count }, () => 2 * draw() - 1);

/** The code of the plane and, for the trellis, the windows of its classes. */
function codeOf(state, key, seed) {
  const record = state.codes.find((one) => one.key === key);
  const code = { ...record, handicap: record.handicap.map((w) => (w === null ? Infinity : w)) };
  if (key === "Z2" || key === "A2") return code;
  const costs =
    key === "pair"
      ? { before: [0, Infinity, Infinity, Infinity], after: [0, 0, 0, 0] }
      : stateCosts(state.coset, drawAround(randomNumbers(seed), state.neighbors));
  return { ...code, ...classHandicaps(state.coset, costs) };
}

/** The chosen point: {point, error: |x - p|^2 / 2, k: index of its offset}. */
function nearest(code, x) {
  let best = Infinity;
  let found = null;
  code.offsets.forEach(([a, b], k) => {
    const p = a + code.period[0] * Math.floor((x[0] - a) / code.period[0] + 0.5);
    const q = b + code.period[1] * Math.floor((x[1] - b) / code.period[1] + 0.5);
    const square = (x[0] - p) ** 2 + (x[1] - q) ** 2;
    if (square + code.handicap[k] < best - 1e-12) {
      best = square + code.handicap[k];
      found = { point: [p, q], error: square / 2, k };
    }
  });
  return found;
}

/** Corners of the cell of offsets[k] relative to that point; [] if another point is always better. */
function cell(code, k) {
  let corners = [[-2, -2], [2, -2], [2, 2], [-2, 2]];
  if (code.handicap[k] === Infinity) return [];
  const reach = code.period.map((side) => Math.ceil(2 / side));
  code.offsets.forEach((offset, other) => {
    if (code.handicap[other] === Infinity) return;
    for (let i = -reach[0]; i <= reach[0]; i++) {
      for (let j = -reach[1]; j <= reach[1]; j++) {
        const q = [0, 1].map((n) => offset[n] - code.offsets[k][n] + (n ? j : i) * code.period[n]);
        if (Math.hypot(...q) < 1e-9) continue;
        corners = cut(corners, q, (q[0] ** 2 + q[1] ** 2 + code.handicap[other] - code.handicap[k]) / 2);
      }
    }
  });
  return corners;
}

/** Mean error of random points, going on from where the last call stopped. */
function dropper(state) {
  let run = null;
  return (key, drops) => {
    if (!run || run.key !== key || run.n > drops) {
      run = { key, n: 0, sum: 0, squares: 0, draw: randomNumbers(0), code: codeOf(state, key, 1) };
      run.size = run.code.period.map((side) => Math.floor(4 / side) * side);
    }
    for (; run.n < drops; run.n++) {
      const x = run.size.map((side) => side * (run.draw() - 0.5));
      if (key === "trellis") {
        const costs = stateCosts(state.coset, drawAround(run.draw, state.neighbors));
        run.code = { ...run.code, ...classHandicaps(state.coset, costs) };
      }
      const { error } = nearest(run.code, x);
      run.sum += error;
      run.squares += error * error;
    }
    const mean = run.sum / drops;
    return { mean, stderr: Math.sqrt(Math.max(run.squares / drops - mean * mean, 0) / drops) };
  };
}

const NOTES = {
  Z2: "Each number is rounded for itself.",
  A2: "Every other row is shifted by half a step, so the cells come nearer to disks. No lattice of the plane does better.",
  pair:
    "From state 0 the cosets D0 and D2 are open to the first number; which two are open to the second depends on the " +
    "first. For two numbers alone that gives a lattice, not quite as good as A₂.",
  trellis:
    "Every state may come before, so there are four times as many points, each with a handicap: what it costs the " +
    "numbers before and behind. Points with a large handicap have a small cell, or (hollow) none.",
};

const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) < 1e-9;
const coordinate = (v) => (Math.round(v * 1000) / 1000 || 0).toString().replace("-", "−");
const pair = ([x, y]) => `(${coordinate(x)}, ${coordinate(y)})`;

/** All points of the code in the window with their cells: [{at, corners}, ...]; corners is [] for a point never chosen. */
function tiling(code) {
  const found = [];
  code.offsets.forEach((offset, k) => {
    if (code.handicap[k] === Infinity) return;
    const corners = cell(code, k);
    for (let i = -3; i <= 3; i++) {
      for (let j = -3; j <= 3; j++) {
        const at = [offset[0] + i * code.period[0], offset[1] + j * code.period[1]];
        if (Math.max(Math.abs(at[0]), Math.abs(at[1])) < REACH + 0.9) found.push({ at, corners });
      }
    }
  });
  return found;
}

/** The window; returns the scale and the handle, which stays the same node while it is dragged. */
function drawPlane(stage, cells) {
  stage.replaceChildren();
  const plot = svg("svg", { viewBox: "-212 -212 424 424", role: "group", "aria-label": "The plane of the two numbers" }, stage);
  const back = svg("g", { "aria-hidden": "true" }, plot);
  const view = svg("svg", { x: -200, y: -200, width: 400, height: 400, viewBox: "-200 -200 400 400" }, back);
  const own = svg("path", { class: "own" }, view);
  const path = ({ at, corners }) =>
    "M" + corners.map(([x, y]) => `${(100 * (at[0] + x)).toFixed(1)} ${(-100 * (at[1] + y)).toFixed(1)}`).join("L") + "Z";
  for (const one of cells) if (one.corners.length) svg("path", { d: path(one), class: "cell" }, view);
  for (const { at, corners } of cells) {
    const look = corners.length ? { r: 4, class: "point" } : { r: 2.5, class: "point never" };
    svg("circle", { cx: 100 * at[0], cy: -100 * at[1], ...look }, view);
  }
  const error = svg("line", { class: "error" }, view);
  const chosen = svg("circle", { r: 7, class: "chosen" }, view);
  const limits = { "aria-valuemin": -REACH, "aria-valuemax": REACH };
  const handle = svg("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": "Point", ...limits }, plot);
  svg("circle", { r: 26, class: "touch" }, handle);
  svg("circle", { r: 9 }, handle);
  function place(x, found) {
    const mine = cells.find(({ at }) => near(at, found.point));
    own.setAttribute("d", mine ? path(mine) : "");
    const [ax, ay, bx, by] = [...x, ...found.point].map((v) => 100 * v);
    make(error, { x1: ax, y1: -ay, x2: bx, y2: -by });
    make(chosen, { cx: bx, cy: -by });
    make(handle, { transform: `translate(${ax} ${-ay})`, "aria-valuenow": x[0], "aria-valuetext": `x ${coordinate(x[0])}, y ${coordinate(x[1])}` });
  }
  return { plot, handle, place };
}

/** The trellis around the pair: states before, between and behind, the 16 steps, and the path of the chosen point. */
function drawTrellis(stage, coset, windows) {
  stage.replaceChildren();
  if (!windows) return;
  const [first, second] = windows;
  const states = [first >> 1, first & 3, second & 3];
  const label = `States ${states.join(", ")}; cosets D${coset[first]} and D${coset[second]}.`;
  const plot = svg("svg", { viewBox: "0 0 260 152", role: "img", "aria-label": "Path through the trellis. " + label }, stage);
  const at = (time, state) => [22 + 105 * time, 32 + 32 * state];
  for (const time of [0, 1]) {
    svg("text", { x: 75 + 105 * time, y: 12, "text-anchor": "middle" }, plot, time ? "second number" : "first number");
    for (let w = 0; w < 8; w++) {
      const [[x1, y1], [x2, y2]] = [at(time, w >> 1), at(time + 1, w & 3)];
      const taken = w === windows[time];
      svg("line", { x1, y1, x2, y2, class: taken ? "taken" : "step" }, plot);
    }
    const [[x1, y1], [x2, y2]] = [at(time, states[time]), at(time + 1, states[time + 1])];
    const text = svg("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 5, "text-anchor": "middle", class: "coset" }, plot);
    text.textContent = "D" + coset[windows[time]];
  }
  for (let time = 0; time < 3; time++) {
    for (let state = 0; state < 4; state++) {
      const [cx, cy] = at(time, state);
      svg("circle", { cx, cy, r: 9, class: states[time] === state ? "node taken" : "node" }, plot);
      svg("text", { x: cx, y: cy + 4, "text-anchor": "middle", class: states[time] === state ? "in" : "" }, plot, String(state));
    }
  }
}

function fillTable(table, state, key, drops, running) {
  table.caption.textContent = "Mean squared error a number, at equal bits; inside a sequence measured, otherwise exact";
  table.body.replaceChildren();
  const gain = (moment) => Math.abs(decibel(12 * moment)).toFixed(2); // none is worse than Z2
  const rows = [...state.codes.map((code) => [code.key, code.label, code.moment]), ["", "limit of all codes", state.limit]];
  for (const [own, label, moment] of rows) {
    const row = html("tr", own === key ? { class: "chosen" } : {}, table.body);
    html("th", { scope: "row" }, row, (own === key ? "▸ " : "") + label);
    const mine = own === key && drops ? `${running.mean.toFixed(5)} ± ${running.stderr.toFixed(5)}` : "";
    for (const text of [moment.toFixed(5), gain(moment), mine]) html("td", {}, row, text);
  }
}

/** Dragging and arrow keys; `move` gets the new point. */
function listen(stage, view, point, move) {
  const toward = (event) => {
    const box = view.drawn.plot.getBoundingClientRect();
    const unit = box.width / 4.24;
    move([(event.clientX - box.left) / unit - 2.12, 2.12 - (event.clientY - box.top) / unit]);
  };
  dragging(stage, (event) => {
    toward(event);
    view.drawn.handle.focus({ preventScroll: true });
    return toward;
  });
  stage.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in steps)) return;
    const size = event.shiftKey ? 10 * STEP : STEP;
    move(point().map((v, n) => v + size * steps[event.key][n]));
    event.preventDefault();
  });
}

function render({ model, el }) {
  const keys = ["codes", "coset", "neighbors", "limit"];
  const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
  const set = setter(model);
  const id = uid();
  const mean = dropper(state);
  const root = frame(el, "llvq-pc", "Codes of the plane");
  const options = state.codes.map(({ key, label }) => [key, label]);
  const box = html("div", { class: "llvq-w-controls" }, root);
  const radios = radioRow(box, id + "code", "Code", options, (value) => set("code", value));
  const columns = html("div", { class: "llvq-pc-columns" }, root);
  const stage = html("div", { class: "llvq-pc-plane" }, columns);
  const side = html("div", { class: "llvq-pc-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const trellis = html("div", { class: "llvq-pc-trellis" }, side);
  const other = html("button", { type: "button" }, side, "Other neighbors");
  const note = html("p", { class: "llvq-w-note" }, side);
  const buttons = html("div", { class: "llvq-pc-buttons" }, side);
  const drop = html("button", { type: "button" }, buttons, "Drop 200 random points");
  const clear = html("button", { type: "button" }, buttons, "Clear");
  const table = tableFrame(root, "Mean errors", ["code", "mean", "gain dB", "your random points"]);
  const view = { drawn: null, made: null, code: null };

  function update() {
    const [key, x, seed, drops] = ["code", "point", "seed", "drops"].map((name) => model.get(name));
    if (view.made !== key + seed) {
      const focused = stage.contains(document.activeElement);
      view.made = key + seed;
      view.code = codeOf(state, key, seed);
      view.drawn = drawPlane(stage, tiling(view.code));
      if (focused) view.drawn.handle.focus();
    }
    const found = nearest(view.code, x);
    view.drawn.place(x, found);
    radios[key].checked = true;
    drawTrellis(trellis, state.coset, view.code.windows && view.code.windows[found.k]);
    note.textContent = `${NOTES[key]} Drag the point, or move it with the arrow keys (Shift: larger steps).`;
    other.hidden = key !== "trellis";
    status.textContent = `${pair(x)} goes to ${pair(found.point)}: squared error ${found.error.toFixed(4)} a number.`;
    fillTable(table, state, key, drops, drops ? mean(key, drops) : null);
  }
  listen(stage, view, () => model.get("point"), (x) => {
    set("point", x.map((v) => Math.round(clamp(v, -REACH, REACH) * 1000) / 1000));
  });
  other.addEventListener("click", () => set("seed", model.get("seed") + 1));
  drop.addEventListener("click", () => set("drops", model.get("drops") + 200));
  clear.addEventListener("click", () => set("drops", 0));
  return follow(model, ["code", "point", "seed", "drops"], stage, update);
}

export default { render };

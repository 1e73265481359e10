// Lattices of space on one path: a cube on its corner, stretched along its upright diagonal, and the cell to turn.
//
// State (llvq_mini/widgets/lattice_space.py, which has the formulas):
//   named   [key, label, step, solid]; steps: from one named lattice to the next; last: end of the slider
//   step    stretch 2^(step / steps); view: "cell", "cells" or "balls"; apart: percent; turn: [yaw, pitch], degrees
//   light   where the light comes from: right, up, toward the reader
// The functions up to `facts` are those of lattice_space.py. Tests: tests/test_widgets_lattices.py,
// tests/browser/test_widget_lattice_space.py.

const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
const plus = (p, q) => p.map((v, i) => v + q[i]);
const times = (k, p) => p.map((v) => k * v);
const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
const PAIRS = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]];
const rounded = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;

/** Three vectors of volume 1 at stretch s. */
function basisOf(s) {
  const size = s ** (-1 / 3);
  return [0, 1, 2].map((k) => {
    const angle = (2 * Math.PI * k) / 3;
    const flat = size * Math.sqrt(2 / 3);
    return [flat * Math.cos(angle), flat * Math.sin(angle), (size * s) / Math.sqrt(3)];
  });
}

/** Four vectors of sum 0 that generate the same lattice, no two at an acute angle (Selling's algorithm). */
function superbase(basis) {
  let v = [...basis, times(-1, plus(plus(basis[0], basis[1]), basis[2]))];
  for (;;) {
    const acute = PAIRS.find(([i, j]) => dot(v[i], v[j]) > 1e-9);
    if (!acute) return v;
    const [i, j] = acute;
    v = v.map((w, k) => (k === i ? times(-1, w) : k === j ? w : plus(w, v[i])));
  }
}

/** The fourteen vectors whose bisectors bound the cell, those of least norm first. */
function relevant(basis) {
  const v = superbase(basis);
  const found = [...v, ...v.map((w) => times(-1, w)), ...PAIRS.map(([i, j]) => plus(v[i], v[j]))];
  const key = (w) => rounded(dot(w, w), 9);
  return found.sort((a, b) => key(a) - key(b));
}

/** Faces of the Voronoi cell of the origin: {vector, corners counterclockwise from outside, group: by length}. */
function faces(basis) {
  const around = relevant(basis);
  const side = basis.reduce((sum, w) => sum + Math.sqrt(dot(w, w)), 0);
  const lengths = [];
  const found = [];
  for (const v of around) {
    const normal = times(1 / Math.sqrt(dot(v, v)), v);
    let across = cross(normal, Math.abs(normal[0]) < 0.6 ? [1, 0, 0] : [0, 1, 0]);
    across = times(1 / Math.sqrt(dot(across, across)), across);
    const up = cross(normal, across);
    let polygon = [[-side, -side], [side, -side], [side, side], [-side, side]];
    for (const w of around) {
      if (w !== v) polygon = cut(polygon, [dot(w, across), dot(w, up)], (dot(w, w) - dot(w, v)) / 2);
    }
    const corners = polygon
      .map(([a, b]) => plus(times(0.5, v), plus(times(a, across), times(b, up))))
      .filter((p, i, all) => Math.hypot(...plus(p, times(-1, all[(i || all.length) - 1]))) > 1e-7);
    if (corners.length < 3) continue;
    const length = rounded(dot(v, v), 6);
    if (!lengths.includes(length)) lengths.push(length);
    found.push({ vector: v, corners, group: lengths.indexOf(length) });
  }
  return found;
}

/** All numbers of a lattice of space, from its cell. */
function facts(basis) {
  const found = faces(basis);
  let [volume, integral] = [0, 0];
  for (const { corners } of found) {
    for (let i = 1; i + 1 < corners.length; i++) {
      const [a, b, c] = [corners[0], corners[i], corners[i + 1]];
      const part = dot(a, cross(b, c)) / 6;
      const total = plus(a, plus(b, c));
      volume += part;
      integral += (part * (dot(a, a) + dot(b, b) + dot(c, c) + dot(total, total))) / 20;
    }
  }
  const norms = relevant(basis).map((v) => dot(v, v));
  const packing = Math.sqrt(norms[0]) / 2;
  const covering = Math.max(...found.flatMap(({ corners }) => corners.map((p) => Math.sqrt(dot(p, p)))));
  const ball = (4 * Math.PI) / 3 / volume;
  return {
    faces: found.length,
    volume,
    packing,
    covering,
    density: ball * packing ** 3,
    thickness: ball * covering ** 3,
    kissing: norms.filter((norm) => norm < norms[0] * (1 + 1e-6)).length,
    moment: integral / (3 * volume ** (5 / 3)),
  };
}

// ---- the picture ----

const SIZE = 200; // the picture is a square of twice this side

/** Where the reader stands: right, up and toward, for yaw and pitch in degrees. */
function camera([yaw, pitch]) {
  const [a, b] = [(yaw * Math.PI) / 180, (pitch * Math.PI) / 180];
  const right = [Math.cos(a), Math.sin(a), 0];
  const toward = [Math.sin(a) * Math.cos(b), -Math.cos(a) * Math.cos(b), Math.sin(b)];
  return { right, toward, up: cross(toward, right) };
}

/** From space to the picture, `reach` being half its side. */
function projector(eye, reach) {
  const scale = SIZE / reach;
  const at = (p) => [scale * dot(p, eye.right), -scale * dot(p, eye.up)];
  const path = (corners) => "M" + corners.map((p) => at(p).map((v) => v.toFixed(1)).join(" ")).join("L") + "Z";
  return { scale, at, path };
}

/** The cell moved by `shift`: the faces that one sees, shaded; with `back`, the others as dashes. */
function drawCell(parent, solid, eye, light, view, shift, back) {
  const moved = (corners) => view.path(corners.map((p) => plus(p, shift)));
  const front = solid.filter(({ vector }) => dot(vector, eye.toward) > 1e-9);
  if (back) {
    const hidden = solid.filter((face) => !front.includes(face)).map(({ corners }) => moved(corners));
    svg("path", { d: hidden.join(""), class: "back" }, parent);
  }
  for (const { vector, corners, group } of front) {
    const toLight = light[0] * dot(vector, eye.right) + light[1] * dot(vector, eye.up) + light[2] * dot(vector, eye.toward);
    const lit = Math.max(0, toLight) / Math.sqrt(dot(vector, vector));
    svg("path", { d: moved(corners), class: `face f${group % 6}`, style: `--lit: ${(100 * lit).toFixed(0)}%` }, parent);
  }
}

/** A ball's shading, for a color of its own. */
function gradient(parent, id, css) {
  const shade = svg("radialGradient", { id, class: css, cx: 0.36, cy: 0.3, r: 0.75 }, svg("defs", {}, parent));
  for (const [offset, look] of [[0, "bright"], [0.45, "plain"], [1, "dim"]]) svg("stop", { offset, class: look }, shade);
}

/** Things in space from the farthest to the nearest: for cells and equal balls of a lattice the order of the centers is right. */
function byDepth(solid, eye) {
  const things = [{ vector: [0, 0, 0], group: -1 }, ...solid];
  return things.map((thing) => ({ ...thing, depth: dot(thing.vector, eye.toward) })).sort((a, b) => a.depth - b.depth);
}

function drawView(plot, id, solid, numbers, { view, turn, apart, light }) {
  const eye = camera(turn);
  const layer = svg("g", { "aria-hidden": "true" });
  const reach = { cell: 1.35, balls: 1.85, cells: 1.75 + (1.2 * apart) / 100 }[view];
  const picture = projector(eye, reach);
  const least = 4 * numbers.packing ** 2;
  if (view === "balls") {
    ["f1", "f0", "gray"].forEach((css, k) => gradient(layer, `${id}shade${k}`, css));
  }
  for (const { vector, group, depth } of byDepth(solid, eye)) {
    const home = group < 0;
    const touching = dot(vector, vector) < least * (1 + 1e-6);
    const [cx, cy] = picture.at(vector).map((v) => v.toFixed(1));
    if (view === "balls") {
      const fill = `url(#${id}shade${home ? 0 : touching ? 1 : 2})`;
      svg("circle", { cx, cy, r: (picture.scale * numbers.packing).toFixed(1), class: "ball", fill }, layer);
    } else if (view === "cells") {
      const css = home ? "home" : depth > 0.3 ? "near" : "neighbor";
      drawCell(svg("g", { class: css }, layer), solid, eye, light, picture, times(apart / 100 + 1, vector), false);
    } else if (home) {
      drawCell(layer, solid, eye, light, picture, vector, true);
    } else {
      const [x1, y1] = picture.at(times(0.5, vector));
      svg("line", { x1, y1, x2: cx, y2: cy, class: "spoke" }, layer);
      svg("circle", { cx, cy, r: (4.4 + depth).toFixed(2), class: `point f${group % 6}` }, layer);
    }
  }
  plot.replaceChildren(layer);
  const [yaw, pitch] = turn;
  make(plot, { "aria-valuenow": yaw, "aria-valuetext": `turned ${yaw}°, seen from ${Math.abs(pitch)}° ${pitch < 0 ? "below" : "above"}` });
}

// ---- the two curves ----

const CHART = { width: 380, height: 230, left: 12, right: 12, top: 34, bottom: 22 };

/** Density and G along the path; returns what marks the present step. */
function drawChart(parent, { named, steps, last }) {
  const box = html("div", { class: "llvq-ls-chart" }, parent);
  const label = "Along the path: density is largest at D3, G is least at its dual, and the cubes, between the two, are worse in both.";
  const plot = svg("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", "aria-label": label }, box);
  const x = (step) => CHART.left + ((step + last) / (2 * last)) * (CHART.width - CHART.left - CHART.right);
  const middle = (CHART.top + CHART.height - CHART.bottom) / 2;
  const scales = [
    { key: "density", text: "packing density", css: "f0", low: 0.34, high: 0.76, y0: middle - 8, y1: CHART.top },
    { key: "moment", text: "second moment G", css: "f1 dash", low: 0.078, high: 0.0838, y0: CHART.height - CHART.bottom, y1: middle + 22 },
  ];
  for (const [, name, step] of named) {
    svg("line", { x1: x(step), x2: x(step), y1: CHART.top - 4, y2: CHART.height - CHART.bottom, class: "post" }, plot);
    svg("text", { x: x(step), y: CHART.height - 6, "text-anchor": "middle" }, plot, name.split(":")[0]);
  }
  const samples = Array.from({ length: last + 1 }, (_, n) => 2 * n - last);
  const values = samples.map((step) => facts(basisOf(2 ** (step / steps))));
  const now = svg("line", { y1: CHART.top - 4, y2: CHART.height - CHART.bottom, class: "now" }, plot);
  const marks = scales.map(({ key, text, css, low, high, y0, y1 }) => {
    const y = (value) => y0 + ((value - low) / (high - low)) * (y1 - y0);
    const points = samples.map((step, n) => `${x(step).toFixed(1)} ${y(values[n][key]).toFixed(1)}`);
    svg("path", { d: "M" + points.join("L"), class: "curve " + css }, plot);
    const mark = svg("circle", { r: 5, class: "dot " + css.slice(0, 2) }, plot);
    const title = svg("text", { x: CHART.left, y: y1 - 10, class: "name " + css.slice(0, 2) }, plot);
    return (step, numbers) => {
      make(mark, { cx: x(step), cy: y(numbers[key]) });
      title.textContent = `${text} ${numbers[key].toFixed(key === "moment" ? 5 : 4)}`;
    };
  });
  return (step, numbers) => {
    make(now, { x1: x(step), x2: x(step) });
    for (const mark of marks) mark(step, numbers);
  };
}

// ---- words and numbers ----

function fillTable(table, state, step) {
  table.caption.textContent = "Volume 1, computed from the cells; dB: gain over rounding each number for itself";
  table.body.replaceChildren();
  const rows = state.named.map(([, label, at]) => [label.split(":")[0], at]);
  if (!rows.some(([, at]) => at === step)) rows.push(["yours", step]);
  for (const [label, at] of rows) {
    const row = html("tr", at === step ? { class: "chosen" } : {}, table.body);
    html("th", { scope: "row" }, row, (at === step ? "▸ " : "") + label);
    const found = facts(basisOf(2 ** (at / state.steps)));
    const gain = Math.abs(decibel(12 * found.moment)).toFixed(3); // none of the path is worse than the cubes
    const cells = [found.faces, found.density.toFixed(4), found.kissing, found.thickness.toFixed(4), found.moment.toFixed(5), gain];
    for (const text of cells) html("td", {}, row, String(text));
  }
}

function describe(state, step, numbers) {
  const own = state.named.find(([, , at]) => at === step);
  const name = own ? `${own[1].split(":")[0]}: a ${own[3]} with` : "Between the named lattices: a cell with";
  return `${name} ${numbers.faces} faces and ${numbers.kissing} nearest neighbors. Density ${numbers.density.toFixed(4)}, covering radius ${numbers.covering.toFixed(4)}, G = ${numbers.moment.toFixed(5)}.`;
}

/** The solid turns with the pointer, and with arrow keys while it has the focus. */
function listen(plot, stage, turn, set) {
  const go = ([yaw, pitch]) => set([((((yaw + 180) % 360) + 360) % 360) - 180, clamp(pitch, -90, 90)]);
  dragging(stage, (event) => {
    const [from, x, y] = [turn(), event.clientX, event.clientY];
    plot.focus({ preventScroll: true });
    return (now) => go([Math.round(from[0] - (now.clientX - x) / 2), Math.round(from[1] + (now.clientY - y) / 2)]);
  });
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    const [dx, dy] = ARROWS[event.key].map((v) => v * (event.shiftKey ? 15 : 5));
    const [yaw, pitch] = turn();
    go([yaw - dx, pitch + dy]);
    event.preventDefault();
  });
}

function render({ model, el }) {
  const state = Object.fromEntries(["named", "steps", "last", "light"].map((key) => [key, model.get(key)]));
  const set = setter(model);
  const id = uid();
  const root = frame(el, "llvq-ls", "Lattices of space");
  const presets = buttonRow(root, state.named.map(([key, label]) => [key, label]), (key) => {
    set("step", state.named.find(([own]) => own === key)[2]);
  });
  const stretch = sliderRow(root, id + "step", "Stretch", { min: -state.last, max: state.last, step: 1 });
  stretch.input.addEventListener("input", () => set("step", Number(stretch.input.value)));
  const columns = html("div", { class: "llvq-ls-columns" }, root);
  const stage = html("div", { class: "llvq-ls-stage" }, columns);
  const limits = { "aria-valuemin": -180, "aria-valuemax": 180, "aria-label": "View of the lattice" };
  const plot = svg("svg", { viewBox: `${-SIZE} ${-SIZE} ${2 * SIZE} ${2 * SIZE}`, role: "slider", tabindex: 0, ...limits }, stage);
  const side = html("div", { class: "llvq-ls-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const options = [["cell", "one cell"], ["cells", "with its neighbors"], ["balls", "balls"]];
  const radios = radioRow(side, id + "view", "Show", options, (value) => set("view", value));
  const pull = html("div", {}, side);
  const apart = sliderRow(pull, id + "apart", "Pull apart", { min: 0, max: 100, step: 5 });
  apart.input.addEventListener("input", () => set("apart", Number(apart.input.value)));
  const mark = drawChart(side, state);
  const table = tableFrame(root, "Numbers of the lattices", ["lattice", "faces", "density", "kissing", "thickness", "G", "dB"]);
  html("p", { class: "llvq-w-note" }, root, "Drag the solid to turn it, or focus it and use the arrow keys (Shift: larger steps). Faces of one color belong to neighbors at one distance.");

  function update() {
    const now = Object.fromEntries(["step", "view", "turn", "apart"].map((key) => [key, model.get(key)]));
    const basis = basisOf(2 ** (now.step / state.steps));
    const numbers = facts(basis);
    drawView(plot, id, faces(basis), numbers, { ...now, light: state.light });
    stretch.show(now.step, "× " + (2 ** (now.step / state.steps)).toFixed(2));
    apart.show(now.apart, now.apart + " %");
    pull.hidden = now.view !== "cells";
    radios[now.view].checked = true;
    for (const [key, , at] of state.named) presets[key].setAttribute("aria-pressed", String(at === now.step));
    status.textContent = describe(state, now.step, numbers);
    mark(now.step, numbers);
    fillTable(table, state, now.step);
  }
  listen(plot, stage, () => model.get("turn"), (turn) => set("turn", turn));
  return follow(model, ["step", "view", "turn", "apart"], stage, update);
}

export default { render };

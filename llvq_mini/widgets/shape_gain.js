// Shape and gain at a fixed budget: the reader divides the bits of a 24-dimensional block between direction and length.
//
// State (llvq_mini/widgets/shape_gain.py computes it; formulas there):
//   square, angle    m^2 and half-angle (degrees) of a cap of measure 2^-s, by s
//   levels, energy   the 2^g best lengths, ascending, and E[g^2] / 24, by g
//   measured         {name, bits, gain_bits, mse, stderr} of the shape-gain codes; slack: bits that one may leave unused
//   totals           [least, largest] budget; total, gain_bits: where the sliders stand
// Error per number: direction 1 - m^2, length m^2 (1 - E[g^2] / 24).
// Tests: tests/browser/test_widget_shape_gain.py.

const DIM = 24;
const DIAMOND = "M0 -6L6 0L0 6L-6 0Z";
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function parts(state, total, gain) {
  const square = state.square[total - gain];
  return { direction: 1 - square, length: square * (1 - state.energy[gain]), bound: 1 - square * state.energy[gain] };
}

/** The measured code of so many gain bits that uses most of the budget, or null. */
function codeAt(state, total, gain) {
  const fits = state.measured.filter(
    (code) => code.gain_bits === gain && code.bits <= total && code.bits >= total - state.slack,
  );
  return fits.reduce((a, b) => (a && a.bits >= b.bits ? a : b), null);
}

/** All splits of a budget: [{gain, direction, length, bound, angle, code}, ...]. */
function splits(state, total) {
  return state.energy.map((_, gain) => ({
    gain,
    ...parts(state, total, gain),
    angle: state.angle[total - gain],
    code: codeAt(state, total, gain),
  }));
}

const TYPICAL = Math.sqrt(DIM - 1); // the likeliest length
const LONGEST = 7.2; // beyond it lies less than one block in a million; the picture ends there

/** Polar coordinates about the origin of the picture, in units of its scale, to pixels. */
function polar(width, middle) {
  const x0 = 14;
  const scale = (width - x0 - 12) / LONGEST;
  const at = (r, angle) => [x0 + r * scale * Math.cos(angle), middle + r * scale * Math.sin(angle)];
  const text = (r, angle) => at(r, angle).map((v) => v.toFixed(1)).join(" ");
  const bow = (r, to, sweep) => `A${(r * scale).toFixed(1)} ${(r * scale).toFixed(1)} 0 0 ${sweep} ${text(r, to)}`;
  return {
    x: (r) => x0 + r * scale,
    at,
    arc: (r, half) => `M${text(r, -half)}${bow(r, half, 1)}`,
    ring: (a, b, half) => `M${text(a, -half)}${bow(a, half, 1)}L${text(b, half)}${bow(b, -half, 0)}Z`,
  };
}

/** A plane through the origin: arcs are the lengths, spokes the directions, their crossings the points of the code. */
function drawCells(plot, levels, edges, angle, width, height) {
  const middle = (height - 96) / 2;
  const p = polar(width, middle);
  const open = Math.asin(Math.min(0.95, (middle - 6) / (p.x(LONGEST) - p.x(0))));
  const theta = (angle * Math.PI) / 180;
  const bounds = [0, ...edges, LONGEST];
  const own = bounds.findLastIndex((edge) => edge <= TYPICAL);
  svg("path", { d: p.ring(bounds[own], bounds[own + 1], Math.min(theta, open)), class: "own" }, plot);
  const spokes = [0];
  for (let k = 1; (k - 1) * theta <= open; k++) {
    for (const side of [k * theta, -k * theta]) {
      const [x2, y2] = p.at(LONGEST, side);
      if (k % 2 && k * theta <= open) svg("line", { x1: p.x(0), y1: middle, x2, y2, class: "edge" }, plot);
      if (k % 2 === 0 && k * theta <= open) spokes.push(side);
    }
  }
  for (const edge of edges) svg("path", { d: p.arc(edge, open), class: "edge" }, plot);
  for (const level of levels) svg("path", { d: p.arc(level, open), class: "level" }, plot);
  for (const side of spokes) {
    for (const level of levels) {
      const [cx, cy] = p.at(level, side);
      svg("circle", { cx, cy, r: levels.length > 8 ? 2.2 : 3.6, class: "point" }, plot);
    }
  }
  return p;
}

/** Below the cells, along the same axis of lengths: how often which length occurs. */
function drawDensity(plot, p, levels, edges, height) {
  const base = height - 32;
  const line = [];
  for (let r = 0.05; r <= LONGEST; r += 0.05) line.push(`${p.x(r).toFixed(1)} ${(base - 50 * blockDensity(r)).toFixed(1)}`);
  svg("path", { d: `M${p.x(0)} ${base}L${line.join("L")}L${p.x(LONGEST)} ${base}Z`, class: "density" }, plot);
  for (const edge of edges) svg("line", { x1: p.x(edge), x2: p.x(edge), y1: base - 54, y2: base, class: "edge" }, plot);
  for (const level of levels) {
    svg("line", { x1: p.x(level), x2: p.x(level), y1: base - 50 * blockDensity(level), y2: base, class: "level" }, plot);
  }
  for (let r = 0; r <= 7; r++) svg("text", { x: p.x(r), y: base + 14, "text-anchor": "middle" }, plot, String(r));
  svg("text", { x: p.x(LONGEST / 2), y: height - 3, "text-anchor": "middle" }, plot, "length of a block");
}

function drawPicture(stage, state, split) {
  const width = Math.max(260, Math.round(stage.clientWidth || 320));
  const height = 400;
  stage.replaceChildren();
  const levels = state.levels[split.gain];
  const edges = levels.slice(1).map((level, i) => (level + levels[i]) / 2);
  const label =
    `A plane through the origin, to scale: ${plural(levels.length, "length")} on which points lie, ` +
    `cells of half-angle ${split.angle.toFixed(2)} degrees; below, how often each length of a block occurs.`;
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, stage);
  plot.style.height = height + "px";
  const p = drawCells(plot, levels, edges, split.angle, width, height);
  drawDensity(plot, p, levels, edges, height);
}

/** One stacked bar for each number of gain bits; a click chooses it. */
function drawBars(stage, all, chosen, choose) {
  const width = Math.max(260, Math.round(stage.clientWidth || 320));
  const height = 340;
  const pad = { left: 52, right: 8, top: 26, bottom: 40 };
  const high = 1.08 * Math.max(...all.map(({ bound, code }) => Math.max(bound, code ? code.mse : 0)));
  const y = (value) => pad.top + (1 - value / high) * (height - pad.top - pad.bottom);
  const step = (width - pad.left - pad.right) / all.length;
  stage.replaceChildren();
  const label = "Error against gain bits; the table below has the numbers.";
  const plot = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, stage);
  plot.style.height = height + "px";
  const power = 10 ** Math.floor(Math.log10(high / 4));
  const unit = power * [1, 2, 5].findLast((m) => m * power <= high / 4);
  for (let v = 0; v <= high; v += unit) {
    svg("line", { x1: pad.left, x2: width - pad.right, y1: y(v), y2: y(v), class: "grid" }, plot);
    svg("text", { x: pad.left - 6, y: y(v) + 4, "text-anchor": "end" }, plot, String(+v.toPrecision(2)));
  }
  for (const { gain, direction, bound, code } of all) {
    const left = pad.left + gain * step;
    const group = svg("g", { class: gain === chosen ? "bar chosen" : "bar" }, plot);
    svg("rect", { x: left, width: step, y: 4, height: height - 22, rx: 6, class: "back" }, group);
    const box = { x: left + 0.2 * step, width: 0.6 * step };
    svg("rect", { ...box, y: y(direction), height: y(0) - y(direction), class: "direction" }, group);
    svg("rect", { ...box, y: y(bound), height: y(direction) - y(bound), class: "length" }, group);
    svg("text", { x: left + step / 2, y: 18, "text-anchor": "middle" }, group, bound.toFixed(width < 420 ? 4 : 5));
    svg("text", { x: left + step / 2, y: y(0) + 15, "text-anchor": "middle" }, group, String(gain));
    if (code) {
      const place = `translate(${(left + step / 2).toFixed(1)} ${y(code.mse).toFixed(1)})`;
      svg("path", { d: DIAMOND, transform: place, class: "measured" }, group);
    }
    group.addEventListener("click", () => choose(gain));
  }
  svg("text", { x: (pad.left + width) / 2, y: height - 5, "text-anchor": "middle" }, plot, "gain bits");
  const up = `translate(13 ${(pad.top + y(0)) / 2}) rotate(-90)`;
  svg("text", { transform: up, "text-anchor": "middle" }, plot, "error a number (MSE)");
}

function fillTable(table, all, total, chosen) {
  table.caption.textContent = `The splits of ${total} bits a block (${(total / DIM).toFixed(2)} a number): gain + direction`;
  table.body.replaceChildren();
  for (const { gain, direction, length, bound, angle, code } of all) {
    const row = html("tr", gain === chosen ? { class: "chosen" } : {}, table.body);
    html("th", { scope: "row" }, row, `${gain === chosen ? "▸ " : ""}${gain} + ${total - gain}`);
    const measured = code ? code.mse.toFixed(5) + (code.bits < total ? "*" : "") : "–";
    const cells = [angle.toFixed(1) + "°", ...[direction, length, bound].map((v) => v.toFixed(5)), measured];
    for (const text of cells) html("td", {}, row, text);
  }
}

function describe(all, total, chosen) {
  const { direction, length, bound, code } = all[chosen];
  const best = all.reduce((a, b) => (a.bound <= b.bound ? a : b));
  const found = code
    ? `${code.name} measures ${code.mse.toFixed(5)} ± ${code.stderr.toFixed(5)}` +
      (code.bits < total ? ` with ${code.bits} of the ${total} bits.` : ".")
    : "No Leech code of this split was measured.";
  const rank = best.gain === chosen ? "the best split of this budget" : `best is ${plural(best.gain, "gain bit")}, ${best.bound.toFixed(5)}`;
  return (
    `${plural(chosen, "gain bit")}: no such code is below ${bound.toFixed(5)} = ${direction.toFixed(5)} (direction) + ` +
    `${length.toFixed(5)} (length); ${rank}. ${found}`
  );
}

const KEY = [
  ["direction", "error of the direction"],
  ["length", "error of the length; together the bound"],
  ["own", "one cell, cut by a plane through the origin"],
];

function fillKey(key) {
  for (const [css, text] of KEY) {
    const icon = svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, html("span", {}, key));
    svg("rect", { x: 3, width: 20, y: 1, height: 8, class: css }, icon);
    icon.after(" " + text);
  }
  const icon = svg("svg", { viewBox: "-13 -7 26 14", "aria-hidden": "true" }, html("span", {}, key));
  svg("path", { d: DIAMOND, class: "measured" }, icon);
  icon.after(" a measured Leech code");
}

function render({ model, el }) {
  const keys = ["square", "angle", "levels", "energy", "measured", "slack"];
  const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
  const [least, largest] = model.get("totals");
  const set = setter(model);
  const id = uid();
  const root = frame(el, "llvq-sg", "Shape and gain at a fixed budget");
  const box = html("div", { class: "llvq-w-controls" }, root);
  const budget = sliderRow(box, id + "total", "Budget", { min: least, max: largest, step: 1 });
  budget.input.addEventListener("input", () => set("total", Number(budget.input.value)));
  const gains = sliderRow(box, id + "gain", "Gain bits", { min: 0, max: state.energy.length - 1, step: 1 });
  gains.input.addEventListener("input", () => set("gain_bits", Number(gains.input.value)));
  const pictures = html("div", { class: "llvq-sg-pictures" }, root);
  const stage = html("div", { class: "llvq-w-plot" }, pictures);
  const bars = html("div", { class: "llvq-w-plot llvq-sg-bars" }, pictures);
  fillKey(html("p", { class: "llvq-w-key" }, root));
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const columns = ["split", "angle", "direction", "length", "bound", "measured"];
  const table = tableFrame(root, "Splits", columns);
  const note = html("p", { class: "llvq-w-note" }, root);

  function update() {
    const [total, chosen] = [model.get("total"), model.get("gain_bits")];
    const all = splits(state, total);
    budget.show(total, `${total} bits a block`);
    gains.show(chosen, plural(chosen, "bit"));
    drawPicture(stage, state, all[chosen]);
    drawBars(bars, all, chosen, (gain) => set("gain_bits", gain));
    status.textContent = describe(all, total, chosen);
    fillTable(table, all, total, chosen);
    note.textContent = all.some(({ code }) => code && code.bits < total)
      ? "* The code leaves a bit or two of the budget unused: the shells of the lattice do not come in powers of two."
      : "";
  }
  return follow(model, ["total", "gain_bits"], stage, update);
}

export default { render };

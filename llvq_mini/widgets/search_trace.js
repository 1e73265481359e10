// The exact search on the reader's own 24 numbers, step by step: what is dismissed, what is listed, and the certificate.
//
// State (llvq_mini/widgets/search_trace.py makes it and explains the steps):
//   x          the 24 numbers; step: of the search, from 0; -1 for the first certificate
//   groups     {t, low, high}: targets and shells of llvq_mini/search.py; total: points on all of these shells
//   hamming, inverted   the sixteen words h(a) and g(x); first, more, slack: radii, as in llvq_mini/_listing.py
//   presets    [name, 24 numbers]
// `trace` is search_trace.trace in JavaScript, operation by operation; tests/test_widgets_compute.py compares the two
// and the library; tests/browser/test_widget_search_trace.py drives the page.

const LIMIT = 99;
const norm2 = (v) => v.reduce((sum, c) => sum + c * c, 0);

/** x / 2^n with its largest entry in [1/2, 1), as the library scales it, and its length; null for zero. */
function scaled(x) {
  const largest = Math.max(...x.map(Math.abs));
  if (largest === 0) return null;
  let factor = 1;
  while (largest * factor >= 1) factor /= 2;
  while (largest * factor < 0.5) factor *= 2;
  const unit = x.map((c) => c * factor);
  return { unit, length: Math.sqrt(norm2(unit)) };
}

function hadamard8(v) {
  for (const step of [1, 2, 4])
    for (let i = 0; i < 8; i++)
      if (!(i & step)) [v[i], v[i + step]] = [v[i] + v[i + step], v[i] - v[i + step]];
  return v;
}

/** One coset: nearest values for both bits, S, the bound S - sum |q|, and for eight pairs g the transforms and the bound. */
function coset(state, y, e) {
  const values = [[], []];
  const q = [];
  let total = 0;
  for (const c of y) {
    const r = 4 * Math.floor((c - e) / 4 + 0.5);
    const d = c - e - r;
    const u = Math.abs(d);
    values[0].push(r + e);
    values[1].push(r + e + (d < 0 ? -2 : 2));
    q.push(2 * u - 2);
    total += u * u - 2 * u + 2;
  }
  const pairs = Array.from({ length: 8 }, (_, g) => {
    const flips = state.inverted[2 * g];
    const w = [0, 1, 2].map((o) => hadamard8(q.slice(8 * o, 8 * o + 8).map((c, i) => ((flips >> i) & 1 ? -c : c))));
    const peaks = w.map((row) => Math.max(...row.map(Math.abs)));
    return { w, bound: total - peaks[0] - peaks[1] - peaks[2] };
  });
  return { values, total, bound: q.reduce((sum, c) => sum - Math.abs(c), total), pairs };
}

/** Every point of a word within the radius, which `visit` may shrink; moves ascend in cost, one a coordinate. */
function walk(y, start, cost, radius, visit) {
  const moves = [];
  start.forEach((c, i) => {
    for (const h of [1, -1, 2, -2, 3, -3]) {
      const extra = 16 * h * h - 8 * h * (y[i] - c);
      if (cost + extra < radius()) moves.push([extra, i, h]);
    }
  });
  moves.sort((a, b) => a[0] - b[0]);
  const used = new Set();
  const v = [...start];
  function deeper(at, paid) {
    visit(v, paid);
    for (let n = at; n < moves.length && paid + moves[n][0] < radius(); n++) {
      const [extra, i, h] = moves[n];
      if (used.has(i)) continue;
      used.add(i);
      v[i] += 4 * h;
      deeper(n + 1, paid + extra);
      v[i] -= 4 * h;
      used.delete(i);
    }
  }
  deeper(0, cost);
}

/** All steps of the search, and the answer: {steps, best, score, cosine}; null for a block of zeros. */
function trace(state, words, x) {
  const block = scaled(x);
  if (!block) return null;
  const { unit, length } = block;
  const [least, most] = [16 * Math.min(...state.groups.map((g) => g.low)), 16 * Math.max(...state.groups.map((g) => g.high))];
  const steps = [];
  let [best, score, norm, radius2] = [null, 0, 0, 0];

  function needed({ t, low, high }) {
    const b = score / length;
    const [near, far] = [4 * Math.sqrt(low) - t * b, 4 * Math.sqrt(high) - t * b];
    return t * t * (1 - b * b) + Math.max(near * near, far * far) + state.slack;
  }
  function consider(group, v, paid) {
    const n = norm2(v);
    let dot = 0;
    v.forEach((c, i) => (dot += unit[i] * c));
    const own = n ? dot / Math.sqrt(n) : 0;
    const inside = n >= least && n <= most;
    let better = inside && (best === null || own > score || (own === score && n < norm));
    if (inside && best && own === score && n === norm) {
      const i = v.findIndex((c, k) => c !== best[k]);
      better = i >= 0 && v[i] > best[i];
    }
    if (better) [best, score, norm] = [[...v], own, n];
    if (better) radius2 = Math.min(radius2, needed(group));
    const verdict = better ? "better" : inside ? "worse" : "outside";
    steps.push({ kind: "point", v: [...v], shell: n / 16, distance: paid, cosine: own / length, verdict, best, radius2 });
  }
  function open(group, y, e, side, g) {
    const { w, bound } = side.pairs[g];
    const pair = { kind: "pair", e, g, bound, open: bound < radius2, cells: [], words: [], near: 0, best, radius2 };
    steps.push(pair);
    if (!pair.open) return;
    for (let cell = 0; cell < 64; cell++) {
      const [k1, k2] = [cell >> 3, cell & 7];
      const parts = [w[0][k1], w[1][k2], w[2][k1 ^ k2]];
      const least8 = side.total - Math.abs(parts[0]) - Math.abs(parts[1]) - Math.abs(parts[2]);
      pair.cells.push([least8, least8 < radius2]);
      if (least8 >= radius2) continue;
      for (let p = 0; p < 8; p++) {
        const bits = [p & 1, (p >> 1) & 1, p >> 2];
        const cost = parts.reduce((sum, part, o) => sum + (bits[o] ? -part : part), side.total);
        pair.words.push([cost, cost < radius2]);
        if (cost >= radius2) continue;
        pair.near++;
        const flip = bits[0] ^ bits[1] ^ bits[2];
        const number = ((2 * g + flip) << 8) | ((2 * k1 + (bits[0] ^ flip)) << 4) | (2 * k2 + (bits[1] ^ flip));
        const start = side.values[0].map((c, i) => (((words[number] >> i) & 1) ? side.values[1][i] : c));
        walk(y, start, cost, () => radius2, (v, paid) => {
          const sum = v.reduce((s, c) => s + c, 0);
          if ((((sum - 4 * e) % 8) + 8) % 8 === 0) consider(group, v, paid);
        });
      }
    }
  }
  state.groups.forEach((group, number) => {
    const y = unit.map((c) => (group.t / length) * c);
    const sides = [coset(state, y, 0), coset(state, y, 1)];
    let listed = best ? Math.min(state.first, needed(group)) : state.first;
    for (;;) {
      radius2 = listed;
      steps.push({ kind: "target", group: number, best, radius2 });
      sides.forEach((side, e) => {
        if (side.bound >= radius2) steps.push({ kind: "coset", e, bound: side.bound, best, radius2 });
        else for (let g = 0; g < 8; g++) open(group, y, e, side, g);
      });
      const proof = best ? needed(group) : null;
      const holds = proof !== null && proof <= listed;
      steps.push({ kind: "certificate", group: number, listed, needed: proof, holds, best, radius2: listed });
      if (holds) break;
      listed += state.more;
    }
  });
  return { steps, best, score, cosine: score / length };
}

/** What the steps up to `end` add up to, for each group: [{group, listed, needed, holds, pairs, words, points, cosine}]. */
function totals(steps, end) {
  const rows = [];
  let cosine = null;
  steps.slice(0, end + 1).forEach((step) => {
    if (step.kind === "target" && rows.at(-1)?.group !== step.group)
      rows.push({ group: step.group, pairs: 0, opened: 0, words: 0, points: 0, needed: null, holds: false });
    const row = rows.at(-1);
    if (step.kind === "target") row.listed = step.radius2;
    if (step.kind === "coset") row.pairs += 8;
    if (step.kind === "pair") [row.pairs, row.opened, row.words] = [row.pairs + 1, row.opened + step.open, row.words + step.words.length];
    if (step.kind === "point") row.points++;
    if (step.kind === "point" && step.verdict === "better") cosine = step.cosine;
    if (step.kind === "certificate") [row.needed, row.holds] = [step.needed, step.holds];
    row.cosine = cosine;
  });
  return rows;
}

const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const side = (e) => (e ? "odd" : "even");
const several = (n, one) => `${n.toLocaleString("en-US")} ${one}${n === 1 ? "" : "s"}`;

/** One step in words. */
function told(state, step) {
  if (step.kind === "target") {
    const { t, low, high } = state.groups[step.group];
    return `Shells ${low} to ${high}: the target is put at distance ${fixed(t)}. List everything within R² = ${fixed(step.radius2)} of it.`;
  }
  if (step.kind === "coset")
    return `All ${side(step.e)} vectors at once: none is nearer than ${fixed(step.bound)}, R² is ${fixed(step.radius2)}. 4,096 words dismissed.`;
  if (step.kind === "pair" && !step.open)
    return `The ${side(step.e)} pair ${step.g} costs at least ${fixed(step.bound)}, R² is ${fixed(step.radius2)}. 512 words dismissed by one number.`;
  if (step.kind === "pair") {
    const cells = step.cells.filter(([, inside]) => inside).length;
    return `The ${side(step.e)} pair ${step.g} may cost as little as ${fixed(step.bound)}: opened. ${cells} of its 64 cells are opened in turn, ${several(step.words.length, "word")} computed, ${step.near} within reach.`;
  }
  if (step.kind === "point") {
    const what = { better: "the best so far; R² shrinks to what could still beat it", worse: "no better than the best", outside: "not on the shells that are asked for" };
    return `A lattice point on shell ${step.shell}, squared distance ${fixed(step.distance)}, cosine ${fixed(step.cosine, 5)}: ${what[step.verdict]}.`;
  }
  const { low, high } = state.groups[step.group];
  if (step.holds) return `Certificate: a better point of shells ${low} to ${high} would lie within R² = ${fixed(step.needed)}, and all within ${fixed(step.listed)} are known. There is none.${low === 2 ? " The search is over." : ""}`;
  if (step.needed === null) return "The list is empty. The radius grows.";
  return `A better point could lie as far as R² = ${fixed(step.needed)}; only ${fixed(step.listed)} is known. The radius grows.`;
}

/** 24 number fields in six columns of four, each with the best point's coordinate below; returns what shows both. */
function fields(parent, id, change) {
  const board = html("div", { class: "llvq-st-board", role: "group", "aria-label": "The 24 numbers of the block" }, parent);
  const cells = Array.from({ length: 24 }, (_, i) => {
    const label = html("label", { class: `f${i >> 3}`, for: `${id}x${i}` }, board);
    label.style.gridArea = `${(i & 3) + 1} / ${(i >> 2) + (i >> 3) + 1}`;
    html("span", { class: "at", "aria-hidden": "true" }, label, String(i));
    const input = html("input", { id: `${id}x${i}`, type: "number", step: "0.05", min: -LIMIT, max: LIMIT, "aria-label": `Number ${i}` }, label);
    const found = html("output", { for: `${id}x${i}` }, label);
    input.addEventListener("change", () => change(i, input));
    return { input, found };
  });
  return (x, best) =>
    cells.forEach(({ input, found }, i) => {
      if (Number(input.value) !== x[i] || input.value === "") input.value = x[i];
      input.removeAttribute("aria-invalid");
      found.textContent = best ? String(best[i]).replace("-", "−") : "·";
      found.classList.toggle("zero", !best || best[i] === 0);
    });
}

/** The plane of chapter and block: shells as arcs, the cone of the best cosine, the circles listed and needed, the points. */
function drawCone(plot, state, row, seen, best) {
  plot.replaceChildren();
  const { t, low, high } = state.groups[row.group];
  const ends = [low, high].map((m) => (4 * Math.sqrt(m) - t * best) ** 2);
  const needed = best === null ? 0 : t * t * (1 - best * best) + Math.max(...ends);
  const half = Math.max(4.9, Math.sqrt(Math.min(24, Math.max(row.listed, needed))) + 0.4);
  const k = 170 / half;
  const [x, y] = [(along) => (along - t) * k + 170, (across) => 170 - across * k];
  if (best !== null) {
    const slope = Math.sqrt(1 - best * best) / best;
    svg("path", { class: "cone", d: `M${x(0)} ${y(0)}L${x(2 * t)} ${y(2 * t * slope)}V${y(0)}Z` }, plot);
  }
  const shells = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  for (const m of shells) svg("circle", { class: "shell", cx: x(0), cy: y(0), r: 4 * Math.sqrt(m) * k }, plot);
  svg("circle", { class: "listed", cx: x(t), cy: y(0), r: Math.sqrt(row.listed) * k }, plot);
  if (best !== null) svg("circle", { class: "needed", cx: x(t), cy: y(0), r: Math.sqrt(needed) * k }, plot);
  svg("rect", { class: "below", x: -2, y: 170.5, width: 344, height: 30 }, plot);
  for (const m of shells) svg("text", { class: "muted", x: x(4 * Math.sqrt(m)), y: 185, "text-anchor": "middle" }, plot, String(m));
  for (const step of seen.filter((one) => one.kind === "point")) {
    const r = 4 * Math.sqrt(step.shell);
    const along = r * step.cosine;
    const across = Math.sqrt(Math.max(0, r * r - along * along));
    svg("circle", { class: "point " + step.verdict, cx: x(along), cy: y(across), r: step.verdict === "better" ? 5 : 3.5 }, plot);
  }
  svg("path", { class: "target", d: `M${x(t) - 6} 170h12M${x(t)} 164v12` }, plot);
}

/** Bounds and costs of the present target along one axis; right of the line nothing is ever looked at. */
function drawAxis(stage, seen, radius2) {
  const width = Math.max(280, Math.round(stage.clientWidth || 640));
  stage.replaceChildren();
  const plot = svg("svg", { viewBox: `0 0 ${width} 226`, role: "img", "aria-label": "Bounds and costs against R²; the text and the table have the numbers." }, stage);
  const x = (cost) => 8 + (Math.min(cost, 66) / 66) * (width - 16);
  const pairs = seen.filter((step) => step.kind === "pair");
  const rows = [
    ["pairs of cosets, 512 words each", [...seen.filter((s) => s.kind === "coset").map((s) => [s.bound, false]), ...pairs.map((s) => [s.bound, s.open])], 5],
    ["cells of the open pairs, 8 words each", pairs.flatMap((s) => s.cells), 2.6],
    ["words of the open cells", pairs.flatMap((s) => s.words), 2.2],
    ["lattice points", seen.filter((s) => s.kind === "point").map((s) => [s.distance, true]), 4.5],
  ];
  svg("rect", { class: "beyond", x: x(radius2), y: 0, width: width - x(radius2), height: 200 }, plot);
  rows.forEach(([label, marks, r], n) => {
    const top = 50 * n;
    svg("line", { class: "grid", x1: 0, x2: width, y1: top + 50, y2: top + 50 }, plot);
    marks.forEach(([cost, inside], i) => {
      const up = top + 30 + 26 * (((i * 0.618034) % 1) - 0.5);
      svg("circle", { class: inside ? "inside" : "dismissed", cx: x(cost).toFixed(1), cy: up.toFixed(1), r: inside ? Math.max(r, 3.2) : r }, plot);
    });
    svg("text", { class: "row", x: width - 4, y: top + 14, "text-anchor": "end" }, plot, `${label}: ${marks.filter((m) => m[1]).length} of ${marks.length}`);
  });
  svg("line", { class: "radius", x1: x(radius2), x2: x(radius2), y1: 0, y2: 204 }, plot);
  svg("text", { x: clamp(x(radius2), 50, width - 50), y: 219, "text-anchor": "middle" }, plot, `R² = ${fixed(radius2)}`);
  svg("text", { class: "muted", x: width - 4, y: 219, "text-anchor": "end" }, plot, width > 420 ? "squared distance, or its lower bound" : "");
}

function fillTable(table, state, rows) {
  const points = rows.reduce((sum, row) => sum + row.points, 0);
  const words = rows.reduce((sum, row) => sum + row.words, 0);
  table.caption.textContent = `Looked at so far: ${several(words, "word")} of ${(8192 * state.groups.length).toLocaleString("en-US")}, ${several(points, "lattice point")} of ${state.total}`;
  table.body.replaceChildren();
  rows.forEach((row) => {
    const { low, high, t } = state.groups[row.group];
    const line = html("tr", {}, table.body);
    html("th", { scope: "row" }, line, `${low}–${high}`);
    const needed = row.needed === null ? "–" : `${fixed(row.needed)}${row.holds ? " ✓" : ""}`;
    for (const text of [fixed(t), fixed(row.listed), needed, `${row.opened} of ${row.pairs}`, row.words, row.points, row.cosine === null ? "–" : fixed(row.cosine, 5)])
      html("td", {}, line, String(text));
  });
}

const gauss = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const cauchy = () => clamp(Math.tan(Math.PI * (Math.random() - 0.5)), -LIMIT, LIMIT);
const draw = (law) => Array.from({ length: 24 }, () => Number(law().toFixed(2)) || 0);

/** Buttons that go through the steps, and a slider; `go` is called with a step, "play" with nothing. */
function stepper(parent, id, go, play) {
  const slider = sliderRow(parent, id + "step", "Step", { min: 0 });
  slider.input.addEventListener("input", () => go(() => Number(slider.input.value)));
  const box = html("div", { class: "llvq-st-buttons" }, parent);
  const button = (text, act) => {
    const made = html("button", { type: "button" }, box, text);
    made.addEventListener("click", act);
    return made;
  };
  button("Start", () => go(() => 0));
  button("Back", () => go((at) => at - 1));
  button("Next", () => go((at) => at + 1));
  button("Next point", () => go((at, steps) => steps.findIndex((s, n) => n > at && (s.kind === "point" || n === steps.length - 1))));
  button("End", () => go((at, steps) => steps.length - 1));
  return { slider, play: button("Play", play) };
}

function render({ model, el }) {
  const state = Object.fromEntries(["groups", "inverted", "first", "more", "slack", "total"].map((key) => [key, model.get(key)]));
  const words = golayWords(model.get("hamming"), model.get("inverted"));
  const set = setter(model);
  const id = uid();
  let [found, known, timer] = [null, null, null];
  const root = frame(el, "llvq-st", "Trace of the exact search");
  const choose = html("div", { class: "llvq-st-choose" }, root);
  html("label", { for: id + "preset" }, choose, "Block");
  const select = html("select", { id: id + "preset" }, choose);
  for (const [name] of [...model.get("presets"), ["your own numbers"]]) html("option", {}, select, name);
  const block = (x) => (set("step", -1), set("x", x));
  select.addEventListener("change", () => {
    const preset = model.get("presets")[select.selectedIndex];
    if (preset) block([...preset[1]]);
  });
  for (const [text, law] of [["Draw Gaussian", gauss], ["Draw heavy tails", cauchy]])
    html("button", { type: "button" }, choose, text).addEventListener("click", () => block(draw(law)));
  const columns = html("div", { class: "llvq-st-columns" }, root);
  const left = html("div", { class: "llvq-st-left" }, columns);
  const show = fields(left, id, (i, input) => {
    const value = Number(input.value);
    if (input.value === "" || !(Math.abs(value) <= LIMIT)) {
      input.setAttribute("aria-invalid", "true");
      status.textContent = `Number ${i} must lie between −${LIMIT} and ${LIMIT}.`;
    } else block(model.get("x").map((c, k) => (k === i ? value : c)));
  });
  html("p", { class: "llvq-w-note" }, left, "Above, yours; below, the best lattice point so far.");
  const right = html("div", { class: "llvq-st-right" }, columns);
  const cone = svg("svg", { viewBox: "0 0 340 190", role: "img", "aria-label": "Shells, cone of the best cosine, circles listed and needed, points" }, right);
  html("p", { class: "llvq-w-note" }, right, "Right: along your block, up: away from it. Arcs: shells. Wedge: what is nearer to your direction than the best. Full circle: listed; dashed: needed for the proof.");
  const go = (next) => found && set("step", clamp(next(at(), found.steps), 0, found.steps.length - 1));
  const first = () => found.steps.findIndex((one) => one.holds);
  const at = () => (model.get("step") < 0 ? first() : Math.min(model.get("step"), found.steps.length - 1));
  const stop = () => ((timer = clearInterval(timer)), (controls.play.textContent = "Play"));
  const controls = stepper(root, id, (next) => (stop(), go(next)), () => {
    if (timer) return stop();
    if (found && at() === found.steps.length - 1) set("step", 0);
    controls.play.textContent = "Pause";
    timer = setInterval(() => (!found || at() === found.steps.length - 1 ? stop() : go((n) => n + 1)), 350);
  });
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const axis = html("div", { class: "llvq-w-plot llvq-st-axis" }, root);
  const table = tableFrame(root, "Work for each group of shells", ["shells", "target", "listed R²", "needed R²", "pairs open", "words", "points", "cosine"]);

  function update() {
    const x = model.get("x");
    if (known !== x) [known, found] = [x, trace(state, words, x)];
    const same = model.get("presets").findIndex(([, values]) => values.every((c, i) => c === x[i]));
    select.selectedIndex = same < 0 ? model.get("presets").length : same;
    if (!found) {
      show(x, null);
      status.textContent = "A block of zeros has no direction: all points are equally good.";
      return;
    }
    const step = found.steps[at()];
    const rows = totals(found.steps, at());
    const begin = found.steps.findLastIndex((one, n) => n <= at() && one.kind === "target");
    const seen = found.steps.slice(begin, at() + 1);
    show(x, step.best);
    controls.slider.input.max = found.steps.length - 1;
    controls.slider.show(at(), `${at() + 1} of ${found.steps.length}`);
    status.textContent = told(state, step);
    drawCone(cone, state, rows.at(-1), seen, rows.at(-1).cosine);
    drawAxis(axis, seen, step.radius2);
    fillTable(table, state, rows);
  }
  const leave = follow(model, ["x", "step"], axis, update);
  return () => (stop(), leave());
}

export default { render };

// Squares against hexagons: the same points on two codes of the plane, and their mean errors as they settle.
//
// State (llvq_mini/widgets/squares_hexagons.py makes it and explains the picture):
//   codes   {label, period, offsets, cell, moment}: cell holds the corners about a point, moment is the mean in the end
//   leech   the mean of the Leech lattice; plastic: the number that scatters the points; drops: points asked for;
//   step    of the button
// Without prefers-reduced-motion the points fall one after another.  Tests: tests/browser/test_widget_squares_hexagons.py.

const percentLess = (moment) => `−${(100 * (1 - 12 * moment)).toFixed(1)} %`;

/** Squared error a number of the nearest point of a code. */
function errorOf({ offsets, period }, x) {
  return Math.min(
    ...offsets.map((offset) => {
      const d = x.map((c, n) => c - offset[n] - period[n] * Math.floor((c - offset[n]) / period[n] + 0.5));
      return (d[0] ** 2 + d[1] ** 2) / 2;
    }),
  );
}

/** The n-th point of the unit square, from n = 1. */
const scattered = (plastic, n) => [plastic, plastic ** 2].map((base) => (0.5 + n / base) % 1);

/** The window of a code; returns what adds the next point, and its mean. */
function plane(parent, code, plastic) {
  const figure = html("figure", {}, parent);
  const name = code.label.split(",")[0];
  const plot = svg("svg", { viewBox: "-100 -100 200 200", role: "img", "aria-label": `Points on ${name}; those near the corners are dark` }, figure);
  html("figcaption", {}, figure, name);
  for (const [a, b] of code.offsets) {
    for (let i = -3; i <= 3; i++) {
      for (let j = -3; j <= 3; j++) {
        const at = [a + i * code.period[0], b + j * code.period[1]];
        if (Math.max(...at.map(Math.abs)) > 2.9) continue;
        const path = code.cell.map(([u, v]) => `${(50 * (at[0] + u)).toFixed(1)} ${(-50 * (at[1] + v)).toFixed(1)}`).join("L");
        svg("path", { class: "cell", d: `M${path}Z` }, plot);
      }
    }
  }
  const dots = svg("g", {}, plot);
  const size = code.period.map((side) => Math.floor(4 / side) * side);
  const worst = Math.max(...code.cell.map(([u, v]) => (u * u + v * v) / 2));
  const run = { n: 0, sum: 0 };
  run.clear = () => {
    Object.assign(run, { n: 0, sum: 0 });
    dots.replaceChildren();
  };
  run.drop = () => {
    const at = scattered(plastic, ++run.n);
    const x = size.map((side, i) => side * (at[i] - 0.5));
    const error = errorOf(code, x);
    run.sum += error;
    const shade = (0.12 + (0.88 * error) / worst).toFixed(2);
    svg("circle", { class: "dot", cx: (50 * x[0]).toFixed(1), cy: (-50 * x[1]).toFixed(1), r: 2, "fill-opacity": shade }, dots);
  };
  return run;
}

/** A bar with its name and number. */
function bar(parent, label, css) {
  const row = html("div", { class: "llvq-sh-bar" }, parent);
  html("span", { class: "name" }, row, label);
  const track = html("span", { class: "track" }, row);
  const fill = html("span", { class: css }, track);
  const text = html("span", { class: "value" }, row);
  return (value, more) => {
    fill.style.width = `${(100 * clamp(value / 0.09, 0, 1)).toFixed(1)}%`;
    text.textContent = `${value.toFixed(4)}${more}`;
  };
}

function render({ model, el }) {
  const codes = model.get("codes");
  const set = setter(model);
  const root = frame(el, "llvq-sh", "Squares against hexagons");
  const panels = html("div", { class: "llvq-sh-panels" }, root);
  const runs = codes.map((code) => plane(panels, code, model.get("plastic")));
  const bars = html("div", { class: "llvq-sh-bars" }, root);
  const shown = [...codes.map((code, n) => bar(bars, code.label, `c${n}`)), bar(bars, "Leech lattice, 24 at a time", "c2")];
  shown[2](model.get("leech"), `, ${percentLess(model.get("leech"))}`);
  const foot = html("div", { class: "llvq-sh-foot" }, root);
  const more = html("button", { type: "button" }, foot, `Drop ${model.get("step")} more`);
  const again = html("button", { type: "button" }, foot, "Start again");
  const status = html("p", { class: "llvq-w-note", role: "status" }, foot);
  let timer = null;

  const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  function show() {
    const means = runs.map((run) => run.sum / Math.max(run.n, 1));
    means.forEach((value, n) => shown[n](value, n ? `, in the end ${percentLess(codes[n].moment)}` : ""));
    if (runs[0].n !== model.get("drops")) return;
    const [squares, hexagons] = means.map((value) => value.toFixed(4));
    status.textContent = `Mean squared error a number of ${runs[0].n.toLocaleString("en-US")} points: squares ${squares}, hexagons ${hexagons}.`;
  }
  function advance(count) {
    for (const run of runs) for (let n = 0; n < count && run.n < model.get("drops"); n++) run.drop();
    show();
    if (runs[0].n >= model.get("drops")) timer = clearInterval(timer);
  }
  function update() {
    if (runs[0].n > model.get("drops")) for (const run of runs) run.clear();
    if (still()) advance(model.get("drops"));
    else if (!timer) timer = setInterval(() => advance(4), 40);
  }
  more.addEventListener("click", () => set("drops", Math.min(2000, model.get("drops") + model.get("step"))));
  again.addEventListener("click", () => {
    for (const run of runs) run.clear();
    if (model.get("drops") === model.get("step")) update();
    else set("drops", model.get("step"));
  });
  model.on("change:drops", update);
  update();
  return () => {
    clearInterval(timer);
    model.off("change:drops", update);
  };
}

export default { render };

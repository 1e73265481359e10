// What the widgets share. `_base.Widget.module` and the book's wrapper put this text before each module, so that a
// module needs no import: a browser refuses imports from file://, and anywidget loads one file.
// Tests: tests/browser/.

const SVG = "http://www.w3.org/2000/svg";
/** A prefix of ids; several widgets share a page, and in a notebook each has a module of its own. */
const uid = () => "llvq" + Math.random().toString(36).slice(2) + "-";

function make(node, attributes, parent, text) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}
const svg = (name, attributes, parent, text) => make(document.createElementNS(SVG, name), attributes, parent, text);
const html = (name, attributes, parent, text) => make(document.createElement(name), attributes, parent, text);

/** The frame of a widget. JupyterLab would take arrow keys for moving between cells, so no key leaves it. */
function frame(el, css, label) {
  const root = html("div", { class: "llvq-w " + css, role: "group", "aria-label": label }, el);
  root.addEventListener("keydown", (event) => event.stopPropagation());
  return root;
}

/** A labeled slider whose value is shown beside it. */
function sliderRow(parent, id, label, attributes) {
  const row = html("div", { class: "llvq-w-slider" }, parent);
  html("label", { for: id }, row, label);
  const input = html("input", { type: "range", id, ...attributes }, row);
  const shown = html("output", { for: id }, row);
  return {
    input,
    show(value, text) {
      input.value = value;
      input.setAttribute("aria-valuetext", text);
      shown.textContent = text;
    },
  };
}

/** A row of radio buttons: options are [value, text]; `choose` is called with the value. */
function radioRow(parent, name, legend, options, choose) {
  const box = html("fieldset", {}, parent);
  html("legend", {}, box, legend);
  const radios = {};
  for (const [value, text] of options) {
    const label = html("label", {}, box);
    radios[value] = html("input", { type: "radio", name, value }, label);
    label.append(text);
    radios[value].addEventListener("change", () => choose(value));
  }
  return radios;
}

/** A table that scrolls sideways when it must; a scrolling region must be reachable by keyboard. */
function tableFrame(parent, label, columns) {
  const region = html("div", { class: "llvq-w-table", tabindex: 0, role: "region", "aria-label": label }, parent);
  const table = html("table", {}, region);
  const caption = html("caption", {}, table);
  const head = html("tr", {}, html("thead", {}, table));
  for (const text of columns) html("th", { scope: "col" }, head, text);
  return { caption, head, body: html("tbody", {}, table) };
}

/** Call `update` now, when one of the keys changes and when `stage` changes its width; returns what undoes it. */
function follow(model, keys, stage, update) {
  const events = keys.map((key) => "change:" + key);
  for (const event of events) model.on(event, update);
  let width = null;
  const observer = new ResizeObserver(() => {
    if (stage.clientWidth === width) return;
    width = stage.clientWidth;
    update();
  });
  observer.observe(stage);
  update();
  return () => {
    observer.disconnect();
    for (const event of events) model.off(event, update);
  };
}

const setter = (model) => (name, value) => {
  model.set(name, value);
  model.save_changes();
};
const decibel = (ratio) => 10 * Math.log10(ratio);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Density of |x| for 24 Gaussian numbers, relative to its largest value. */
const blockDensity = (r) => (r > 0 ? Math.exp(23 * Math.log(r / Math.sqrt(23)) - (r * r - 23) / 2) : 0);

/** Number of ones of an integer of up to 31 bits. */
function weight(word) {
  let n = 0;
  for (let rest = word; rest; rest &= rest - 1) n++;
  return n;
}

/** The 4096 Golay words in the order of their numbers x<<8 | a<<4 | b; bit i is coordinate i (llvq_mini/golay.py). */
function golayWords(hamming, inverted) {
  return Array.from({ length: 4096 }, (_, n) => {
    const [a, b] = [(n >> 4) & 15, n & 15];
    return (hamming[a] | (hamming[b] << 8) | (hamming[a ^ b] << 16)) ^ (inverted[n >> 8] * 0x10101);
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Toggle buttons, one of them in the tab order: arrow keys go from i to step(i, dx, dy); a click or Space calls flip(i). */
function toggleGrid(box, count, step, flip) {
  const buttons = Array.from({ length: count }, (_, i) => html("button", { type: "button", tabindex: i ? -1 : 0 }, box));
  const enter = (i) => buttons.forEach((button, k) => (button.tabIndex = k === i ? 0 : -1));
  buttons.forEach((button, i) => {
    button.addEventListener("focus", () => enter(i));
    button.addEventListener("click", () => {
      enter(i); // Safari does not focus a button that is clicked
      flip(i);
    });
  });
  box.addEventListener("keydown", (event) => {
    const i = buttons.indexOf(event.target);
    if (i < 0 || !(event.key in ARROWS)) return;
    buttons[step(i, ...ARROWS[event.key])].focus();
    event.preventDefault();
  });
  return buttons;
}

/** Dragging: `start(event)` answers a press on `stage` with what to do while the pointer is down, or with nothing. */
function dragging(stage, start) {
  let move = null;
  stage.addEventListener("pointerdown", (event) => {
    move = start(event);
    if (!move) return;
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => move && move(event));
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (move = null));
}

/** Buttons that set something up: options are [key, text]; `choose` is called with the key. */
function buttonRow(parent, options, choose) {
  const box = html("div", { class: "llvq-w-buttons" }, parent);
  return Object.fromEntries(
    options.map(([key, text]) => {
      const button = html("button", { type: "button" }, box, text);
      button.addEventListener("click", () => choose(key));
      return [key, button];
    }),
  );
}

/** The part of a convex polygon where <z, normal> <= limit. */
function cut(corners, normal, limit) {
  const kept = [];
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length];
    const a = ax * normal[0] + ay * normal[1] - limit;
    const b = bx * normal[0] + by * normal[1] - limit;
    if (a <= 1e-12) kept.push([ax, ay]);
    if ((a < -1e-12 && b > 1e-12) || (a > 1e-12 && b < -1e-12)) {
      const t = a / (a - b);
      kept.push([ax + t * (bx - ax), ay + t * (by - ay)]);
    }
  });
  return kept.length > 2 ? kept : [];
}

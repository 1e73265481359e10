// The 196,560 minimal vectors of the Leech lattice in a plane, colored by class or by the angle to a chosen one.
//
// State (llvq_mini/widgets/sphere_projection.py makes it and explains the planes):
//   hamming, inverted   the words h(a) and g(x) of eight bits, from which the Golay code and the vectors are made
//   planes              bases of the planes `rings` and `cycle`, two rows of 24 each
//   plane, color        what is shown; center: number of the chosen vector; group: which one is highlighted, -1 for all
// `minimalVectors`, `angleGroups`, `basisOf` and `projected` are compared with Python in tests/test_widgets_sphere.py; the
// page in tests/browser/test_widget_sphere_projection.py.

const COUNT = 196560;
const ENDS = [1104, 98256, COUNT];
const CLASSES = ["pairs", "octads", "words"];
const PRODUCTS = [32, 16, 8, 0, -8, -16, -32];
const PALETTE = { class: ["--w-1", "--w-0", "--w-2"], angle: ["--w-ink", "--w-4", "--w-1", "--w-0", "--w-2", "--w-5", "--w-3"] };
const REACH = { rings: 0.78, cycle: 0.78, hexagon: 1.12, side: 1.04 };
const NAMES = { rings: "78-fold rings", cycle: "23-fold", hexagon: "hexagon", side: "from the side" };
const TOLD = {
  rings: "A symmetry of the lattice turns this plane by 1/78 of a circle: 2,520 rings of 78 vectors each.",
  cycle: "Moving 23 coordinates in a cycle is a symmetry of the Golay code, and turns this plane by 1/23 of a circle.",
  hexagon: "The plane of the chosen vector, on top, and of a neighbor at 60°. The larger a disc, the more vectors lie above it.",
  side: "The sphere from the side, the chosen vector on top: all others but its opposite lie on five circles of latitude.",
};
const SHAPES = ["±4 in two places", "±2 on an octad, an even number of them negative", "±1 in signs of a Golay word, and one coordinate three times as large, reversed"];

/** All minimal vectors, 24 coordinates each, in the order of leech.minimal_vectors. */
function minimalVectors(words) {
  const found = new Int8Array(24 * COUNT);
  let at = 0;
  for (let i = 0; i < 24; i++)
    for (let j = i + 1; j < 24; j++)
      for (let n = 0; n < 4; n++, at += 24) {
        found[at + i] = n & 2 ? -4 : 4;
        found[at + j] = n & 1 ? -4 : 4;
      }
  const even = Array.from({ length: 256 }, (_, n) => n).filter((n) => !(weight(n) & 1));
  for (const octad of words.filter((word) => weight(word) === 8).sort((a, b) => a - b)) {
    const places = Array.from({ length: 24 }, (_, i) => i).filter((i) => (octad >> i) & 1);
    for (const minus of even) {
      places.forEach((i, k) => (found[at + i] = (minus >> k) & 1 ? -2 : 2));
      at += 24;
    }
  }
  for (const word of words)
    for (let j = 0; j < 24; j++, at += 24)
      for (let i = 0; i < 24; i++) found[at + i] = ((word >> i) & 1 ? -1 : 1) * (i === j ? -3 : 1);
  return found;
}

/** For each vector the place in PRODUCTS of its inner product with vector number `center`. */
function angleGroups(v, center) {
  const found = new Uint8Array(COUNT);
  const place = new Map(PRODUCTS.map((product, k) => [product, k]));
  for (let n = 0; n < COUNT; n++) {
    let sum = 0;
    for (let i = 0; i < 24; i++) sum += v[24 * n + i] * v[24 * center + i];
    found[n] = place.get(sum);
  }
  return found;
}

/** Class of a vector by its number. */
const classOf = (n) => (n < ENDS[0] ? 0 : n < ENDS[1] ? 1 : 2);

/** The two rows of a plane, orthonormal: right, up. */
function basisOf(state, v, plane, center, angles) {
  if (state.planes[plane]) return state.planes[plane];
  const unit = (row) => row.map((a) => a / Math.hypot(...row));
  const up = unit(Array.from(v.subarray(24 * center, 24 * center + 24)));
  const at = 24 * angles.indexOf(1);
  const other = plane === "hexagon" ? Array.from(v.subarray(at, at + 24)) : state.planes.rings[0];
  const along = other.reduce((sum, a, i) => sum + a * up[i], 0);
  return [unit(other.map((a, i) => a - along * up[i])), up];
}

/** Coordinates of all vectors, of length 1, in the plane: x, y, x, y, ... */
function projected(v, [right, up]) {
  const found = new Float32Array(2 * COUNT);
  const scale = 1 / Math.sqrt(32);
  for (let n = 0; n < COUNT; n++) {
    let [x, y] = [0, 0];
    for (let i = 0; i < 24; i++) {
      x += v[24 * n + i] * right[i];
      y += v[24 * n + i] * up[i];
    }
    found[2 * n] = scale * x;
    found[2 * n + 1] = scale * y;
  }
  return found;
}

const count = (n) => n.toLocaleString("en-US");
const degrees = (product) => (Math.acos(product / 32) * 180 / Math.PI).toFixed(1) + "°";
const signed = (v) => String(v).replace("-", "−");

/** A color of the theme as [red, green, blue]. */
function rgb(root, name) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = getComputedStyle(root).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(pen.fillStyle.slice(at, at + 2), 16));
}

/** Add a vector to the four pixels around its place, or to a bar of them where `bar` is not 0. */
function splat(add, x, y, bar) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  if (bar) {
    for (let row = -bar; row <= bar; row++) for (const dx of [0, 1]) add(left + dx, top + row, 1);
    return;
  }
  const [right, down] = [x - left, y - top];
  add(left, top, (1 - right) * (1 - down));
  add(left + 1, top, right * (1 - down));
  add(left, top + 1, (1 - right) * down);
  add(left + 1, top + 1, right * down);
}

/** Pixel by pixel: the mean color of the vectors there, the more opaque the more they are; those not chosen are dim. */
function paintDots(canvas, picture, bar) {
  const size = canvas.width;
  const sums = new Float32Array(4 * size * size);
  const dim = new Float32Array(size * size);
  let [most, mostDim, color] = [1, 1, null];
  const add = (x, y, share) => {
    if (x < 0 || x >= size || y < 0 || y >= size) return;
    const at = y * size + x;
    if (!color) {
      dim[at] += share;
      mostDim = Math.max(mostDim, dim[at]);
      return;
    }
    for (let c = 0; c < 3; c++) sums[4 * at + c] += share * color[c];
    sums[4 * at + 3] += share;
    most = Math.max(most, sums[4 * at + 3]);
  };
  for (let n = 0; n < COUNT; n++) {
    const group = picture.groups[n];
    color = picture.chosen < 0 || picture.chosen === group ? picture.colors[group] : null;
    splat(add, picture.px(picture.points[2 * n]), picture.py(picture.points[2 * n + 1]), bar);
  }
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(size, size);
  const curve = (value, high) => Math.min(1, 2.4 * value) * (0.35 + (0.65 * Math.log1p(value)) / Math.log1p(high));
  for (let at = 0; at < dim.length; at++) {
    const here = sums[4 * at + 3];
    if (!here && !dim[at]) continue;
    image.data.set(here ? [0, 1, 2].map((c) => sums[4 * at + c] / here) : picture.dim, 4 * at);
    image.data[4 * at + 3] = here ? 255 * curve(here, most) : 70 * curve(dim[at], mostDim);
  }
  pen.putImageData(image, 0, 0);
}

/** The few places of the hexagon: discs by number, divided by group. */
function paintDiscs(canvas, picture) {
  const places = new Map();
  for (let n = 0; n < COUNT; n++) {
    const [x, y] = [picture.points[2 * n], picture.points[2 * n + 1]];
    const key = Math.round(64 * x) + "," + Math.round(64 * y);
    if (!places.has(key)) places.set(key, { x, y, counts: picture.colors.map(() => 0) });
    places.get(key).counts[picture.groups[n]]++;
  }
  const pen = canvas.getContext("2d");
  for (const { x, y, counts } of places.values()) {
    const total = counts.reduce((a, b) => a + b);
    const radius = (canvas.width / 100) * (0.8 + 0.36 * Math.log2(1 + total));
    let angle = -Math.PI / 2;
    counts.forEach((n, group) => {
      if (!n) return;
      const next = angle + (2 * Math.PI * n) / total;
      const lit = picture.chosen < 0 || picture.chosen === group;
      pen.fillStyle = `rgb(${(lit ? picture.colors[group] : picture.dim).join()})`;
      pen.globalAlpha = lit ? 1 : 0.3;
      pen.beginPath();
      if (n < total) pen.moveTo(picture.px(x), picture.py(y));
      pen.arc(picture.px(x), picture.py(y), radius, angle, next);
      pen.fill();
      angle = next;
    });
  }
  pen.globalAlpha = 1;
}

function paint(canvas, picture) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (picture.plane === "hexagon") paintDiscs(canvas, picture);
  else paintDots(canvas, picture, picture.plane === "side" ? Math.round(canvas.width / 200) : 0);
  if (picture.plane !== "side") return;
  pen.globalCompositeOperation = "destination-over";
  pen.strokeStyle = `rgb(${picture.dim.join()})`;
  pen.globalAlpha = 0.5;
  pen.lineWidth = canvas.width / 500;
  pen.beginPath();
  pen.arc(picture.px(0), picture.py(0), picture.px(1) - picture.px(0), 0, 2 * Math.PI);
  pen.stroke();
  pen.globalAlpha = 1;
  pen.globalCompositeOperation = "source-over";
}

/** How many vectors of each group are projected to within `radius` of a place of the plane. */
function near(picture, x, y, radius) {
  const counts = picture.colors.map(() => 0);
  for (let n = 0; n < COUNT; n++) {
    const [dx, dy] = [picture.points[2 * n] - x, picture.points[2 * n + 1] - y];
    if (dx * dx + dy * dy < radius * radius) counts[picture.groups[n]]++;
  }
  return counts;
}

/** The chosen vector in words: its number and its coordinates. */
const vectorText = (v, center) => `number ${count(center)}, (${Array.from(v.subarray(24 * center, 24 * center + 24)).map(signed).join(" ")})`;

/** Vectors by angle and class: counts[angle][class]. */
function tally(angles) {
  const counts = PRODUCTS.map(() => [0, 0, 0]);
  for (let n = 0; n < COUNT; n++) counts[angles[n]][classOf(n)]++;
  return counts;
}
const total = (row) => row.reduce((a, b) => a + b);

function describe(color, group, counts) {
  if (group < 0) return `All ${count(COUNT)} vectors; no two are nearer than 60°.`;
  if (color === "class") {
    const own = counts.reduce((sum, row) => sum + row[group], 0);
    return `${count(own)} ${CLASSES[group]}: ${SHAPES[group]}.`;
  }
  const own = total(counts[group]);
  const product = PRODUCTS[group];
  if (own === 1) return group ? "1 vector at 180°: the opposite of the chosen one." : "1 vector at 0°: the chosen one itself.";
  const rank = group === 1 ? " They are the nearest ones: none is closer." : "";
  return `${count(own)} vectors at ${degrees(product)} from the chosen one, inner product ${signed(product)} of 32.${rank}`;
}

function fillTable(table, counts, color, chosen) {
  table.body.replaceChildren();
  PRODUCTS.forEach((product, k) => {
    const row = html("tr", color === "angle" && k === chosen ? { class: "chosen" } : {}, table.body);
    html("th", { scope: "row" }, row, degrees(product));
    const cells = [signed(product), count(total(counts[k])), ...counts[k].map(count)];
    cells.forEach((text, c) => html("td", color === "class" && chosen >= 0 && c - 2 === chosen ? { class: "chosen" } : {}, row, text));
  });
}

/** The radio buttons of the groups, made anew when the coloring changes; their sizes do not depend on the chosen vector. */
function groupRow(parent, color, counts, choose) {
  parent.replaceChildren();
  const sizes = color === "class" ? CLASSES.map((_, c) => counts.reduce((sum, row) => sum + row[c], 0)) : counts.map(total);
  const names = color === "class" ? CLASSES : PRODUCTS.map(degrees);
  const options = [[-1, "all"], ...names.map((name, k) => [k, `${name} (${count(sizes[k])})`])];
  const radios = radioRow(parent, uid() + "group", "Highlight", options, (value) => choose(Number(value)));
  options.slice(1).forEach(([k]) => {
    const dot = html("span", { class: "dot", "aria-hidden": "true", style: `background: var(${PALETTE[color][k]})` });
    radios[k].after(dot);
  });
  return radios;
}

/** What lies under the pointer, in words. */
function readingText(picture, canvas, event) {
  const bounds = canvas.getBoundingClientRect();
  const scale = (2 * REACH[picture.plane]) / bounds.width;
  const x = (event.clientX - bounds.left) * scale - REACH[picture.plane];
  const y = REACH[picture.plane] - (event.clientY - bounds.top) * scale;
  const found = near(picture, x, y, 6 * scale);
  const names = picture.color === "class" ? CLASSES : PRODUCTS.map((product) => "at " + degrees(product));
  const parts = found.flatMap((n, k) => (n ? [`${count(n)} ${names[k]}`] : []));
  return parts.length ? `Under the pointer: ${count(total(found))} vectors; ${parts.join(", ")}.` : "Under the pointer: none.";
}

/** The controls and the places for picture, words and table. */
function layout(root, set) {
  const id = uid();
  const box = html("div", { class: "llvq-w-controls" }, root);
  const planes = radioRow(box, id + "plane", "Plane", Object.entries(NAMES), (value) => set("plane", value));
  const colors = radioRow(box, id + "color", "Color", [["class", "class"], ["angle", "angle to the chosen vector"]], (value) => {
    set("group", -1);
    set("color", value);
  });
  const columns = html("div", { class: "llvq-sp-columns" }, root);
  const stage = html("div", { class: "llvq-sp-stage" }, columns);
  const canvas = html("canvas", { role: "img" }, stage);
  const side = html("div", { class: "llvq-sp-side" }, columns);
  const groups = html("div", {}, side);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const note = html("p", { class: "llvq-w-note" }, side);
  const reading = html("p", { class: "llvq-w-note llvq-sp-reading" }, side, "Point at the picture to count what lies there.");
  const chosen = html("p", { class: "llvq-w-note" }, side);
  const another = html("button", { type: "button" }, side, "Choose another vector");
  another.addEventListener("click", () => set("center", Math.floor(Math.random() * COUNT)));
  const table = tableFrame(root, "Vectors by angle", ["angle", "product", "vectors", ...CLASSES]);
  table.caption.textContent = "By angle to the chosen vector, and by class";
  return { planes, colors, stage, canvas, groups, status, note, reading, chosen, table };
}

/** Call `draw` when the page turns dark or light, since a canvas keeps the colors that it was painted with. */
function followTheme(draw) {
  const themed = new MutationObserver(draw);
  const attributeFilter = ["data-theme", "theme", "class", "data-jp-theme-light"];
  for (const node of [document.documentElement, document.body]) themed.observe(node, { attributeFilter });
  return () => themed.disconnect();
}

function render({ model, el }) {
  const state = { planes: model.get("planes") };
  const v = minimalVectors(golayWords(model.get("hamming"), model.get("inverted")));
  const classes = Uint8Array.from({ length: COUNT }, (_, n) => classOf(n));
  const set = setter(model);
  const root = frame(el, "llvq-sp", "The minimal vectors in a plane");
  const at = layout(root, set);
  const picture = {};
  let [center, drawn, radios, grouped] = [null, "", {}, ""];
  let [angles, counts] = [null, null];

  function prepare() {
    const [plane, color, group] = ["plane", "color", "group"].map((key) => model.get(key));
    if (center !== model.get("center")) {
      center = model.get("center");
      angles = angleGroups(v, center);
      counts = tally(angles);
      at.chosen.textContent = "Chosen vector: " + vectorText(v, center) + ".";
    }
    const wanted = plane + (state.planes[plane] ? "" : center);
    if (drawn !== wanted) picture.points = projected(v, basisOf(state, v, plane, center, angles));
    drawn = wanted;
    const chosen = group < PALETTE[color].length ? group : -1;
    Object.assign(picture, { plane, color, chosen, groups: color === "class" ? classes : angles });
  }

  function draw() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const size = Math.round(ratio * Math.max(200, at.stage.clientWidth));
    at.canvas.width = at.canvas.height = size;
    const unit = size / 2 / REACH[picture.plane];
    Object.assign(picture, { px: (x) => size / 2 + unit * x, py: (y) => size / 2 - unit * y });
    picture.colors = PALETTE[picture.color].map((name) => rgb(root, name));
    picture.dim = rgb(root, "--w-muted");
    paint(at.canvas, picture);
  }

  function update() {
    prepare();
    at.planes[picture.plane].checked = true;
    at.colors[picture.color].checked = true;
    if (grouped !== picture.color) radios = groupRow(at.groups, picture.color, counts, (value) => set("group", value));
    grouped = picture.color;
    radios[picture.chosen].checked = true;
    draw();
    at.status.textContent = describe(picture.color, picture.chosen, counts);
    at.note.textContent = TOLD[picture.plane];
    at.canvas.setAttribute("aria-label", `${count(COUNT)} vectors, ${NAMES[picture.plane]}. ${TOLD[picture.plane]}`);
    fillTable(at.table, counts, picture.color, picture.chosen);
  }

  at.canvas.addEventListener("pointermove", (event) => (at.reading.textContent = readingText(picture, at.canvas, event)));
  const leaveTheme = followTheme(draw);
  const leave = follow(model, ["plane", "color", "group", "center"], at.stage, update);
  return () => {
    leaveTheme();
    leave();
  };
}

export default { render };

// The index of a lattice point and the point of an index, each to be edited; llvq_mini/index.py in JavaScript.
//
// State (llvq_mini/widgets/point_index.py makes it and explains the parts of an index):
//   tables   rows, kinds of blocks, the tree and the values of the quads, from the arrays of _index_tables.py
//   size     number of indices; sizes: of the balls of 0 ... 13 shells
//   point    the 24 integers now, a lattice point or not
// Indices and counts are BigInt, so that everything is exact.  `decodeIndex`, `encodePoint`, `rules` and `classOf` are
// compared with the library in tests/test_widgets_compute.py; the page in tests/browser/test_widget_point_index.py.

const BITS = 48;
const LARGEST = 99; // coordinates are edited in -99 ... 99; in the ball none exceeds 14

/** The tables of the state, ready for use: counts of all nodes, values and ranks of the quads, words by kind. */
function unfold(raw) {
  const bytes = Int8Array.from(atob(raw.quads), (letter) => letter.charCodeAt(0));
  const quad = (at) => Array.from(bytes.subarray(4 * at, 4 * at + 4));
  const ranks = raw.starts.map((starts) => {
    const found = new Map();
    starts.slice(1).forEach((end, excess) => {
      for (let at = starts[excess]; at < end; at++) found.set(quad(at).join(), [excess, at - starts[excess]]);
    });
    return found;
  });
  const total = raw.starts.map((starts) => starts.slice(1).map((end, n) => BigInt(end - starts[n])));
  for (let node = 4; node < raw.left.length; node++) {
    const [a, b] = [total[raw.left[node]], total[raw.right[node]]];
    total.push(a.slice(0, b.length).map((_, n) => b.slice(0, n + 1).reduce((sum, one, i) => sum + one * a[n - i], 0n)));
  }
  const words = golayWords(raw.hamming, raw.inverted);
  const kindOf = words.map((word) => {
    const weights = [0, 8, 16].map((shift) => weight((word >> shift) & 255));
    return raw.kinds.findIndex((kind) => kind.every((w, o) => w === weights[o]));
  });
  const numbers = raw.kinds.map((_, kind) => words.map((_, n) => n).filter((n) => !kind || kindOf[n] === kind));
  const numberOf = new Map(words.map((word, number) => [word, number]));
  return { ...raw, first: raw.first.map(BigInt), quad, ranks, total, words, kindOf, numbers, numberOf };
}

const free = (t, kind) => (kind ? Math.max(t.kinds[kind].reduce((a, b) => a + b) - 1, 0) : 0);

/** Coordinates of an octad in the order of the tree: for even vectors those on the word, then the others. */
function treeOrder(byte, odd) {
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  return odd ? all : [...all.filter((i) => (byte >> i) & 1), ...all.filter((i) => !((byte >> i) & 1))];
}

/** A rank of a node as [excess of the left half, rank of the left, rank of the right half]. */
function split(t, node, n, rank) {
  const [left, right] = [t.total[t.left[node]], t.total[t.right[node]]];
  let a = 0;
  let rest = rank;
  for (; a < n && rest >= left[a] * right[n - a]; a++) rest -= left[a] * right[n - a];
  return [a, rest / right[n - a], rest % right[n - a]];
}

/** The inverse of split. */
function join(t, node, n, a, upper, lower) {
  const [left, right] = [t.total[t.left[node]], t.total[t.right[node]]];
  let rank = upper * right[n - a] + lower;
  for (let i = 0; i < a; i++) rank += left[i] * right[n - i];
  return rank;
}

/** The eight coordinates of an octad; bits of `reversed` are in the order of the tree. */
function octadValues(t, node, n, rank, byte, reversed, odd) {
  const [a, upper, lower] = split(t, node, n, rank);
  const [left, right] = [t.left[node], t.right[node]];
  const values = [...t.quad(t.starts[left][a] + Number(upper)), ...t.quad(t.starts[right][n - a] + Number(lower))];
  const found = Array(8);
  treeOrder(byte, odd).forEach((i, j) => (found[i] = (reversed >> j) & 1 ? -values[j] : values[j]));
  return found;
}

/** The point of an index, and the parts of the index: {point, kind, first, number, position, words, bits, signs, rank, shapes}. */
function decodeIndex(t, code) {
  const row = t.first.findLastIndex((first) => first <= code);
  const [first, kind, n] = [t.first[row], t.kind[row], t.excess[row]];
  const odd = kind === 0;
  const bits = free(t, kind);
  const root = t.root[kind];
  const shapes = t.total[root][n];
  const [choice, rank] = [(code - first) / shapes, (code - first) % shapes];
  const position = Number(choice >> BigInt(bits));
  const number = t.numbers[kind][position];
  const signs = Number(choice & ((1n << BigInt(bits)) - 1n));
  let reversed = bits ? signs | (((weight(signs) ^ n) & 1) << bits) : 0;
  const pair = t.right[root];
  const [a, rank1, rest] = split(t, root, n, rank);
  const [b, rank2, rank3] = split(t, pair, n - a, rest);
  const octads = [[t.left[root], a, rank1], [t.left[pair], b, rank2], [t.right[pair], n - a - b, rank3]];
  const point = octads.flatMap(([node, excess, own], o) => {
    const byte = (t.words[number] >> (8 * o)) & 255;
    const w = weight(byte);
    const flips = odd ? byte : reversed & ((1 << w) - 1);
    const values = octadValues(t, node, excess, own, byte, flips, odd);
    reversed >>= w;
    return values.map((v) => v || 0);
  });
  return { point, kind, first, number, position, words: t.numbers[kind].length, bits, signs, rank, shapes };
}

/** Excess and rank of an octad, and which values on the word are reversed, in the order of the tree. */
function takeOctad(t, node, values, byte, odd) {
  let flips = 0;
  const plain = treeOrder(byte, odd).map((i, j) => {
    const onWord = odd || (byte >> i) & 1;
    const unit = odd ? values[i] : values[i] >> 1;
    if (!onWord || !((unit >> 1) & 1)) return values[i];
    flips |= 1 << j; // 3 mod 4: reversed
    return -values[i];
  });
  const [a, upper] = t.ranks[t.left[node]].get(plain.slice(0, 4).join());
  const [b, lower] = t.ranks[t.right[node]].get(plain.slice(4).join());
  return [a + b, join(t, node, a + b, a, BigInt(upper), BigInt(lower)), flips];
}

/** The index of a lattice point of the ball. */
function encodePoint(t, point) {
  const e = point[0] & 1;
  const word = wordOf(point, e);
  const number = t.numberOf.get(word);
  const kind = e ? 0 : t.kindOf[number];
  const root = t.root[kind];
  const pair = t.right[root];
  const bytes = [word & 255, (word >> 8) & 255, word >> 16];
  const nodes = [t.left[root], t.left[pair], t.right[pair]];
  const [[n1, r1, f1], [n2, r2, f2], [n3, r3, f3]] = bytes.map((byte, o) =>
    takeOctad(t, nodes[o], point.slice(8 * o, 8 * o + 8), byte, e === 1),
  );
  const n = n1 + n2 + n3;
  const rank = join(t, root, n, n1, r1, join(t, pair, n2 + n3, n2, r2, r3));
  const bits = BigInt(free(t, kind));
  const signs = e ? 0 : f1 | (f2 << weight(bytes[0])) | (f3 << weight(bytes[0] | (bytes[1] << 8)));
  const choice = (BigInt(t.numbers[kind].indexOf(number)) << bits) | (BigInt(signs) & ((1n << bits) - 1n));
  const row = t.kind.findIndex((own, r) => own === kind && t.excess[r] === n);
  return t.first[row] + choice * t.total[root][n] + rank;
}

const wordOf = (point, e) => point.reduce((word, v, i) => word | (((v - e) >> 1) & 1) << i, 0);
const normOf = (point) => point.reduce((sum, v) => sum + v * v, 0);

/** Whether the four rules hold: one parity, Golay word, sum, ball; null for those that mean nothing without one parity. */
function rules(t, point) {
  const e = point[0] & 1;
  const ball = normOf(point) <= 208; // 16 times 13 shells
  if (point.some((v) => (v & 1) !== e)) return [false, null, null, ball];
  const sum = point.reduce((a, b) => a + b);
  return [true, t.numberOf.has(wordOf(point, e)), ((sum - 4 * e) & 7) === 0, ball];
}

const factorial = (n) => (n < 2 ? 1n : BigInt(n) * factorial(n - 1));
const WORDS = { 0: 1n, 8: 759n, 12: 2576n, 16: 759n, 24: 1n };

/** The class of a lattice point: [value, how often] pairs in descending order, and the number of its points. */
function classOf(point) {
  const odd = point[0] & 1;
  const groups = [point.filter((v) => odd || v & 2), point.filter((v) => !odd && !(v & 2))].map((values) => {
    const sizes = values.map(Math.abs).sort((a, b) => b - a);
    return [...new Set(sizes)].map((size) => [size, sizes.filter((other) => other === size).length]);
  });
  const w = groups[0].reduce((sum, [, n]) => sum + n, 0);
  const off = groups[1].reduce((sum, [, n]) => sum + n, 0);
  const nonzero = groups[1].reduce((sum, [size, n]) => sum + (size ? n : 0), 0);
  const repeats = groups.flat().reduce((product, [, n]) => product * factorial(n), 1n);
  const signs = odd ? 4096n : WORDS[w] << BigInt(Math.max(w - 1, 0) + nonzero);
  return { parts: groups.flat(), count: (signs * factorial(w) * factorial(off)) / repeats };
}

const count = (n) => n.toLocaleString("en-US");
const signed = (v) => String(v).replace("-", "−");
const powers = (parts) => parts.map(([v, n]) => `${v ? "±" : ""}${v}${[..."" + n].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")}`).join(" ");
const kindText = (t, kind) => (kind ? `even, word weights ${t.kinds[kind].join(" + ")}` : "odd");

/** The rules in words, [name, text] each. */
function explain(t, point, held) {
  const odd = point.filter((v) => v & 1).length;
  const e = point[0] & 1;
  const sum = point.reduce((a, b) => a + b);
  const word = wordOf(point, e);
  const norm = normOf(point);
  const rest = e ? 3 : 2;
  let golay = "has no meaning before that";
  if (held[1]) golay = `the places ≡ ${rest} (mod 4) are word number ${t.numberOf.get(word)}, weight ${weight(word)}`;
  else if (held[0]) {
    const errors = t.words.map((own) => own ^ word).reduce((a, b) => (weight(b) < weight(a) ? b : a));
    const places = point.flatMap((_, i) => ((errors >> i) & 1 ? [i] : []));
    const nearest = places.length < 4 ? `the nearest differs at ${places.join(", ")}` : "six are equally near";
    golay = `the places ≡ ${rest} (mod 4) are no word; ${nearest}`;
  }
  const target = held[0] ? ` ${held[2] ? "≡" : "is not ≡"} ${4 * e} (mod 8)` : "; has no meaning before that";
  return [
    ["One parity", odd % 24 ? `${odd} odd, ${24 - odd} even` : `all 24 are ${odd ? "odd" : "even"}`],
    ["Golay word", golay],
    ["Sum", `${signed(sum)}${target}`],
    ["Ball", `norm ${norm}${norm % 16 ? "" : ` = 16\u00a0·\u00a0${norm / 16}`} ${held[3] ? "≤" : ">"} 16\u00a0·\u00a013`],
  ];
}

/** The 24 coordinates as number fields, in six columns of four. */
function board(parent, edit) {
  const box = html("div", { class: "llvq-pi-board", role: "group", "aria-label": "The 24 coordinates, in six columns of four" }, parent);
  for (let o = 0; o < 3; o++) html("span", { class: "octad f" + o, style: `grid-area: 1 / ${3 * o + 1} / auto / span 2`, "aria-hidden": "true" }, box, "octad " + o);
  const fields = Array.from({ length: 24 }, (_, i) => {
    const area = `${(i & 3) + 2} / ${(i >> 2) + (i >> 3) + 1}`;
    const cell = html("label", { style: `grid-area: ${area}` }, box);
    html("span", { class: "at", "aria-hidden": "true" }, cell, String(i));
    const input = html("input", { type: "number", min: -LARGEST, max: LARGEST, step: 1, "aria-label": "Coordinate " + i }, cell);
    input.addEventListener("input", () => /^-?\d+$/.test(input.value) && edit(i, clamp(Number(input.value), -LARGEST, LARGEST)));
    return { cell, input };
  });
  return (point, word) =>
    fields.forEach(({ cell, input }, i) => {
      cell.className = `coordinate f${i >> 3}${(word >> i) & 1 ? " on" : ""}${point[i] ? "" : " zero"}`;
      if (Number(input.value) !== point[i] || input.value === "") input.value = point[i];
    });
}

/** The 48 bits, highest first, in six bytes; flip(i) is called with the place value of the bit. */
function bitRow(parent, flip) {
  const box = html("div", { class: "llvq-pi-bits", role: "group", "aria-label": "The 48 bits of the index, highest first" }, parent);
  const cells = toggleGrid(box, BITS, (k, dx, dy) => clamp(k + dx + 8 * dy, 0, BITS - 1), (k) => flip(BITS - 1 - k));
  return (code) =>
    cells.forEach((cell, k) => {
      const place = BITS - 1 - k;
      const one = code !== null && (code >> BigInt(place)) & 1n;
      cell.textContent = code === null ? "·" : one ? "1" : "0";
      cell.className = one ? "bit on" : "bit";
      cell.disabled = code === null;
      cell.setAttribute("aria-pressed", one ? "true" : "false");
      cell.setAttribute("aria-label", `Bit ${place}`);
    });
}

function fillTable(table, t, state, code, found) {
  table.head.closest(".llvq-w-table").hidden = code === null;
  if (code === null) return;
  table.body.replaceChildren();
  table.caption.textContent = "The index, part by part";
  const shell = state.sizes.findIndex((size) => code < size);
  const rows = [
    ["shell", String(shell), count(state.sizes[shell] - (shell ? state.sizes[shell - 1] : 0))],
    ["kind", kindText(t, found.kind), String(t.kinds.length)],
    ["Golay word", found.kind ? `${count(found.position)} (number ${found.number})` : `number ${found.number}`, count(found.words)],
    ["free signs", found.bits ? found.signs.toString(2).padStart(found.bits, "0") : "none", count(2 ** found.bits)],
    ["shape", count(found.rank), count(found.shapes)],
  ];
  for (const [name, value, of] of rows) {
    const row = html("tr", {}, table.body);
    html("th", { scope: "row" }, row, name);
    for (const text of [value, of]) html("td", {}, row, text);
  }
}

/** The line under the table: the parts put together again. */
function sumText({ first, position, bits, signs, rank, shapes }) {
  const choice = bits ? `(${count(position)} · ${count(2 ** bits)} + ${count(signs)})` : count(position);
  return `${count(first)} (first of this shell and kind) + ${choice} · ${count(shapes)} + ${count(rank)}`;
}

/** Field, steps, shells and chance; go(code) moves, complain(text) says why not. */
function chooser(parent, state, current, go, complain) {
  const id = uid();
  const box = html("div", { class: "llvq-pi-choose" }, parent);
  html("label", { for: id + "code" }, box, "Index");
  const input = html("input", { id: id + "code", type: "text", inputmode: "numeric", autocomplete: "off", spellcheck: "false", placeholder: "none" }, box);
  const last = BigInt(state.size) - 1n;
  const take = (code) => (code < 0n || code > last ? complain(`Indices go from 0 to ${count(last)}; ${count(code)} is none.`) : go(code));
  const move = (by) => current() !== null && take(current() + by);
  input.addEventListener("change", () => {
    const text = input.value.replace(/[\s,._']/g, "");
    if (/^\d{1,30}$/.test(text)) take(BigInt(text));
    else complain("An index is a whole number in decimal digits.");
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    move(event.key === "ArrowUp" ? 1n : -1n);
    event.preventDefault();
  });
  const button = (text, label, act) => html("button", { type: "button", "aria-label": label }, box, text).addEventListener("click", act);
  button("−", "One less", () => move(-1n));
  button("+", "One more", () => move(1n));
  button("Random", "Random index", () => {
    const draw = () => BigInt(Math.floor(Math.random() * 2 ** 24));
    go(((draw() << 24n) | draw()) % BigInt(state.size));
  });
  const select = html("select", { "aria-label": "Shell; a choice goes to its first index" }, box);
  html("option", { value: "", hidden: "" }, select, "no shell");
  state.sizes.forEach((_, m) => m !== 1 && html("option", { value: m }, select, m ? `shell ${m}` : "origin"));
  select.addEventListener("change", () => go(select.value === "0" ? 0n : BigInt(state.sizes[select.value - 1])));
  return {
    input,
    take,
    show(code, shell) {
      input.value = code === null ? "" : count(code);
      select.value = code === null ? "" : shell;
    },
  };
}

function render({ model, el }) {
  const state = { size: model.get("size"), sizes: model.get("sizes") };
  const t = unfold(model.get("tables"));
  const set = setter(model);
  const view = { code: null, last: null, said: "" };
  const root = frame(el, "llvq-pi", "Index and lattice point");
  const go = (code) => set("point", decodeIndex(t, code).point);
  const complain = (text) => {
    view.said = text;
    update();
  };
  const field = chooser(root, state, () => view.code, go, complain);
  const columns = html("div", { class: "llvq-pi-columns" }, root);
  const left = html("div", { class: "llvq-pi-left" }, columns);
  const showPoint = board(left, (i, value) => {
    if (model.get("point")[i] !== value) set("point", model.get("point").map((v, k) => (k === i ? value : v)));
  });
  const side = html("div", { class: "llvq-pi-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const list = html("ul", { class: "llvq-pi-rules" }, side);
  const back = html("button", { type: "button" }, side, "Back to the last lattice point");
  back.addEventListener("click", () => {
    go(view.last);
    field.input.focus(); // the button is gone
  });
  html("p", { class: "llvq-w-note" }, root, "The 48 bits of the file, highest first; flip one and the block becomes another point.");
  const showBits = bitRow(root, (place) => field.take(view.code ^ (1n << BigInt(place))));
  const table = tableFrame(root, "Parts of the index", ["part", "value", "of"]);
  const sum = html("p", { class: "llvq-w-note llvq-pi-sum" }, root);

  function update() {
    const point = model.get("point");
    const held = rules(t, point);
    const reasons = explain(t, point, held);
    const broken = held.indexOf(false);
    view.code = broken < 0 ? encodePoint(t, point) : null;
    if (view.code !== null) view.last = view.code;
    const found = view.code === null ? null : decodeIndex(t, view.code);
    field.show(view.code, normOf(point) / 16);
    showPoint(point, held[0] ? wordOf(point, point[0] & 1) : 0);
    list.replaceChildren();
    reasons.forEach(([name, text], k) => {
      const verdict = held[k] === null ? "open" : held[k] ? "yes" : "no";
      const item = html("li", { class: verdict }, list);
      html("b", {}, item, `${{ yes: "✓", no: "✗", open: "–" }[verdict]} ${name}: `);
      item.append(text);
    });
    back.hidden = view.code !== null || view.last === null;
    if (found) {
      const { parts, count: members } = classOf(point);
      status.textContent = `Index ${count(view.code)} is on shell ${normOf(point) / 16}, one of ${count(members)} points of the class ${powers(parts)}.`;
    } else {
      const outside = broken === 3;
      status.textContent = `${outside ? "Outside the ball" : "No lattice point"}. ${reasons[broken][0]}: ${reasons[broken][1]}.`;
    }
    if (view.said) status.textContent = view.said;
    view.said = "";
    showBits(view.code);
    fillTable(table, t, state, view.code, found);
    sum.textContent = found ? `${count(view.code)} = ${sumText(found)}` : "";
  }
  return follow(model, ["point"], columns, update);
}

export default { render };

// The Golay code to play with: 24 bits in six columns, a click flips one, and the nearest code words follow.
//
// State (llvq_mini/widgets/golay_playground.py makes it and explains the picture):
//   hamming, inverted   the sixteen words h(a) and g(x) of eight bits each, from which all 4096 code words are made
//   word                the 24 bits now; bit i is coordinate i
//   sent                the last code word that was shown; errors are counted from it
//   marks               whether the bits that decoding would flip are marked
// `decode` and `syndrome` are those of golay_playground.py.  Tests: tests/test_widgets_compute.py,
// tests/browser/test_widget_golay.py.

const LETTERS = "ABCDEF";
const KINDS = { 0: "the zero word", 8: "an octad", 12: "a dodecad", 16: "the complement of an octad", 24: "all ones" };
const FATES = ["a code word", ...Array(3).fill("repaired with certainty"), "a tie of six words"];

/** The code words nearest to a received word, by ascending number, and their distance: one word, or six at distance 4. */
function decode(words, received) {
  let distance = 25;
  let near = [];
  words.forEach((word, number) => {
    const d = weight(word ^ received);
    if (d < distance) [distance, near] = [d, []];
    if (d === distance) near.push(number);
  });
  return { distance, near };
}

/** Twelve parities: bit n is that of the overlap with the generator of number 2^n. */
function syndrome(words, received) {
  let found = 0;
  for (let n = 0; n < 12; n++) found |= (weight(received & words[1 << n]) & 1) << n;
  return found;
}

const bit = (word, i) => (word >> i) & 1;
const ones = (word, count = 24) => Array.from({ length: count }, (_, i) => i).filter((i) => bit(word, i));
const listed = (numbers) => numbers.join(", ").replace(/, (\d+)$/, " and $1");
const eight = (byte) => Array.from({ length: 8 }, (_, i) => bit(byte, i)).join("");

/** Where coordinate i lies: six columns of four, numbered downwards; two columns are an octad. */
const place = (i) => ({ column: i >> 2, row: i & 3, octad: i >> 3 });

function step(i, dx, dy) {
  const { column, row } = place(i);
  return 4 * clamp(column + dx, 0, 5) + clamp(row + dy, 0, 3);
}

/** The tetrad of each coordinate, 0 ... 5, where six words are equally near; else null. */
function tetrads(words, received, { distance, near }) {
  if (distance < 4) return null;
  return Array.from({ length: 24 }, (_, i) => near.findIndex((number) => bit(words[number] ^ received, i)));
}

function describe(words, received, { distance, near }) {
  const own = words[near[0]];
  const kind = KINDS[weight(own)];
  if (distance === 0) return `Code word number ${near[0]}, ${kind}.`;
  const head = `Weight ${weight(received)}, distance ${distance} from the code: `;
  if (distance < 4) {
    return `${head}one code word is nearest, number ${near[0]}, ${kind}. Decoding flips ${listed(ones(own ^ received))}.`;
  }
  return `${head}six code words are equally near. They differ from yours in the groups A to F, which fill all 24 places: a sextet.`;
}

/** What decoding did, seen from the word that the errors came from. */
function outcome(from, received, to) {
  const flipped = listed(ones(received ^ to));
  const made = weight(from ^ received);
  if (from === to) return `Repaired: ${flipped} flipped back.`;
  return `Decoded by flipping ${flipped}, but to another word than before: ${made} errors are too many.`;
}

/** A word as a small picture: filled where it is one, ringed where it differs from the received word. */
function drawMini(plot, word, received, colors) {
  plot.replaceChildren();
  for (let i = 0; i < 24; i++) {
    const { column, row, octad } = place(i);
    const box = { x: 10 * column + 4 * octad + 1.5, y: 10 * row + 1.5, width: 8, height: 8, rx: 2 };
    const ringed = bit(word ^ received, i) ? " ring" : "";
    svg("rect", { ...box, class: `f${colors ? colors[i] : octad} ${bit(word, i) ? "on" : "off"}${ringed}` }, plot);
  }
}

/** The six columns under the names of the octads. */
function bitGrid(parent, flip) {
  const board = html("div", { class: "llvq-gp-board" }, parent);
  const names = html("div", { class: "octads", "aria-hidden": "true" }, board);
  for (let o = 0; o < 3; o++) html("span", { class: "f" + o, style: `grid-column: ${3 * o + 1} / span 2` }, names, "octad " + o);
  const box = html("div", { class: "bits", role: "group", "aria-label": "The 24 bits, in six columns of four" }, board);
  const cells = toggleGrid(box, 24, step, flip).map((button, i) => {
    const { column, row, octad } = place(i);
    button.style.gridArea = `${row + 1} / ${column + octad + 1}`;
    html("span", { class: "at", "aria-hidden": "true" }, button, String(i));
    const value = html("span", { class: "value", "aria-hidden": "true" }, button);
    const hint = html("span", { class: "hint", "aria-hidden": "true" }, button);
    return { button, value, hint };
  });
  return (word, flips, groups) =>
    cells.forEach(({ button, value, hint }, i) => {
      const one = bit(word, i);
      const { octad } = place(i);
      const flagged = bit(flips, i);
      value.textContent = one;
      hint.textContent = groups ? LETTERS[groups[i]] : flagged ? "flip" : "";
      button.className = `bit f${groups ? groups[i] : octad}${one ? " on" : ""}${flagged ? " flagged" : ""}`;
      button.setAttribute("aria-pressed", one ? "true" : "false");
      const more = groups ? `, group ${LETTERS[groups[i]]}` : flagged ? ", decoding flips it" : "";
      button.setAttribute("aria-label", `Bit ${i} of octad ${octad}${more}`);
    });
}

/** Weight, distance on its scale 0 ... 4, syndrome and the errors made so far. */
function factList(parent) {
  const list = html("dl", { class: "llvq-gp-facts" }, parent);
  const rows = ["Weight", "Distance", "Syndrome", "Errors made"].map((term) => {
    html("dt", {}, list, term);
    return html("dd", {}, list);
  });
  return (words, received, from, { distance }) => {
    const parities = syndrome(words, received);
    const errors = ones(from ^ received);
    rows[0].textContent = `${weight(received)} of 24`;
    const scale = html("span", { class: "scale", "aria-hidden": "true" });
    for (let d = 0; d < 5; d++) html("span", { class: d === distance ? `now d${d}` : "" }, scale, String(d));
    rows[1].replaceChildren(scale, html("span", {}, null, `${distance}: ${FATES[distance]}`));
    const lamps = html("span", { class: "lamps", "aria-hidden": "true" });
    for (let n = 0; n < 12; n++) html("span", { class: bit(parities, n) ? "lit" : "" }, lamps);
    const odd = weight(parities);
    rows[2].replaceChildren(lamps, html("span", {}, null, odd ? `${odd} of 12 parities are odd` : "all 12 parities are even"));
    rows[3].textContent = errors.length ? `${errors.length}: ${listed(errors)}` : "none";
  };
}

/** The nearest words as buttons: one, or six of a sextet. */
function nearestRow(parent, choose) {
  const title = html("p", { class: "llvq-gp-title" }, parent);
  const box = html("div", { class: "llvq-gp-near" }, parent);
  const buttons = Array.from(LETTERS, (_, k) => {
    const button = html("button", { type: "button", class: "near" }, box);
    const picture = svg("svg", { viewBox: "0 0 69 41", "aria-hidden": "true" }, button);
    const text = html("span", {}, button);
    button.addEventListener("click", () => {
      choose(k);
      buttons[0].button.focus(); // the others may be hidden now
    });
    return { button, picture, text };
  });
  return (words, received, { distance, near }, groups) => {
    box.classList.toggle("single", near.length === 1);
    title.textContent = distance === 0 ? "You are on a code word" : near.length > 1 ? "Six nearest code words: choose one" : "The nearest code word";
    buttons.forEach(({ button, picture, text }, k) => {
      button.hidden = k >= near.length;
      if (button.hidden) return;
      const word = words[near[k]];
      drawMini(picture, word, received, groups);
      const flips = distance ? `: flip ${listed(ones(word ^ received))}` : "";
      if (near.length === 1) text.textContent = `Number ${near[k]}, ${KINDS[weight(word)]}${flips}`;
      else text.textContent = `${LETTERS[k]}: no. ${near[k]}\nweight ${weight(word)}`;
    });
  };
}

function fillTable(table, state, received, number) {
  const [x, a, b] = [number >> 8, (number >> 4) & 15, number & 15];
  table.caption.textContent = `Word number ${number}: x = ${x}, a = ${a}, b = ${b}. Each octad is h + g(${x}); the third h is the sum of the others`;
  table.body.replaceChildren();
  [a, b, a ^ b].forEach((h, o) => {
    const row = html("tr", {}, table.body);
    html("th", { scope: "row" }, row, String(o));
    const own = state.hamming[h] ^ state.inverted[x];
    for (const byte of [(received >> (8 * o)) & 255, own, state.hamming[h], state.inverted[x]]) {
      html("td", {}, row, eight(byte));
    }
    row.children[3].prepend(html("i", {}, null, `h(${h}) `));
  });
}

/** The row of buttons; each changes the word and says what it did. */
function actions(parent, words, model, go) {
  const box = html("div", { class: "llvq-gp-buttons" }, parent);
  const button = (text, act) => html("button", { type: "button" }, box, text).addEventListener("click", act);
  button("Random code word", () => {
    const word = words[Math.floor(4096 * Math.random())];
    go(word, "A code word by chance.", word);
  });
  button("Add an error", () => {
    const untouched = ones(~(model.get("word") ^ model.get("sent")));
    const i = untouched[Math.floor(untouched.length * Math.random())];
    go(model.get("word") ^ (1 << i), `Bit ${i} was hit.`);
  });
  button("Decode", () => {
    const [word, sent] = [model.get("word"), model.get("sent")];
    const { distance, near } = decode(words, word);
    const tie = distance === 4 ? " Of six equal words it took A, the one with the smallest number." : "";
    go(words[near[0]], distance ? outcome(sent, word, words[near[0]]) + tie : "Nothing to repair.");
  });
  button("Clear", () => go(0, "All bits are zero.", 0));
}

function render({ model, el }) {
  const state = { hamming: model.get("hamming"), inverted: model.get("inverted") };
  const words = golayWords(state.hamming, state.inverted);
  const set = setter(model);
  const id = uid();
  let said = "";
  function go(word, text, sent) {
    said = text;
    if (sent !== undefined) set("sent", sent);
    if (word === model.get("word")) update();
    else set("word", word);
  }
  const root = frame(el, "llvq-gp", "Golay playground");
  const columns = html("div", { class: "llvq-gp-columns" }, root);
  const left = html("div", { class: "llvq-gp-left" }, columns);
  const showBits = bitGrid(left, (i) => {
    const word = model.get("word") ^ (1 << i);
    go(word, `Bit ${i} is now ${bit(word, i) ? "one" : "zero"}.`);
  });
  const side = html("div", { class: "llvq-gp-side" }, columns);
  const status = html("p", { class: "llvq-w-status", role: "status" }, side);
  const showFacts = factList(side);
  actions(root, words, model, go);
  const marks = html("input", { type: "checkbox", id: id + "marks" });
  const label = html("label", { class: "llvq-gp-marks", for: id + "marks" }, root.lastChild);
  label.append(marks, "mark what decoding would flip");
  marks.addEventListener("change", () => set("marks", marks.checked));
  const showNearest = nearestRow(root, (k) => {
    const [word, sent] = [model.get("word"), model.get("sent")];
    const { distance, near } = decode(words, word);
    go(words[near[k]], distance ? outcome(sent, word, words[near[k]]) : "Nothing to repair.");
  });
  const table = tableFrame(root, "Octads of the nearest word", ["octad", "yours", "nearest", "h", "g"]);

  function update() {
    const word = model.get("word");
    const found = decode(words, word);
    const nearest = words[found.near[0]];
    const groups = model.get("marks") ? tetrads(words, word, found) : null;
    const sent = found.distance ? model.get("sent") : word;
    if (sent !== model.get("sent")) set("sent", sent);
    marks.checked = model.get("marks");
    showBits(word, model.get("marks") && !groups ? nearest ^ word : 0, groups);
    status.textContent = `${said} ${describe(words, word, found)}`.trim();
    said = "";
    showFacts(words, word, sent, found);
    showNearest(words, word, found, groups);
    fillTable(table, state, word, found.near[0]);
  }
  return follow(model, ["word", "marks"], columns, update);
}

export default { render };

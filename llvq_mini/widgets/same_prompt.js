// The same prompt continued by the original and by quantized models; each token is marked by the original's surprise.
//
// State (llvq_mini/widgets/same_prompt.py makes it and says what surprise is):
//   prompts   their texts; levels: bits of surprise above which a token is marked, marked more, and most; caption: of the table
//   arms      {label, text, bits, missed, texts} from the original down; bits is 0 for the original, and each text is
//             {pieces, surprise, instead, chance, same, missed}: `same` first pieces are those of the original's text,
//             `missed` is the surprise of this model at the original's text
//   prompt    number of the chosen prompt; arm, token: the chosen token
// The page computes means and marks only.  Tests: tests/browser/test_widget_same_prompt.py.

const shown = (piece) => piece.replaceAll("\n", "↵ ");
const quoted = (piece) => `“${shown(piece).trim() || "space"}”`;
const mean = (values) => values.reduce((sum, v) => sum + v, 0) / Math.max(values.length, 1);

function odds(bits) {
  const n = 2 ** bits;
  if (bits < 1) return `${Math.round(100 / n)} %`;
  return `one chance in ${n < 10 ? n.toFixed(1) : Number(n.toPrecision(2)).toLocaleString("en-US")}`;
}

/** What is known about a token. */
function told(arm, own, n) {
  if (!own.pieces.length) return `${arm.label}: it ends the text at once.`;
  const bits = own.surprise[n];
  const head = `${arm.label}, token ${n + 1} of ${own.pieces.length}, ${quoted(own.pieces[n])}: the original gives it ${odds(bits)}, ${bits.toFixed(1)} bits of surprise. `;
  const usual = own.instead[n] === own.pieces[n] ? "It is what the original would say, too." : `Here it would say ${quoted(own.instead[n])} with ${Math.round(100 * own.chance[n])} %.`;
  return head + usual;
}

/** One text: the prompt, and its tokens as options of a list, one of all tokens in the tab order. */
function drawText(parent, prompt, arm, own, levels, k, choose) {
  const box = html("div", { class: "llvq-sp-card" }, parent);
  const head = html("p", { class: "llvq-sp-label" }, box);
  html("b", {}, head, arm.label);
  html("span", {}, head, arm.bits ? `${arm.bits.toFixed(2)} bits a weight with scales` : "");
  const text = html("p", { class: "llvq-sp-text" }, box);
  html("i", {}, text, prompt);
  const list = html("span", { role: "listbox", "aria-label": `${arm.label}, token by token` }, text);
  const tokens = own.pieces.map((piece, n) => {
    const mark = levels.filter((bound) => own.surprise[n] > bound).length;
    const leaves = k > 0 && n === own.same;
    const token = html("span", { role: "option", class: `token s${mark}${leaves ? " leaves" : ""}`, tabindex: -1, "aria-selected": "false" }, list, shown(piece));
    token.setAttribute("aria-label", `${quoted(piece)}, ${own.surprise[n].toFixed(1)} bits`);
    token.addEventListener("click", () => choose(k, n));
    return token;
  });
  if (!tokens.length) html("span", { role: "option", class: "token s0", tabindex: -1, "aria-selected": "false" }, list, " (nothing)");
  return tokens;
}

function fillTable(table, arms, prompt) {
  table.body.replaceChildren();
  for (const arm of arms) {
    const own = arm.texts[prompt];
    const row = html("tr", {}, table.body);
    html("th", { scope: "row" }, row, arm.label);
    for (const text of [arm.bits ? arm.bits.toFixed(2) : "–", own.same, mean(own.surprise).toFixed(2), own.missed.toFixed(2)])
      html("td", {}, row, String(text));
  }
}

function render({ model, el }) {
  const [prompts, arms, levels] = ["prompts", "arms", "levels"].map((key) => model.get(key));
  const set = setter(model);
  const id = uid();
  const root = frame(el, "llvq-sp", "Same prompt, fewer bits");
  const choice = html("div", { class: "llvq-sp-choose" }, root);
  html("label", { for: id + "prompt" }, choice, "Prompt");
  const select = html("select", { id: id + "prompt" }, choice);
  prompts.forEach((prompt, n) => html("option", { value: n }, select, `${prompt} …`));
  select.addEventListener("change", () => {
    const prompt = Number(select.value); // the next lines show the old one once more
    for (const key of ["arm", "token"]) set(key, 0);
    set("prompt", prompt);
  });
  const key = html("p", { class: "llvq-w-key llvq-sp-key" }, root);
  html("span", {}, key, "Surprise of the original:");
  levels.forEach((bound, n) => html("span", { class: `s${n + 1}` }, key, `more than ${bound} bits`));
  html("span", { class: "leaves" }, key, "leaves the original's text");
  const stage = html("div", { class: "llvq-sp-texts" }, root);
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const table = tableFrame(root, "Models and their surprise", ["model", "bits a weight", "tokens in common", "surprises the original", "is surprised"]);
  table.caption.textContent = model.get("caption");
  let [tokens, drawn] = [[], null];

  function choose(k, n) {
    set("arm", k);
    set("token", n);
    tokens[k][n]?.focus();
  }
  stage.addEventListener("keydown", (event) => {
    const k = tokens.findIndex((row) => row.includes(event.target));
    if (k < 0) return;
    const [dx, dy] = ARROWS[event.key] || [0, 0];
    const n = tokens[k].indexOf(event.target);
    const place = { Home: 0, End: tokens[k].length - 1 }[event.key] ?? n + dx;
    if (!dx && !dy && !["Home", "End"].includes(event.key)) return;
    event.preventDefault();
    let next = k;
    if (dy) for (let to = k + dy; to >= 0 && to < tokens.length && next === k; to += dy) if (tokens[to].length) next = to;
    choose(next, clamp(place, 0, tokens[next].length - 1));
  });

  function update() {
    const prompt = model.get("prompt");
    select.value = prompt;
    if (drawn !== prompt) {
      stage.replaceChildren();
      tokens = arms.map((arm, k) => drawText(stage, prompts[prompt], arm, arm.texts[prompt], levels, k, choose));
      fillTable(table, arms, prompt);
      drawn = prompt;
    }
    const k = clamp(model.get("arm"), 0, arms.length - 1);
    const own = arms[k].texts[prompt];
    const n = clamp(model.get("token"), 0, Math.max(own.pieces.length - 1, 0));
    tokens.forEach((row, i) =>
      row.forEach((token, j) => {
        token.tabIndex = i === k && j === n ? 0 : -1;
        token.setAttribute("aria-selected", i === k && j === n ? "true" : "false");
      }),
    );
    status.textContent = told(arms[k], own, n);
  }
  return follow(model, ["prompt", "arm", "token"], stage, update);
}

export default { render };

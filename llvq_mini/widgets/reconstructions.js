// Pictures and what comes back from autoencoders, side by side, under a slider for the bits of a token.
//
// State (llvq_mini/widgets/reconstructions.py makes it):
//   names, originals, sizes   of the pictures: name, PNG as data URI, [width, height]
//   stops                     for each place of the slider: rows of code, bits, psnr and pictures, one for each original
//   patch                     pixels of a token
//   picture, stop, errors     what is shown now
// Tests: tests/browser/test_widget_reconstructions.py.

/** One picture with a caption; with `over`, the difference to it. */
function figureOf(parent, source, alt, caption, [width, height], over) {
  const figure = html("figure", {}, parent);
  const box = html("div", { class: over ? "box errors" : "box" }, figure);
  html("img", { src: source, alt, width, height, draggable: "false" }, box);
  if (over) html("img", { class: "over", src: over, alt: "", width, height }, box);
  const text = html("figcaption", {}, figure);
  for (const line of caption) html("span", {}, text, line);
}

const bitsText = (rows) => {
  const bits = rows.map((row) => row.bits);
  const [low, high] = [Math.min(...bits), Math.max(...bits)].map((b) => b.toFixed(1).replace(/\.0$/, ""));
  return low === high ? `${low} bits a token` : `${low} to ${high} bits a token`;
};

function showPictures(box, state, now) {
  const { picture, errors } = now;
  const original = state.originals[picture];
  const name = state.names[picture];
  box.replaceChildren();
  figureOf(box, original, `${name}, the original`, ["original"], state.sizes[picture]);
  for (const row of state.stops[now.stop]) {
    const decibels = `${row.psnr[picture].toFixed(2)} dB`;
    const what = errors ? "errors of" : "after";
    const alt = `${name}, ${what} the autoencoder with ${row.code} at ${row.bits.toFixed(2)} bits a token: ${decibels}`;
    figureOf(box, row.pictures[picture], alt, [row.code, `${row.bits.toFixed(2)} bits, ${decibels}`], state.sizes[picture], errors ? original : null);
  }
}

function fillTable(table, state, stop, picture) {
  table.body.replaceChildren();
  for (const row of state.stops[stop]) {
    const line = html("tr", {}, table.body);
    html("th", { scope: "row" }, line, row.code);
    for (const text of [row.bits.toFixed(2), (row.bits / state.patch).toFixed(5)]) html("td", {}, line, text);
    row.psnr.forEach((value, k) => html("td", k === picture ? { class: "chosen" } : {}, line, value.toFixed(2)));
  }
}

function describe(state, { picture, stop }) {
  const rows = [...state.stops[stop]].sort((a, b) => b.psnr[picture] - a.psnr[picture]);
  const order = rows.map((row) => `${row.code} ${row.psnr[picture].toFixed(2)} dB`).join(", ");
  return `${state.names[picture]}, ${bitsText(rows)}: ${order}.`;
}

function render({ model, el }) {
  const keys = ["names", "originals", "sizes", "stops", "patch"];
  const state = Object.fromEntries(keys.map((key) => [key, model.get(key)]));
  const set = setter(model);
  const id = uid();
  const root = frame(el, "llvq-rc", "Pictures and their reconstructions");
  const box = html("div", { class: "llvq-w-controls" }, root);
  const slider = sliderRow(box, id + "stop", "Bits", { min: 0, max: state.stops.length - 1, step: 1 });
  slider.input.addEventListener("input", () => set("stop", Number(slider.input.value)));
  const names = radioRow(box, id + "picture", "Picture", state.names.map((name, k) => [k, name]), (value) => set("picture", Number(value)));
  const label = html("label", { class: "llvq-rc-errors" }, box);
  const errors = html("input", { type: "checkbox" }, label);
  label.append("show the errors, five times as bright");
  errors.addEventListener("change", () => set("errors", errors.checked));
  const stage = html("div", { class: "llvq-rc-pictures" }, root);
  const status = html("p", { class: "llvq-w-status", role: "status" }, root);
  const columns = ["code", "bits a token", "bits a pixel", ...state.names.map((name) => "PSNR, " + name)];
  const table = tableFrame(root, "PSNR of the pieces shown", columns);
  table.caption.textContent = "PSNR in dB of the pieces shown";

  function update() {
    const now = { picture: model.get("picture"), stop: model.get("stop"), errors: model.get("errors") };
    slider.show(now.stop, bitsText(state.stops[now.stop]));
    names[now.picture].checked = true;
    errors.checked = now.errors;
    showPictures(stage, state, now);
    status.textContent = describe(state, now);
    fillTable(table, state, now.stop, now.picture);
  }
  return follow(model, ["picture", "stop", "errors"], stage, update);
}

export default { render };

// What every page does. 1. Wide formulas and outputs scroll inside their own box, and a box that scrolls must be reachable
// by keyboard. 2. Paper is light and shows what is folded: solutions open while the page is printed. 3. The published book
// (.ci/publish) lies in folders latest/, v1.2/, ..., named in versions.json beside them: the sidebar offers the others.
(function () {
  "use strict";
  const boxes = ".bd-article div.math, .bd-article div.cell_output, .bd-article .llvq-drawing, .bd-article pre";

  function makeReachable() {
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  }

  let folded = [];
  let theme = "";

  function beforePrint() {
    folded = [...document.querySelectorAll(".toggle-hidden")];
    for (const box of folded) box.classList.remove("toggle-hidden");
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  }

  function afterPrint() {
    for (const box of folded) box.classList.add("toggle-hidden");
    document.documentElement.dataset.theme = theme;
  }

  async function offerVersions() {
    const place = /^(.*\/)(latest|v\d+\.\d+)\/(.*)$/.exec(location.pathname);
    if (!place || !location.protocol.startsWith("http")) return;
    const [, root, current, page] = place;
    const answer = await fetch(`${root}versions.json`);
    const names = answer.ok ? await answer.json() : [];
    const sidebar = document.querySelector(".bd-sidebar-primary nav.bd-links");
    if (names.length < 2 || !sidebar) return;
    const label = document.createElement("label");
    label.className = "llvq-versions";
    const choice = document.createElement("select");
    label.append("Version ", choice);
    for (const name of names) choice.add(new Option(name, name, name === current, name === current));
    choice.addEventListener("change", async () => {
      const same = `${root}${choice.value}/${page}`; // an older book may lack the page
      const found = await fetch(same, { method: "HEAD" });
      location.href = found.ok ? same : `${root}${choice.value}/`;
    });
    sidebar.before(label);
  }

  window.addEventListener("beforeprint", beforePrint);
  window.addEventListener("afterprint", afterPrint);
  window.addEventListener("resize", makeReachable);
  window.addEventListener("load", () => {
    makeReachable();
    offerVersions();
    const startup = window.MathJax && window.MathJax.startup;
    if (startup && startup.promise) startup.promise.then(makeReachable);
  });
})();

// What every page does. 1. Wide formulas and outputs scroll inside their own box, and a box that scrolls must be reachable
// by keyboard. 2. Paper is light and shows what is folded: solutions open while the page is printed.
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

  window.addEventListener("beforeprint", beforePrint);
  window.addEventListener("afterprint", afterPrint);
  window.addEventListener("resize", makeReachable);
  window.addEventListener("load", () => {
    makeReachable();
    const startup = window.MathJax && window.MathJax.startup;
    if (startup && startup.promise) startup.promise.then(makeReachable);
  });
})();

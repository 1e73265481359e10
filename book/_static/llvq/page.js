// Wide formulas and outputs scroll inside their own box; a box that scrolls must be reachable by keyboard.
(function () {
  "use strict";
  const boxes = ".bd-article div.math, .bd-article div.cell_output, .bd-article .llvq-figure, .bd-article pre";

  function makeReachable() {
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
      else box.removeAttribute("tabindex");
    }
  }

  window.addEventListener("resize", makeReachable);
  window.addEventListener("load", () => {
    makeReachable();
    const startup = window.MathJax && window.MathJax.startup;
    if (startup && startup.promise) startup.promise.then(makeReachable);
  });
})();

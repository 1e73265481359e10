// The glossary's definition beside a term, on hover and on focus. It stays while the pointer is on the term or on the
// note, and goes with Escape, on leaving, and on losing focus (WCAG 1.4.13). The text comes from glossary.js.
(function () {
  "use strict";
  const entries = window.llvqGlossary || {};
  const LEAVE = 250; // milliseconds to get from the term to the note
  let tip, current, timer;

  function build() {
    tip = document.createElement("div");
    tip.id = "llvq-tip";
    tip.setAttribute("role", "tooltip");
    tip.hidden = true;
    tip.addEventListener("pointerenter", () => clearTimeout(timer));
    tip.addEventListener("pointerleave", later);
    document.body.append(tip);
  }

  function show(link) {
    clearTimeout(timer);
    if (current === link) return;
    hide();
    current = link;
    tip.textContent = "";
    const name = document.createElement("strong");
    name.textContent = link.llvqEntry.term;
    tip.append(name, ". " + link.llvqEntry.text);
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    place(link);
  }

  // Under the line, above it if there is no room below; never beyond the edges of the window.
  function place(link) {
    const line = link.getClientRects()[0];
    const width = document.documentElement.clientWidth;
    tip.style.left = "0";
    tip.style.top = "0";
    const box = tip.getBoundingClientRect();
    const left = Math.max(12, Math.min(line.left, width - box.width - 12));
    const below = line.bottom + 6;
    const top = below + box.height > window.innerHeight && line.top > box.height + 6 ? line.top - box.height - 6 : below;
    tip.style.left = left + window.scrollX + "px";
    tip.style.top = top + window.scrollY + "px";
  }

  function hide() {
    clearTimeout(timer);
    if (!current) return;
    current.removeAttribute("aria-describedby");
    current = undefined;
    tip.hidden = true;
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(() => document.activeElement !== current && hide(), LEAVE);
  }

  document.addEventListener("DOMContentLoaded", () => {
    build();
    for (const mark of document.querySelectorAll(".bd-article a .std-term")) {
      const link = mark.closest("a");
      const entry = entries[decodeURIComponent(link.hash.slice(1))];
      if (!entry) continue;
      link.llvqEntry = entry;
      link.classList.add("llvq-term");
      link.removeAttribute("title");
      link.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && show(link));
      link.addEventListener("pointerleave", later);
      link.addEventListener("focus", () => show(link));
      link.addEventListener("blur", hide);
    }
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  window.addEventListener("resize", hide);
})();

// Shows each widget of a page without a kernel. A mount node looks like
//   <div class="llvq-widget" data-llvq-widget="NAME"><script type="application/json">STATE</script> static picture </div>
// and its module, wrapped into window.llvqWidgets[NAME], gets the part of anywidget's model that it uses: get, set, on,
// off and save_changes. The static picture stays where the module is missing or fails, and returns on paper.
(function () {
  "use strict";

  function makeModel(state) {
    const listeners = {};
    return {
      get: (key) => state[key],
      set(key, value) {
        state[key] = value;
        for (const callback of listeners["change:" + key] || []) callback();
      },
      save_changes() {}, // nobody to save them for: the page has no kernel
      on(event, callback) {
        (listeners[event] = listeners[event] || []).push(callback);
      },
      off(event, callback) {
        listeners[event] = (listeners[event] || []).filter((other) => other !== callback);
      },
    };
  }

  for (const node of document.querySelectorAll("[data-llvq-widget]")) {
    const module = (window.llvqWidgets || {})[node.dataset.llvqWidget];
    if (!module) continue;
    const script = node.querySelector('script[type="application/json"]');
    const still = [...node.childNodes].filter((child) => child !== script);
    const stage = document.createElement("div");
    module.render({ model: makeModel(JSON.parse(script.textContent)), el: stage });
    node.replaceChildren(stage);
    window.addEventListener("beforeprint", () => node.replaceChildren(...still));
    window.addEventListener("afterprint", () => node.replaceChildren(stage));
  }
})();

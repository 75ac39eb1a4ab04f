// The page of the system brings itself up to date while somebody looks at it.
"use strict";
(() => {
  const AGAIN_MS = 10000;
  const live = document.getElementById("live");

  const say = (words) => {
    if (live.textContent !== words) live.textContent = words;
  };

  async function refresh() {
    if (!document.hidden) {
      const found = await window.vigil.refresh("system");
      say(found ? "Live" : "Not up to date: the service cannot show this page now. It is asked again.");
    }
    setTimeout(refresh, AGAIN_MS);
  }

  setTimeout(refresh, AGAIN_MS);
})();

"use strict";
// In the page that `bench report --watch` serves: loads it anew when there is a newer one, and keeps the reader's place.
(() => {
  const version = document.currentScript.dataset.version, place = "bench-report-place", every_ms = 1000;
  const live = "Live: follows the run as records come in.";
  const said = document.createElement("p");
  said.className = "live";
  said.setAttribute("role", "status");
  said.textContent = live;
  (document.querySelector("header") ?? document.body).append(said);

  function say(text) {
    if (said.textContent !== text) said.textContent = text; // a status that is set anew is read out anew
  }

  function keep() {
    const open = [...document.querySelectorAll("details")].map((each) => [each.id, each.open]);
    const filters = [...document.querySelectorAll("input[type=search]")].map((each) => [each.id, each.value]);
    sessionStorage.setItem(place, JSON.stringify({ open, filters, y: scrollY }));
  }

  function restore({ open, filters, y }) {
    open.forEach(([id, was]) => {
      const each = document.getElementById(id);
      if (each) each.open = was;
    });
    filters.filter(([, value]) => value).forEach(([id, value]) => {
      const each = document.getElementById(id);
      if (!each) return;
      each.value = value;
      each.dispatchEvent(new Event("input"));
    });
    scrollTo(0, y);
  }

  async function look() {
    let newest;
    try {
      newest = await (await fetch("/version", { cache: "no-store" })).text();
    } catch {
      say("The server has stopped: this page no longer follows the run.");
      setTimeout(look, 5 * every_ms);
      return;
    }
    if (newest !== version) {
      keep();
      location.reload();
      return;
    }
    say(live);
    setTimeout(look, every_ms);
  }

  const kept = sessionStorage.getItem(place);
  sessionStorage.removeItem(place);
  if (kept) {
    history.scrollRestoration = "manual";
    restore(JSON.parse(kept));
  }
  look();
})();

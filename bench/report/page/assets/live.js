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

  const controls = () => [...document.querySelectorAll(".controls input")];
  const head = (table, index) => document.getElementById(table)?.tHead.rows[0].cells[index]?.querySelector("button");
  const placeOf = (th) => [th.closest("table").id, th.cellIndex];

  function keep() {
    const open = [...document.querySelectorAll("details")].map((each) => [each.id, each.open]);
    const filters = [...document.querySelectorAll("input[type=search]")].map((each) => [each.id, each.value]);
    const sorted = [...document.querySelectorAll("th[aria-sort$=ending]")].map((th) => [
      ...placeOf(th), th.getAttribute("aria-sort"),
    ]);
    const chosen = controls().map((each) => (each.type === "range" ? each.value : each.checked));
    const active = document.activeElement, th = active?.closest("th");
    const focus = th ? placeOf(th) : [active?.id];
    sessionStorage.setItem(place, JSON.stringify({ open, filters, sorted, chosen, focus, y: scrollY }));
  }

  function restore({ open, filters, sorted, chosen, focus, y }) {
    sorted.forEach(([table, index, way]) => {
      const button = head(table, index);
      for (let clicks = 0; button && clicks < 2 && button.parentElement.getAttribute("aria-sort") !== way; clicks += 1) {
        button.click();
      }
    });
    controls().forEach((each, index) => {
      if (each.type === "range") each.value = chosen[index] ?? each.value; else each.checked = chosen[index] ?? each.checked;
      each.dispatchEvent(new Event("input"));
    });
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
    (focus.length > 1 ? head(...focus) : document.getElementById(focus[0]))?.focus({ preventScroll: true });
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

"use strict";
// Tables that sort and filter by mouse and keyboard, and take the keyboard's focus only where they scroll.
(() => {
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  function compare(a, b) {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  }

  function sortable(table) {
    const body = table.tBodies[0], original = [...body.rows], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
      const way = next[head.getAttribute("aria-sort")], sign = way === "descending" ? -1 : 1;
      const key = (row) => row.cells[index].dataset.key ?? row.cells[index].textContent;
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? way : "none"));
      const keyed = original.map((row) => [key(row), row]);
      if (way !== "none") {
        // What is missing goes last, whichever way.
        keyed.sort(([a], [b]) => (a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b)));
      }
      body.append(...keyed.map(([, row]) => row));
    }));
  }

  function filterable(line) {
    const table = line.closest(".table").querySelector("table"), rows = [...table.tBodies[0].rows];
    const input = line.querySelector("input"), count = line.querySelector("output");
    const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    function apply() {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = words.length ? `${shown} of ${rows.length}` : `${rows.length} rows`;
    }
    input.addEventListener("input", apply);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { input.value = ""; apply(); }
    });
    apply();
    line.hidden = false;
  }

  // An edge fades where a table goes on behind it.
  function edges(region) {
    region.classList.toggle("more-right", region.scrollWidth - region.clientWidth - region.scrollLeft > 1);
    region.classList.toggle("more-below", region.scrollHeight - region.clientHeight - region.scrollTop > 1);
  }

  // A region that scrolls must be reachable by keyboard; one that does not would only be a stop without a purpose.
  function makeReachable(region) {
    const scrolls = region.scrollWidth > region.clientWidth || region.scrollHeight > region.clientHeight;
    const wanted = { role: "region", tabindex: "0", "aria-labelledby": region.dataset.label };
    Object.entries(wanted).forEach(([name, value]) => {
      if (scrolls) region.setAttribute(name, value); else region.removeAttribute(name);
    });
    edges(region);
  }

  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    makeReachable(target.closest(".scroll"));
  }));

  document.querySelectorAll("table").forEach(sortable);
  document.querySelectorAll(".filter").forEach(filterable);
  document.querySelectorAll(".scroll").forEach((region) => {
    sizes.observe(region);
    sizes.observe(region.firstElementChild); // a filter changes the table, not the region
    region.addEventListener("scroll", () => edges(region), { passive: true });
  });
})();

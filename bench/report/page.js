"use strict";
// Tables that sort by click and keyboard, figures in the page's colours. No request leaves the page.
(() => {
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === ""); // what is missing goes last, whichever way
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  }

  function sortable(table) {
    const body = table.tBodies[0], original = [...body.rows], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
      const way = next[head.getAttribute("aria-sort")];
      heads.forEach((each) => each.setAttribute("aria-sort", each === head ? way : "none"));
      const key = (row) => row.cells[index].dataset.key;
      const sign = way === "descending" ? -1 : 1;
      const rows = way === "none" ? original : [...original].sort((a, b) => {
        const missing = key(a) === "" || key(b) === "";
        return (missing ? 1 : sign) * compare(key(a), key(b));
      });
      body.append(...rows);
    }));
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    const axis = (letter) => ({
      [`${letter}axis.gridcolor`]: value("--rule"), [`${letter}axis.zerolinecolor`]: value("--strong-rule"),
      [`${letter}axis.tickcolor`]: value("--rule"), [`${letter}axis.linecolor`]: value("--rule"),
    });
    return {
      "font.color": value("--ink"), "hoverlabel.bgcolor": value("--raised"), "hoverlabel.font.color": value("--ink"),
      "hoverlabel.bordercolor": value("--strong-rule"), ...axis("x"), ...axis("y"),
    };
  }

  const plots = [];

  function draw(figure) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const target = figure.querySelector(".plot");
    layout.font.family = getComputedStyle(document.body).fontFamily;
    target.style.height = `${layout.height}px`;
    const config = { responsive: true, displaylogo: false, displayModeBar: false };
    plots.push(target);
    return Plotly.newPlot(target, data, layout, config).then(() => Plotly.relayout(target, colours()));
  }

  function recolour() {
    plots.forEach((plot) => Plotly.relayout(plot, colours()));
  }

  function resize(width) {
    plots.forEach((plot) => Plotly.relayout(plot, { ...colours(), width: width(plot), autosize: !width(plot) }));
  }

  document.querySelectorAll("table").forEach(sortable);
  Promise.all([...document.querySelectorAll("figure.drawing")].map(draw)).then(() => {
    document.documentElement.dataset.drawn = "yes";
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest("figure"));
    closed.forEach((each) => { each.open = true; });
    document.documentElement.classList.add("print");
    // A plot keeps the width that it was drawn at; on paper that of a landscape page, two in a row in a grid.
    resize((plot) => (plot.closest(".grid") ? 450 : 940));
  });
  addEventListener("afterprint", () => {
    closed.forEach((each) => { each.open = false; });
    document.documentElement.classList.remove("print");
    resize(() => undefined);
  });
})();

"use strict";
// Figures in the page's colours, links that open what they lead to, the contents, print. No request leaves the page.
(() => {
  const root = document.documentElement, plots = [];

  // A colour of the style sheet as rgb(…): plotly knows neither variables nor the system's colour names.
  function colour(name) {
    root.style.outlineColor = `var(--${name})`;
    const computed = getComputedStyle(root).outlineColor;
    root.style.outlineColor = "";
    return computed;
  }

  // The layout's parts that have the page's colours, each with its other settings as they are.
  function colours(layout) {
    const rule = colour("rule"), bordercolor = colour("strong-rule"), color = colour("ink");
    const lines = { gridcolor: rule, zerolinecolor: bordercolor, tickcolor: rule, linecolor: rule };
    const axes = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
    return {
      font: { ...layout.font, color },
      hoverlabel: { ...layout.hoverlabel, bgcolor: colour("raised"), bordercolor, font: { color } },
      ...Object.fromEntries(axes.map((name) => [name, { ...layout[name], ...lines }])),
    };
  }

  function draw(figure) {
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    const target = figure.querySelector(".plot");
    layout.font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    // A name with two dollars is no formula.
    const config = { responsive: true, displaylogo: false, displayModeBar: false, typesetMath: false };
    plots.push(target);
    return Plotly.newPlot(target, data, { ...layout, ...colours(layout) }, config).then(fit);
  }

  // The x axis' title on as many lines as keep it below its axis: on a phone a longer one would be cut off.
  function fit(plot) {
    const title = plot.querySelector(".xtitle"), axis = plot.querySelector(".nsewdrag");
    const wide = title?.getBoundingClientRect().width, room = axis?.getBoundingClientRect().width;
    if (!title || wide <= room) return undefined;
    const written = plot.layout.xaxis.title.text, longest = Math.floor(written.length * room / wide), lines = [""];
    written.split(" ").forEach((word) => {
      const line = `${lines.at(-1)} ${word}`.trim();
      if (line.length <= longest || !lines.at(-1)) lines[lines.length - 1] = line; else lines.push(word);
    });
    return Plotly.relayout(plot, { "xaxis.title.text": lines.join("<br>") });
  }

  function recolour() {
    plots.forEach((plot) => Plotly.relayout(plot, colours(plot.layout)));
  }

  // Every plot at a width, undefined for that of its place; one that is higher than `highest` is made smaller as a whole,
  // unless no one could read it then.
  function resize(width, highest) {
    plots.forEach((plot) => {
      const scale = Math.min(1, highest / plot.clientHeight), zoom = scale < 0.4 ? 1 : scale;
      const wanted = width(plot) && width(plot) / zoom;
      plot.style.zoom = zoom;
      Plotly.relayout(plot, { ...colours(plot.layout), width: wanted, autosize: !wanted });
    });
  }

  // What an address names may be folded away or filtered out.
  function reveal() {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    if (target.hidden) {
      const filter = target.closest(".table").querySelector("input");
      filter.value = "";
      filter.dispatchEvent(new Event("input"));
    }
    target.scrollIntoView({ block: target.matches("tr") ? "center" : "start" });
  }

  function contents() {
    const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
    const sections = [...document.querySelectorAll("main > section")], seen = new Set();
    let current = sections[0];
    const watching = new IntersectionObserver((entries) => {
      entries.forEach(({ target, isIntersecting }) => seen[isIntersecting ? "add" : "delete"](target));
      current = sections.find((section) => seen.has(section)) ?? current; // none while a gap goes by
      links.forEach((link, id) => {
        if (current.id === id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      });
    }, { rootMargin: "-10% 0px -60% 0px" });
    sections.forEach((section) => watching.observe(section));
    const wide = matchMedia("(min-width: 70rem)"), list = document.getElementById("contents");
    const fold = () => { list.open = wide.matches; };
    wide.addEventListener("change", fold);
    fold();
  }

  contents();
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) reveal(); // no change of the address, so no event
  });
  Promise.all([...document.querySelectorAll("figure.drawing")].map(draw)).then(() => {
    root.dataset.drawn = "yes";
  });
  reveal();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  matchMedia("(forced-colors: active)").addEventListener("change", recolour);
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("main details:not([open])")].filter((part) => !part.closest("figure"));
    closed.forEach((part) => { part.open = true; });
    root.classList.add("print");
    // On paper a plot has the width of a landscape page, two in a row in a grid, and leaves room for its head and caption.
    resize((plot) => (plot.closest(".grid") ? 450 : 940), 480);
  });
  addEventListener("afterprint", () => {
    closed.forEach((part) => { part.open = false; });
    root.classList.remove("print");
    resize(() => undefined, Infinity);
  });
})();

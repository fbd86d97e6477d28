"use strict";
// Two predictions under one divider, and the opacity of what lies over an image. Without it they stand side by side.
(() => {
  function divide(sides) {
    const rail = sides.querySelector(".rail"), range = rail.querySelector("input");
    const { left, right } = range.dataset;
    const move = () => {
      sides.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-valuetext", `${range.value} % ${left}, ${100 - range.value} % ${right}`);
    };
    rail.hidden = false;
    sides.closest(".entry").classList.add("sliding");
    range.addEventListener("input", move);
    move();
  }

  document.querySelectorAll(".gallery").forEach((gallery) => {
    const opacity = gallery.querySelector(".opacity"), range = opacity.querySelector("input");
    opacity.hidden = false;
    const fade = () => {
      gallery.style.setProperty("--opacity", range.value / 100);
      range.setAttribute("aria-valuetext", `${range.value} %`);
    };
    range.addEventListener("input", fade);
    fade();
    gallery.querySelectorAll(".sides").forEach(divide);
  });
})();

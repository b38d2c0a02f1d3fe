"use strict";
(() => {
  const items = [...document.querySelectorAll("article")];
  const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));
  const filter = document.getElementById("filter");
  const source = document.getElementById("source");
  const only = document.getElementById("only");
  const visible = () => items.filter((item) => !item.hidden);

  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of items) {
      const fits = words.every((word) => texts.get(item).includes(word));
      const from = !source.value || item.dataset.source === source.value;
      const has = !only.value || item.dataset.has.split(" ").includes(only.value);
      item.hidden = !(fits && from && has);
    }
    const left = visible().length;
    document.getElementById("shown").textContent =
      left === items.length ? `${left} items` : `${left} of ${items.length} items`;
    document.getElementById("nothing").hidden = left > 0;
  };
  for (const control of [filter, source, only]) control.addEventListener("input", apply);

  const toggle = (button) => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    document.body.classList.toggle(`hide-${button.dataset.toggle}`, !shown);
  };
  const buttons = [...document.querySelectorAll("[data-toggle]")];
  for (const button of buttons) button.addEventListener("click", () => toggle(button));

  const step = (by) => {
    const list = visible();
    if (!list.length) return;
    const at = list.findIndex((item) => item.contains(document.activeElement));
    const middle = list.findIndex((item) => item.getBoundingClientRect().bottom > 140);
    const start = at >= 0 ? at : by > 0 ? Math.max(middle, 0) - 1 : middle < 0 ? list.length : middle;
    const next = list[Math.min(Math.max(start + by, 0), list.length - 1)];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
    if (event.key === "Escape" && event.target === filter) {
      filter.value = "";
      apply();
      filter.blur();
    }
    if (typing) return;
    const button = buttons.find((one) => one.getAttribute("aria-keyshortcuts") === event.key);
    if (button) toggle(button);
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") filter.focus();
    else return;
    event.preventDefault();
  });

  for (const asset of document.querySelectorAll(".asset")) {
    const mark = (event, on) => {
      const number = event.target.closest?.("[data-n]")?.dataset.n;
      if (number === undefined) return;
      for (const one of asset.querySelectorAll(`[data-n="${number}"]`)) one.classList.toggle("on", on);
    };
    asset.addEventListener("mouseover", (event) => mark(event, true));
    asset.addEventListener("mouseout", (event) => mark(event, false));
  }

  window.addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("article details")) one.open = true;
  });
})();

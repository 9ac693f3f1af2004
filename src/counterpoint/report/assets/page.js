"use strict";
(() => {
  // What `title` elements say, shown at once beside the pointer (or under the finger).
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const texts = new WeakMap();
  const dots = new WeakMap();
  for (const svg of document.querySelectorAll("svg.figure")) {
    for (const title of svg.querySelectorAll(":scope > title, :scope > * > title")) {
      const mark = title.parentNode;
      if (mark === svg) svg.setAttribute("aria-label", title.textContent);
      else texts.set(mark, title.textContent);
      title.remove();
    }
    svg.removeAttribute("aria-labelledby");
    const own = [...svg.querySelectorAll("circle")].filter((dot) => texts.has(dot));
    dots.set(svg, own.map((dot) => [dot, +dot.getAttribute("cx"), +dot.getAttribute("cy")]));
  }
  const nearest = (svg, event) => {
    const box = svg.getBoundingClientRect();
    const unit = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * unit;
    const y = (event.clientY - box.top) * unit;
    let found = null;
    let least = 144;
    for (const [dot, across, down] of dots.get(svg)) {
      const far = (across - x) ** 2 + (down - y) ** 2;
      if (far < least) [found, least] = [dot, far];
    }
    return found;
  };
  const show = (event) => {
    const svg = event.target.closest ? event.target.closest("svg.figure") : null;
    const mark = svg && (texts.has(event.target) ? event.target : nearest(svg, event));
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = texts.get(mark);
    const { width, height } = tip.getBoundingClientRect();
    const room = document.documentElement;
    const left = Math.min(event.clientX + 14, room.clientWidth - width - 6);
    const over = event.clientY + 18 + height > room.clientHeight;
    tip.style.left = Math.max(6, left) + "px";
    tip.style.top = (over ? event.clientY - height - 12 : event.clientY + 18) + "px";
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);

  // Tables sort by the column whose heading is pressed; `data-v` holds a number's exact value.
  const key = (row, index) => {
    const cell = row.cells[index];
    if (!cell) return "";
    return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v === "" ? NaN : +cell.dataset.v;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") {
      return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : a - b;
    }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      if (!head.textContent.trim() || head.dataset.still !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(key(a, index), key(b, index)));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }
})();

"use strict";
// Sorting by a click on a heading, and search; without this script the page reads the same.
const value = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.v === undefined) return cell.textContent.trim().toLowerCase();
  return cell.dataset.v === "" ? NaN : Number(cell.dataset.v);
};
const order = (a, b) => typeof a === "number" && typeof b === "number"
  ? (isNaN(a) ? 1 : isNaN(b) ? -1 : a - b) : String(a).localeCompare(String(b), "en", {numeric: true});
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => order(value(a, column), value(b, column)));
      body.replaceChildren(...(up ? rows : rows.reverse()));
    });
  });
}
for (const place of document.querySelectorAll("table.search, .items.search")) {
  const input = document.createElement("input");
  input.type = "search";
  input.className = "filter";
  input.placeholder = "Search";
  input.setAttribute("aria-label", "Show only what holds this text");
  const before = place.closest(".scroll") || place;
  before.before(input);
  const parts = () => place.matches("table") ? place.tBodies[0].rows : place.children;
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const part of parts()) part.hidden = !part.textContent.toLowerCase().includes(wanted);
  });
}

"use strict";
// Sorting by a click on a heading, filters and search; without this script the page reads the same.
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
  const table = place.matches("table");
  const parts = table ? [...place.tBodies[0].rows] : [...place.children];
  // What a row can be filtered by: a name, and its value in a row.
  const picks = table
    ? [...place.tHead.rows[0].cells].filter(head => "pick" in head.dataset)
      .map(head => [head.textContent.trim(), row => row.cells[head.cellIndex].textContent.trim()])
    : place.dataset.picks.split(" ").map(name => [name, item => item.dataset[name.toLowerCase()]]);
  const filters = document.createElement("div");
  filters.className = "filters";
  const tests = picks.map(([name, of]) => {
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Show only rows of one value: ${name}`);
    select.add(new Option(`${name}: all`, ""));
    for (const one of new Set(parts.map(of))) select.add(new Option(one, one));
    if (select.length > 2) filters.append(select);
    return part => !select.value || of(part) === select.value;
  });
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Search";
  input.setAttribute("aria-label", "Show only what holds this text");
  filters.append(input);
  tests.push(part => part.textContent.toLowerCase().includes(input.value.toLowerCase()));
  filters.addEventListener("input", () => {
    for (const part of parts) part.hidden = !tests.every(test => test(part));
  });
  (place.closest(".scroll") || place).before(filters);
}

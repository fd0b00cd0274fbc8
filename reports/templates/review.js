"use strict";
const decisions = new Map();  // ids are any text, also names that every object has
const sections = [...document.querySelectorAll("section.pair")];
function show() {
  for (const section of sections)
    for (const button of section.querySelectorAll("button"))
      button.setAttribute("aria-pressed", decisions.get(section.dataset.id) === button.dataset.decision);
  document.getElementById("count").textContent = decisions.size;
}
for (const section of sections)
  section.addEventListener("click", (event) => {
    const decision = event.target.dataset.decision;
    if (!decision) return;
    const id = section.dataset.id;
    if (decisions.get(id) === decision) decisions.delete(id);
    else decisions.set(id, decision);
    show();
  });
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  const text = JSON.stringify({ decisions: Object.fromEntries(decisions) }, null, 2);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "decisions.json";
  link.click();
});

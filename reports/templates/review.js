"use strict";
const decisions = {};
const sections = [...document.querySelectorAll("section.pair")];
function show() {
  for (const section of sections)
    for (const button of section.querySelectorAll("button"))
      button.setAttribute("aria-pressed", decisions[section.dataset.id] === button.dataset.decision);
  document.getElementById("count").textContent = Object.keys(decisions).length;
}
for (const section of sections)
  section.addEventListener("click", (event) => {
    const decision = event.target.dataset.decision;
    if (!decision) return;
    const id = section.dataset.id;
    if (decisions[id] === decision) delete decisions[id];
    else decisions[id] = decision;
    show();
  });
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  const text = JSON.stringify({ decisions }, null, 2);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "decisions.json";
  link.click();
});

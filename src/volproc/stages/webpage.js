"use strict";
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const column = head.cellIndex, up = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => Number(row.cells[column].dataset.v);
    const rows = [...body.rows].sort((a, b) => up ? value(a) - value(b) : value(b) - value(a));
    body.append(...rows);
  });
}
for (const turn of document.querySelectorAll(".turn")) {
  const pictures = turn.querySelectorAll("img");
  turn.querySelector("input").addEventListener("input", event => {
    pictures.forEach((picture, n) => { picture.hidden = n !== Number(event.target.value); });
  });
}
for (const shot of document.querySelectorAll(".shot")) {
  shot.addEventListener("click", () => shot.closest(".pair").classList.toggle("wide"));
}

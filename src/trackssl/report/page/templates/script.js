"use strict";
// Sorting: a press on a column's head sorts by it, a second press turns the order round.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const column = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].dataset.v }));
    const numbers = rows.every(({ text }) => text === "" || !Number.isNaN(Number(text)));
    const sign = down ? -1 : 1;
    rows.sort((a, b) => {
      if (a.text === "" || b.text === "") return (a.text === "") - (b.text === "");
      return sign * (numbers ? a.text - b.text : a.text.localeCompare(b.text, "en", { numeric: true }));
    });
    body.append(...rows.map(({ row }) => row));
  });
}
// Light and dark: as the system says, until the reader chooses.
const root = document.documentElement;
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const remembered = () => { try { return localStorage.getItem("trackssl-theme"); } catch { return null; } };
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const say = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
if (remembered() === "dark" || remembered() === "light") root.dataset.theme = remembered();
theme.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try { localStorage.setItem("trackssl-theme", root.dataset.theme); } catch { /* not kept */ }
  say();
});
system.addEventListener("change", say);
theme.hidden = false;
say();

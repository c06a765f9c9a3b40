// ---- tables that are sorted by a column ----------------------------------------------------
const sortKey = (cell) => {
  const text = cell.textContent.trim();
  const number = /^−?[\d,]*\.?\d+(e[−-]?\d+)?/.exec(text);
  return number ? Number(number[0].replaceAll(",", "").replaceAll("−", "-")) : text;
};
const compared = (a, b) => {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
};
// "–" and "" are no numbers: they stay last, whichever way the others go.
const isMissing = (key) => key === "–" || key === "";
const sortBy = (table, column, descending) => {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, place) => ({ row, place, key: row.cells.length > column ? sortKey(row.cells[column]) : "" }));
  rows.sort((a, b) => isMissing(a.key) - isMissing(b.key)
    || (descending ? -1 : 1) * compared(a.key, b.key) || a.place - b.place);
  body.append(...rows.map(({ row }) => row));
};
const makeSortable = (table) => {
  const headers = [...table.tHead.rows[0].cells];
  if (table.tBodies[0].rows.length < 2) return;
  headers.forEach((header, column) => {
    const button = element("button", undefined, "sort");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") !== "descending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
};

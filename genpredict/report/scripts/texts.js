// ---- texts ---------------------------------------------------------------------------------
const NOT_GIVEN = "not given";
const format = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return NOT_GIVEN;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  const text = Math.abs(value) >= 10 && Math.abs(value) < 1000 ? value.toFixed(2)
    : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
};
// Seeds and the like are names: no commas in them.
const valueAt = (column, i) => {
  if (column.levels) return column.levels[column.codes[i]];
  const value = column.values[i];
  const plain = Number.isInteger(value) && !["num_parameters"].includes(column.key);
  return plain ? String(value) : format(value);
};
const isKnown = (column, i) => valueAt(column, i) !== NOT_GIVEN;
const element = (tag, text, className) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const wrapped = (text, most) => {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length + 1 > most) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines;
};
const fill = (select, options, chosen) => {
  for (const [value, text] of options) {
    const option = element("option", text);
    option.value = value;
    select.append(option);
  }
  if (chosen !== undefined) select.value = chosen;
};

// ---- what hovering tells -------------------------------------------------------------------
const tip = element("div", "", "tip");
tip.setAttribute("role", "tooltip");
tip.setAttribute("aria-live", "polite");
tip.hidden = true;
document.body.append(tip);
const showTip = (event, title, rows) => {
  const list = element("dl");
  for (const [name, value] of rows) list.append(element("dt", name), element("dd", value));
  tip.replaceChildren(element("strong", title), list);
  tip.hidden = false;
  const at = event.touches && event.touches.length ? event.touches[0] : event;
  const room = 14;
  const width = document.documentElement.clientWidth;
  const height = document.documentElement.clientHeight;
  let left = at.clientX + room;
  if (left + tip.offsetWidth > width - 4) left = at.clientX - tip.offsetWidth - room;
  let top = at.clientY + room;
  if (top + tip.offsetHeight > height - 4) top = at.clientY - tip.offsetHeight - room;
  tip.style.left = `${Math.max(4, Math.min(left, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(4, top)}px`;
};
const tooltip = (describe) => (handler, event, item, value) => {
  const there = value !== null && value !== undefined && value !== "" && item && item.datum;
  if (there) showTip(event, ...describe(item.datum.i));
  else tip.hidden = true;
};
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
window.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
const embed = (place, spec, describe, canvas) => window.vegaEmbed(place, spec, {
  renderer: canvas ? "canvas" : "svg",
  ast: true,
  actions: { export: true, source: false, compiled: false, editor: false },
  downloadFileName: "genpredict",
  tooltip: tooltip(describe),
});

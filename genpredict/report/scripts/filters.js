// ---- which checkpoints are shown, as the reader chooses ------------------------------------
const MOST_LEVELS = 200; // in a drop-down; of more, the reader types one
const filters = [];
const several = (column) => {
  if (column.levels) return column.levels.length > 1;
  const first = column.values.find(Number.isFinite);
  return column.values.some((value) => Number.isFinite(value) && value !== first);
};
// What is typed is compared with rounded numbers: a bound takes in what rounds to it.
const slack = (bound) => Math.abs(bound) * 2 ** -15;
const meets = ({ column, low, high, level }, i) => {
  if (column.levels) return level === "" || column.levels[column.codes[i]] === level;
  const value = column.values[i];
  if (low !== null && !(value >= low - slack(low))) return false;
  return high === null || value <= high + slack(high);
};
const isActive = ({ column, low, high, level }) => (column.levels ? level !== "" : low !== null || high !== null);
const shownCheckpoints = (count) => {
  const active = filters.filter(isActive);
  const mask = new Uint8Array(count).fill(1);
  for (const filter of active) {
    for (let i = 0; i < count; i += 1) if (mask[i] && !meets(filter, i)) mask[i] = 0;
  }
  return { active, mask };
};
// The condition as `--where` takes it (the syntax of pandas' query).
const quotedText = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
const conditionOf = ({ column, low, high, level }) => {
  const name = /^[A-Za-z_]\w*$/.test(column.key) ? column.key : `\`${column.key}\``;
  if (column.bare) return `${name} == ${level}`; // a truth value
  if (column.levels) return `${name} == ${quotedText(level === NOT_GIVEN ? "" : level)}`;
  const parts = [];
  if (low !== null) parts.push(`${name} >= ${low}`);
  if (high !== null) parts.push(`${name} <= ${high}`);
  return parts.join(" and ");
};
const quotedForShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const commandOf = (made, active) => {
  const conditions = active.map(conditionOf);
  if (made.where) conditions.unshift(`(${made.where})`);
  return `${made.command} --where ${quotedForShell(conditions.join(" and "))}`;
};

// ---- coefficients of the marks that are shown ----------------------------------------------
const pearson = (x, y) => {
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const [mx, my] = [mean(x), mean(y)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i += 1) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) ** 2;
    yy += (y[i] - my) ** 2;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : NaN;
};
const ranks = (list) => {
  const places = Array.from(list.keys()).sort((a, b) => list[a] - list[b]);
  const ranked = new Float64Array(list.length);
  for (let start = 0; start < places.length;) {
    let end = start;
    while (end < places.length && list[places[end]] === list[places[start]]) end += 1;
    for (let k = start; k < end; k += 1) ranked[places[k]] = (start + end + 1) / 2;
    start = end;
  }
  return ranked;
};
const coefficientsOf = (points, measure, target) => {
  const numbersIn = (axis, column) => points.map((point) => (column.log ? Math.log(point[axis]) : point[axis]));
  const [x, y] = [numbersIn("x", measure), numbersIn("y", target)];
  return [["PLCC", pearson(x, y)], ["ROCC", pearson(ranks(x), ranks(y))]];
};

// ---- the controls --------------------------------------------------------------------------
const bound = (name, changed) => {
  const label = element("label", `${name} `);
  const input = element("input");
  input.type = "number";
  input.step = "any";
  input.addEventListener("change", () => changed(input.value === "" ? null : Number(input.value)));
  label.append(input);
  return label;
};
const levelChoice = (column, changed) => {
  const label = element("label", "is ");
  const levels = column.levels;
  const input = element(levels.length > MOST_LEVELS ? "input" : "select");
  if (levels.length > MOST_LEVELS) input.placeholder = levels[0];
  else fill(input, [["", "any"], ...levels.map((level) => [level, level])]);
  input.addEventListener("change", () => changed(input.value));
  label.append(input);
  return label;
};
const addFilter = (columns, changed) => {
  const row = element("div", undefined, "filter");
  const filter = {};
  const select = element("select");
  const choice = element("span", undefined, "bounds");
  const remove = element("button", "Remove");
  const set = (part) => (value) => { filter[part] = value; changed(); };
  const choose = () => {
    Object.assign(filter, { column: columns.find((one) => one.key === select.value), low: null, high: null, level: "" });
    choice.replaceChildren(...(filter.column.levels ? [levelChoice(filter.column, set("level"))]
      : [bound("from", set("low")), bound("to", set("high"))]));
    changed();
  };
  fill(select, columns.map((one) => [one.key, one.label]));
  select.setAttribute("aria-label", "Filter by");
  select.addEventListener("change", choose);
  remove.type = "button";
  remove.addEventListener("click", () => {
    filters.splice(filters.indexOf(filter), 1);
    row.remove();
    document.getElementById("add-filter").focus();
    changed();
  });
  row.append(select, choice, remove);
  document.getElementById("filters").append(row);
  filters.push(filter);
  choose();
  select.focus();
};

// ---- scatter panels ------------------------------------------------------------------------
// Area in square pixels and opacity of a mark, by how many there are: no shape gets under 3 pixels.
const MARKS = [[100, 70, 0.9], [1000, 40, 0.65], [10000, 18, 0.45], [Infinity, 13, 0.3]];
// A fixed shuffle, so that no group of many lies on top of another (Park and Miller 1988).
const shuffled = (count) => {
  const order = Array.from({ length: count }, (_, i) => i);
  let seed = 1;
  for (let i = count - 1; i > 0; i -= 1) {
    seed = (seed * 16807) % 2147483647;
    const j = seed % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
};
const describeCheckpoint = (data, measure, target, colour) => (i) => {
  const shown = new Set([target.key]);
  const rows = [[measure.label, format(measure.values[i])], [target.label, format(target.values[i])]];
  if (colour && !shown.has(colour.key)) {
    rows.push([colour.label, valueAt(colour, i)]);
    shown.add(colour.key);
  }
  for (const column of data.columns) {
    if (!shown.has(column.key) && rows.length < 14 && isKnown(column, i)) rows.push([column.label, valueAt(column, i)]);
  }
  return [data.ids[i], rows];
};
const pointsOf = (order, mask, measure, target, colour) => {
  const points = [];
  for (const i of order) {
    const x = measure.values[i];
    const y = target.values[i];
    if (!mask[i] || Number.isNaN(x) || Number.isNaN(y)) continue;
    if ((measure.log && x <= 0) || (target.log && y <= 0)) continue;
    const point = { i, x, y };
    if (colour && colour.kind === "groups") point.c = colour.groups[colour.group_of_level[colour.codes[i]]];
    if (colour && colour.kind === "numbers") point.c = Number.isNaN(colour.values[i]) ? null : colour.values[i];
    points.push(point);
  }
  return points;
};
const coloured = (data, spec, colour, points, width) => {
  const legend = { title: colour.label, orient: "bottom", titleOrient: "top" };
  if (colour.kind === "groups") {
    const there = new Set(points.map((point) => point.c));
    const kept = colour.groups.map((_, g) => g).filter((g) => there.has(colour.groups[g]));
    const domain = kept.map((g) => colour.groups[g]);
    const columns = Math.max(1, Math.floor(width / 170));
    Object.assign(legend, { columns, symbolLimit: 0, symbolOpacity: 1, symbolSize: 70 });
    const field = { field: "c", type: "nominal", sort: null, legend };
    spec.encoding.color = { ...field, scale: { domain, range: kept.map((g) => colour.colours[g]) } };
    spec.encoding.shape = { ...field, scale: { domain, range: kept.map((g) => data.charts.shapes[g % data.charts.shapes.length]) } };
    return;
  }
  const scale = { range: data.charts.ramp, nice: false };
  Object.assign(scale, colour.log ? { type: "log" } : { type: "linear", zero: false });
  Object.assign(legend, { gradientLength: Math.min(220, width - 60), gradientThickness: 12 });
  spec.encoding.color = {
    condition: { test: "datum.c === null", value: data.missing },
    field: "c", type: "quantitative", scale, legend,
  };
};
const scatterSpec = (data, measure, target, colour, points, width) => {
  const spec = structuredClone(data.charts.scatter);
  for (const [channel, column] of [["x", measure], ["y", target]]) {
    const encoding = spec.encoding[channel];
    encoding.title = wrapped(column.label, channel === "x" ? Math.floor((width - 90) / 6.8) : 46);
    encoding.axis = { labelOverlap: true, labelSeparation: 8, tickCount: channel === "x" ? Math.max(3, Math.round(width / 80)) : 6 };
    if (column.values.every((value) => Number.isNaN(value) || Number.isInteger(value))) encoding.axis.tickMinStep = 1;
    if (column.log) {
      encoding.scale = { type: "log", nice: false, padding: 12 };
      encoding.axis.format = "~s";
    } else if (column.values.some((value) => Math.abs(value) >= 20000)) {
      encoding.axis.format = "~s";
    }
  }
  const count = points.length;
  const [, size, opacity] = MARKS.find(([most]) => count <= most);
  Object.assign(spec.mark, { size, opacity });
  if (colour) coloured(data, spec, colour, points, width);
  spec.datasets = { points };
  spec.description = `Scatter plot of ${target.label} over ${measure.label}, ${count} checkpoints`;
  return spec;
};

// What is written above a panel: the table's numbers, and those of the reader's choice of marks.
const filteredLine = (data, points, measure, target) => {
  const line = element("p");
  line.append(element("span", `the ${points.length.toLocaleString("en")} shown`, "group"), " ");
  for (const [name, value] of coefficientsOf(points, measure, target)) {
    const text = points.length < 3 || Number.isNaN(value) ? "–" : value.toFixed(2).replace("-", "−");
    line.append(element("span", `${name} ${text}`, "coefficient"), " ");
  }
  line.append(data.made.partial ? "(nothing held fixed; the command above does, and gives intervals)" : "(the command above gives intervals)");
  return line;
};
const writeReadout = (data, panel, measure, target, colour, points, active) => {
  const lines = (data.readouts[measure.key] || {})[target.key] || [];
  const made = lines.map(([group, ...texts]) => {
    const line = element("p");
    if (lines.length > 1 || active) line.append(element("span", group === "all" ? "all" : group.replaceAll("=", ": "), "group"), " ");
    for (const text of texts) line.append(element("span", text, "coefficient"), " ");
    return line;
  });
  const aside = (text) => made.push(element("p", text, "aside"));
  if (active) made.push(filteredLine(data, points, measure, target));
  const absent = data.ids.length - points.length;
  if (absent && !active) aside(`${absent.toLocaleString("en")} checkpoints without one of the two numbers are not drawn`);
  const missing = colour && colour.kind === "numbers" && points.some((point) => point.c === null);
  if (missing) aside(`grey marks: ${colour.label} ${NOT_GIVEN}`);
  if (points.length > data.most_svg) aside(`all ${points.length.toLocaleString("en")} checkpoints are drawn, translucent, in random order`);
  panel.readout.replaceChildren(...made);
};
const drawPanel = async (data, state, panel) => {
  const measure = state.byKey(data.measures, panel.measure.value);
  const target = state.byKey(data.targets, panel.target.value);
  const chosen = document.getElementById("colour").value;
  const colour = chosen ? state.byKey(data.columns, chosen) : null;
  const { active, mask } = shownCheckpoints(data.ids.length);
  const points = pointsOf(state.order, mask, measure, target, colour);
  writeReadout(data, panel, measure, target, colour, points, active.length);
  const width = panel.chart.clientWidth;
  const spec = scatterSpec(data, measure, target, colour, points, width);
  panel.turn += 1;
  const turn = panel.turn;
  const result = await embed(panel.chart, spec, describeCheckpoint(data, measure, target, colour), points.length > data.most_svg);
  if (turn !== panel.turn) return;
  Object.assign(panel, { view: result.view, points, width });
  panel.chart.dataset.drawn = String(Number(panel.chart.dataset.drawn || 0) + 1);
};
// With the keyboard: the arrows go from mark to mark by the measure, Home and End to its ends.
const readMarks = (data, state, panel) => {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  panel.chart.tabIndex = 0;
  panel.chart.addEventListener("keydown", (event) => {
    if (!(event.key in steps) || event.target !== panel.chart || !panel.points || !panel.points.length) return;
    event.preventDefault();
    if (panel.sorted !== panel.points) {
      panel.sorted = panel.points;
      panel.byMeasure = [...panel.points].sort((a, b) => a.x - b.x || a.y - b.y || a.i - b.i);
      panel.reading = -1;
    }
    const last = panel.byMeasure.length - 1;
    panel.reading = Math.max(0, Math.min(last, panel.reading + steps[event.key]));
    const point = panel.byMeasure[panel.reading];
    const frame = panel.chart.querySelector("svg, canvas").getBoundingClientRect();
    const [left, top] = panel.view.origin();
    const at = { clientX: frame.left + left + panel.view.scale("x")(point.x), clientY: frame.top + top + panel.view.scale("y")(point.y) };
    const column = (list, select) => state.byKey(list, select.value);
    const colour = state.byKey(data.columns, document.getElementById("colour").value) || null;
    showTip(at, ...describeCheckpoint(data, column(data.measures, panel.measure), column(data.targets, panel.target), colour)(point.i));
  });
  panel.chart.addEventListener("blur", () => { tip.hidden = true; });
};
const setUpFilters = (data, drawAll) => {
  const told = document.getElementById("filtered");
  const command = document.getElementById("filtered-command");
  const changed = () => {
    const { active, mask } = shownCheckpoints(data.ids.length);
    const count = mask.reduce((sum, one) => sum + one, 0);
    told.textContent = active.length ? `${count.toLocaleString("en")} of ${data.ids.length.toLocaleString("en")} checkpoints` : "";
    command.hidden = !active.length;
    command.textContent = active.length ? commandOf(data.made, active) : "";
    return drawAll();
  };
  const columns = data.columns.filter(several);
  const button = document.getElementById("add-filter");
  button.disabled = !columns.length;
  button.addEventListener("click", () => addFilter(columns, changed));
};
const setUpPanels = (data, state) => {
  state.order = data.ids.length > 200 ? shuffled(data.ids.length) : data.ids.map((_, i) => i);
  const drawAll = () => Promise.all(state.panels.map((panel) => drawPanel(data, state, panel)));
  document.querySelectorAll(".panel").forEach((section, number) => {
    const panel = {
      turn: 0,
      measure: section.querySelector(".measure"),
      target: section.querySelector(".target"),
      readout: section.querySelector(".readout"),
      chart: section.querySelector(".chart"),
    };
    fill(panel.measure, data.measures.map((one) => [one.key, one.name]), data.first.measures[number]);
    fill(panel.target, data.targets.map((one) => [one.key, one.name]), data.first.target);
    for (const select of [panel.measure, panel.target]) select.addEventListener("change", () => drawPanel(data, state, panel));
    readMarks(data, state, panel);
    state.panels.push(panel);
  });
  const useful = data.columns.filter((one) => one.kind !== "none");
  const colourSelect = document.getElementById("colour");
  fill(colourSelect, [["", "one colour"], ...useful.map((one) => [one.key, one.label])], data.first.colour);
  colourSelect.addEventListener("change", drawAll);
  document.querySelectorAll("button[data-measure]").forEach((button) => {
    button.addEventListener("click", () => {
      const panel = state.panels[0];
      panel.measure.value = button.dataset.measure;
      panel.target.value = button.dataset.target;
      drawPanel(data, state, panel);
      document.getElementById("scatter").scrollIntoView();
      panel.measure.focus({ preventScroll: true });
    });
  });
  setUpFilters(data, drawAll);
  return drawAll();
};

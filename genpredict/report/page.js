"use strict";
// Draws the scatter panels and the layer heat map from the JSON in the page. Every text of the
// store goes into the page as textContent or as data of a chart, never as markup or code.
(() => {
  const data = JSON.parse(document.getElementById("genpredict-data").textContent);
  const byKey = (list, key) => list.find((one) => one.key === key);
  const state = { panels: [], heatmap: null };

  // ---- texts -------------------------------------------------------------------------------
  const format = (value) => {
    if (value === null || value === undefined) return "not given";
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
  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // ---- what hovering tells -----------------------------------------------------------------
  const tip = element("div", "", "tip");
  tip.setAttribute("role", "tooltip");
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

  const describeCheckpoint = (measure, target, colour) => (i) => {
    const shown = new Set([target.key]);
    const rows = [[measure.label, format(measure.values[i])], [target.label, format(target.values[i])]];
    if (colour && !shown.has(colour.key)) {
      rows.push([colour.label, valueAt(colour, i)]);
      shown.add(colour.key);
    }
    for (const column of data.columns) {
      const known = column.levels ? column.levels[column.codes[i]] !== "not given"
        : column.values[i] !== null;
      if (known && !shown.has(column.key) && rows.length < 14) rows.push([column.label, valueAt(column, i)]);
    }
    return [data.ids[i], rows];
  };

  // ---- scatter panels ----------------------------------------------------------------------
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
  const order = data.ids.length > 200 ? shuffled(data.ids.length) : data.ids.map((_, i) => i);

  const pointsOf = (measure, target, colour) => {
    const points = [];
    for (const i of order) {
      const x = measure.values[i];
      const y = target.values[i];
      if (x === null || y === null || (measure.log && x <= 0) || (target.log && y <= 0)) continue;
      const point = { i, x, y };
      if (colour && colour.kind === "groups") point.c = colour.groups[colour.group_of_level[colour.codes[i]]];
      if (colour && colour.kind === "numbers") point.c = colour.values[i];
      points.push(point);
    }
    return points;
  };
  const coloured = (spec, colour, points, width) => {
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
  const scatterSpec = (measure, target, colour, points, width) => {
    const spec = structuredClone(data.charts.scatter);
    for (const [channel, column] of [["x", measure], ["y", target]]) {
      const encoding = spec.encoding[channel];
      encoding.title = wrapped(column.label, channel === "x" ? Math.floor((width - 90) / 6.8) : 46);
      encoding.axis = { labelOverlap: true, labelSeparation: 8, tickCount: channel === "x" ? Math.max(3, Math.round(width / 80)) : 6 };
      if (column.values.every((v) => v === null || Number.isInteger(v))) encoding.axis.tickMinStep = 1;
      if (column.log) {
        encoding.scale = { type: "log", nice: false, padding: 12 };
        encoding.axis.format = "~s";
      } else if (typeof column.values.find((v) => v !== null && Math.abs(v) >= 20000) === "number") {
        encoding.axis.format = "~s";
      }
    }
    const count = points.length;
    spec.mark.size = count <= 100 ? 70 : count <= 1000 ? 40 : count <= 10000 ? 14 : 7;
    spec.mark.opacity = count <= 100 ? 0.9 : count <= 1000 ? 0.65 : count <= 10000 ? 0.4 : 0.25;
    if (colour) coloured(spec, colour, points, width);
    spec.datasets = { points };
    spec.description = `Scatter plot of ${target.label} over ${measure.label}, ${count} checkpoints`;
    return spec;
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
  const embed = (place, spec, describe, canvas) => window.vegaEmbed(place, spec, {
    renderer: canvas ? "canvas" : "svg",
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: "genpredict",
    tooltip: tooltip(describe),
  });

  const writeReadout = (place, measure, target, colour, points) => {
    const count = points.length;
    const missing = colour && colour.kind === "numbers" && points.some((point) => point.c === null);
    const lines = (data.readouts[measure.key] || {})[target.key] || [];
    const made = lines.map(([group, ...texts]) => {
      const line = element("p");
      if (lines.length > 1) line.append(element("span", group === "all" ? "all" : group.replaceAll("=", ": "), "group"), " ");
      for (const text of texts) line.append(element("span", text, "coefficient"), " ");
      return line;
    });
    const absent = data.ids.length - count;
    if (absent) made.push(element("p", `${absent.toLocaleString("en")} checkpoints without one of the two numbers are not drawn`, "aside"));
    if (missing) made.push(element("p", `grey marks: ${colour.label} not given`, "aside"));
    if (count > data.most_svg) made.push(element("p", `all ${count.toLocaleString("en")} checkpoints are drawn, translucent, in random order`, "aside"));
    place.replaceChildren(...made);
  };

  const fill = (select, options, chosen) => {
    for (const [value, text] of options) {
      const option = element("option", text);
      option.value = value;
      select.append(option);
    }
    select.value = chosen;
  };
  const colourSelect = document.getElementById("colour");
  const drawPanel = async (panel) => {
    const measure = byKey(data.measures, panel.measure.value);
    const target = byKey(data.targets, panel.target.value);
    const colour = colourSelect.value ? byKey(data.columns, colourSelect.value) : null;
    const points = pointsOf(measure, target, colour);
    writeReadout(panel.readout, measure, target, colour, points);
    const width = panel.chart.clientWidth;
    const spec = scatterSpec(measure, target, colour, points, width);
    panel.turn += 1;
    const turn = panel.turn;
    const result = await embed(panel.chart, spec, describeCheckpoint(measure, target, colour), points.length > data.most_svg);
    if (turn !== panel.turn) return;
    panel.view = result.view;
    panel.points = points;
    panel.width = width;
    panel.chart.dataset.drawn = String(Number(panel.chart.dataset.drawn || 0) + 1);
  };
  const setUpPanels = () => {
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
      for (const select of [panel.measure, panel.target]) select.addEventListener("change", () => drawPanel(panel));
      state.panels.push(panel);
    });
    const useful = data.columns.filter((one) => one.kind !== "none");
    fill(colourSelect, [["", "one colour"], ...useful.map((one) => [one.key, one.label])], data.first.colour);
    colourSelect.addEventListener("change", () => state.panels.forEach(drawPanel));
    document.querySelectorAll("button[data-measure]").forEach((button) => {
      button.addEventListener("click", () => {
        const panel = state.panels[0];
        panel.measure.value = button.dataset.measure;
        panel.target.value = button.dataset.target;
        drawPanel(panel);
        document.getElementById("scatter").scrollIntoView();
        panel.measure.focus({ preventScroll: true });
      });
    });
    return Promise.all(state.panels.map(drawPanel));
  };

  // ---- layer heat map ----------------------------------------------------------------------
  const kindOf = (quality, rank) => {
    if (quality === null) return "absent";
    if (rank === 0) return "zero";
    return rank === 1 ? "one" : "value";
  };
  const cellsOf = (map, unfolding) => {
    const cells = [];
    map.columns.forEach((_, column) => {
      for (let layer = 0; layer < map.depth; layer += 1) {
        const q = map.quality[unfolding][column][layer];
        const kind = kindOf(q, map.rank[unfolding][column][layer]);
        cells.push({ i: column * map.depth + layer, column: map.texts[column], layer: map.rows[layer], q, kind });
      }
    });
    return cells;
  };
  const describeCell = (map, unfolding) => (i) => {
    const column = Math.floor(i / map.depth);
    const layer = i % map.depth;
    const name = map.layer_sets[map.set_of[column]][layer];
    const q = map.quality[unfolding][column][layer];
    const rows = [["layer", name ? `${layer + 1}, ${name}` : String(layer + 1)]];
    if (q === null) rows.push(["quality", "no such entry"]);
    else rows.push(["quality (rad)", format(q)], ["rank", format(map.rank[unfolding][column][layer])]);
    rows.push([map.order, format(map.order_values[column])]);
    return [map.columns[column], rows];
  };
  const drawHeatmap = async () => {
    const map = data.heatmap;
    const chart = document.querySelector("#heatmap .chart");
    const unfolding = document.getElementById("unfolding").value;
    const width = chart.clientWidth;
    const spec = structuredClone(data.charts.heatmap);
    spec.height = Math.max(150, Math.min(560, map.depth * 20));
    const named = map.columns.length <= Math.floor(width / 22);
    const domains = { x: map.texts, y: map.rows };
    const axes = {
      x: { labels: named, ticks: false, domain: false, labelAngle: -60, labelLimit: width < 600 ? 110 : 190, labelOverlap: false },
      y: { ticks: false, domain: false, labelLimit: width < 600 ? 90 : 170, labelOverlap: true },
    };
    for (const layer of spec.layer) {
      for (const channel of ["x", "y"]) {
        layer.encoding[channel].axis = axes[channel];
        layer.encoding[channel].scale = { domain: domains[channel] };
      }
      layer.encoding.x.title = wrapped(`checkpoints in order of ${map.order}, lowest left`, Math.floor((width - 120) / 6.8));
    }
    spec.datasets = { cells: cellsOf(map, unfolding) };
    spec.description = `Heat map of layer quality, ${map.depth} layers by ${map.columns.length} checkpoints`;
    const result = await embed(chart, spec, describeCell(map, unfolding), true);
    state.heatmap = { view: result.view, cells: spec.datasets.cells, width };
    chart.dataset.drawn = String(Number(chart.dataset.drawn || 0) + 1);
  };
  const setUpHeatmap = () => {
    const map = data.heatmap;
    const alike = new Set(map.names).size === map.names.length;
    map.texts = map.names.map((name, i) => (alike ? name : `${i + 1} ${name}`));
    const shared = map.layer_sets.length === 1 && map.depth <= 40;
    map.rows = Array.from({ length: map.depth }, (_, j) => {
      const name = shared ? map.layer_sets[0][j] : "";
      return name ? `${j + 1} ${name}` : String(j + 1);
    });
    document.getElementById("unfolding").addEventListener("change", drawHeatmap);
    return drawHeatmap();
  };

  // ---- start -------------------------------------------------------------------------------
  const jobs = [];
  if (data.measures.length && data.targets.length) jobs.push(setUpPanels());
  if (data.heatmap) jobs.push(setUpHeatmap());
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      state.panels.filter((panel) => panel.width !== panel.chart.clientWidth).forEach(drawPanel);
      if (state.heatmap && state.heatmap.width !== document.querySelector("#heatmap .chart").clientWidth) drawHeatmap();
    }, 200);
  });
  window.genpredict = { state, ready: Promise.all(jobs).then(() => true) };
})();

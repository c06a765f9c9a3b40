// ---- layer heat map ------------------------------------------------------------------------
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
const drawHeatmap = async (data, state) => {
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
const setUpHeatmap = (data, state) => {
  const map = data.heatmap;
  const alike = new Set(map.names).size === map.names.length;
  map.texts = map.names.map((name, i) => (alike ? name : `${i + 1} ${name}`));
  const shared = map.layer_sets.length === 1 && map.depth <= 40;
  map.rows = Array.from({ length: map.depth }, (_, j) => {
    const name = shared ? map.layer_sets[0][j] : "";
    return name ? `${j + 1} ${name}` : String(j + 1);
  });
  document.getElementById("unfolding").addEventListener("change", () => drawHeatmap(data, state));
  return drawHeatmap(data, state);
};

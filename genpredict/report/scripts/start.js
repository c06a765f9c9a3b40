// ---- start ---------------------------------------------------------------------------------
// Every text of the store goes into the page as textContent or as data of a chart, never as markup
// or code.
const start = async () => {
  const data = JSON.parse(document.getElementById("genpredict-data").textContent);
  const state = { panels: [], heatmap: null, data, byKey: (list, key) => list.find((one) => one.key === key) };
  window.genpredict.state = state;
  document.querySelectorAll("main table").forEach(makeSortable);
  await Promise.all([loadLibrary(), unpack(data)]);
  const drawings = [];
  if (data.measures.length && data.targets.length) drawings.push(setUpPanels(data, state));
  if (data.heatmap) drawings.push(setUpHeatmap(data, state));
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      state.panels.filter((panel) => panel.width !== panel.chart.clientWidth).forEach((panel) => drawPanel(data, state, panel));
      if (state.heatmap && state.heatmap.width !== document.querySelector("#heatmap .chart").clientWidth) drawHeatmap(data, state);
    }, 200);
  });
  await Promise.all(drawings);
  return true;
};
const isOld = typeof DecompressionStream === "undefined";
document.getElementById("old-browser").hidden = !isOld;
window.genpredict = {};
window.genpredict.ready = isOld ? Promise.resolve(false) : start();

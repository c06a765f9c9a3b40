// ---- columns: deflated planes of bytes, undone ---------------------------------------------
const inflated = async (text, format = "deflate") => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
const textOf = async (text, format) => new TextDecoder().decode(await inflated(text, format));
// A few texts stand in the page as they are, many as deflated JSON.
const textsOf = async (texts) => (Array.isArray(texts) ? texts : JSON.parse(await textOf(texts)));
// The first bytes of all numbers, then the second ones, …: doubles, big end first.
const numbersOf = async ({ planes, text }) => {
  const bytes = await inflated(text);
  const count = bytes.length / planes;
  const doubles = new Uint8Array(8 * count);
  for (let plane = 0; plane < planes; plane += 1) {
    for (let i = 0; i < count; i += 1) doubles[8 * i + 7 - plane] = bytes[plane * count + i];
  }
  return new Float64Array(doubles.buffer);
};
// Every column of the page gets its numbers (NaN where there is none), or its codes and levels.
const unpack = async (data) => {
  const numbers = await Promise.all(data.packed.map(numbersOf));
  data.ids = await textsOf(data.ids);
  for (const column of [...data.measures, ...data.targets]) column.values = numbers[column.at];
  for (const column of data.columns) {
    if (column.levels === undefined) {
      column.values = numbers[column.at];
    } else {
      column.codes = numbers[column.at];
      column.levels = await textsOf(column.levels);
      if (column.kind === "groups") column.group_of_level = numbers[column.group_of_level];
    }
  }
};
// The library is a script of this page as it would be in plain text: its hash is in the policy.
const loadLibrary = async () => {
  const script = document.createElement("script");
  script.textContent = await textOf(document.getElementById("genpredict-library").textContent, "gzip");
  document.head.append(script);
};

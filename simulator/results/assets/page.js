// @ts-check
/** Brings a page to life: its charts are drawn from their data, its tables sort, filter and can be saved. */

/** Saves a text as a file. @param {string} name @param {string} type @param {string} text */
function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Rows as CSV. Text that a spreadsheet would take for a formula gets an apostrophe. @param {string[][]} rows */
const as_csv = (rows) => rows.map((row) => row.map((cell) => {
  const safe = /^[=+@\t\r]|^-(?![\d.])/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}).join(",")).join("\r\n") + "\r\n";

/** What a cell is sorted by and saved as: the whole number, where the page shows a rounded one.
 * @param {HTMLElement} cell */
const value_of = (cell) => cell.dataset.value ?? (cell.textContent ?? "").trim();

/** The number a text begins with, such as that of "0.61 [0.58, 0.64]"; NaN where it begins with none.
 * @param {string} text */
const number_of = (text) => parseFloat(text.replace(/(\d),(?=\d{3})/g, "$1"));

/** @param {HTMLElement} box with a table */
function enliven_table(box) {
  const table = /** @type {HTMLTableElement} */ (box.querySelector("table"));
  const body = table.tBodies[0], rows = [...body.rows], name = box.dataset.name ?? "table";
  const heads = /** @type {HTMLElement[]} */ ([...(table.tHead?.rows[0]?.cells ?? [])]);
  new ResizeObserver(() => { // those that scroll can be reached by the keyboard
    const scrolls = box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth;
    for (const [key, value] of Object.entries({ tabindex: "0", role: "region", "aria-label": name }))
      scrolls ? box.setAttribute(key, value) : box.removeAttribute(key);
  }).observe(box);
  if (!heads.length) return;
  heads.forEach((head, column) => {
    const sort = () => {
      const down = head.ariaSort === "ascending" ? -1 : 1;
      const keys = new Map(rows.map((row) => [row, value_of(row.cells[column])]));
      const numeric = [...keys.values()].every((text) => text === "–" || !Number.isNaN(number_of(text)));
      const last = (/** @type {string} */ text) => (numeric && Number.isNaN(number_of(text)) ? 1 : 0); // unknown ones
      rows.sort((a, b) => {
        const [one, other] = [keys.get(a) ?? "", keys.get(b) ?? ""];
        const order = numeric ? number_of(one) - number_of(other) || 0 : one.localeCompare(other);
        return last(one) - last(other) || down * order;
      });
      heads.forEach((each) => (each.ariaSort = each === head ? (down > 0 ? "ascending" : "descending") : null));
      body.append(...rows);
    };
    const button = make("button", { type: "button", onclick: sort });
    button.append(...head.childNodes);
    head.append(button);
  });
  const all = () => [heads, ...rows.filter((row) => !row.hidden).map((row) => [...row.cells])];
  const count = make("output", {});
  const find = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    const found = (/** @type {string} */ text) => words.every((/** @type {string} */ word) => text.includes(word));
    for (const row of rows) row.hidden = !found((row.textContent ?? "").toLowerCase());
    count.textContent = filter.value ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  };
  const what = { type: "search", placeholder: "Filter rows", "aria-label": `Filter rows of ${name}` };
  const filter = make("input", { ...what, oninput: find });
  const csv = make("button", { type: "button", "aria-label": `Save ${name} as CSV`,
    onclick: () => save(`${name}.csv`, "text/csv", as_csv(all().map((row) => row.map(value_of)))) }, "CSV");
  box.before(make("div", { class: "tools" }, ...(rows.length > 5 ? [filter, count] : []), csv));
}

/** @param {HTMLElement} figure */
function enliven_figure(figure) {
  const still = /** @type {SVGElement} */ (figure.querySelector(".still svg")), data = figure.querySelector("script");
  const name = figure.dataset.name ?? "figure";
  const picture = () => {
    const copy = /** @type {SVGElement} */ (still.cloneNode(true));
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "font-family: sans-serif; stroke-linejoin: round; background: white");
    save(`${name}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(copy));
  };
  const tools = make("span", { class: "tools" },
    make("button", { type: "button", "aria-label": `Save ${name} as SVG`, onclick: picture }, "SVG"));
  if (data) {
    const chart = JSON.parse(data.textContent ?? "");
    const live = make("div", { class: "live" });
    figure.append(live);
    figure.classList.add("drawn");
    drawChart(live, chart);
    tools.append(make("button", { type: "button", "aria-label": `Save the data of ${name} as CSV`,
      onclick: () => save(`${name}.csv`, "text/csv", as_csv(chart_rows(chart))) }, "CSV"));
  }
  figure.querySelector("figcaption")?.append(tools);
}

/** What a chart shows, as rows under a header. @param {Chart} chart */
const chart_rows = (chart) => data_of(chart).map((row) => row.map((cell) => `${cell ?? ""}`));

/** @param {Chart} chart @returns {unknown[][]} */
function data_of(chart) {
  if (chart.kind === "bars")
    return [["", ...chart.series.map((each) => each.name)],
      ...chart.categories.map((name, i) => [name, ...chart.series.map((each) => each.values[i])])];
  if (chart.kind === "heat")
    return [[`${chart.y} \\ ${chart.x}`, ...chart.columns], ...chart.values.map((row, i) => [chart.rows[i], ...row])];
  if (chart.kind === "lines")
    return [["series", "point", chart.x, chart.y, "low", "high"], ...chart.series.flatMap(({ name, x, y, names }) =>
      x.map((at, i) => {
        const band = chart.bands.find((band) => band.of === name && band.x[i] === at);
        return [name, names?.[i], at, y[i], band?.low[i], band?.high[i]];
      }))];
  const links = chart.links.map(([from, to]) => `${chart.names[from]} to ${chart.names[to]}`);
  const rows = (/** @type {string[]} */ of) => (/** @type {Measured} */ { name, rounds, values }) =>
    values.flatMap((row, t) => row.map((value, i) => [name, rounds[t], of[i], value]));
  const header = ["of", "round", "node or link", "value"];
  return [header, ...chart.nodes.flatMap(rows(chart.names)), ...chart.weights.flatMap(rows(links))];
}

document.querySelectorAll("figure[data-name]").forEach((figure) => enliven_figure(/** @type {HTMLElement} */ (figure)));
document.querySelectorAll("div.table").forEach((box) => enliven_table(/** @type {HTMLElement} */ (box)));

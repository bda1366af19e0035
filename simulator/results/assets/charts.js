// @ts-check
/**
 * Draws the charts of a report: `drawChart(element, chart)`, where `chart` is what chart_data.py, in
 * simulator/results/report, makes of a typed chart. Needs d3 and Plot, network.js for graphs, and the colours of
 * style.css. All text goes in as text, never as HTML.
 *
 * @typedef {(number | null)[]} Numbers
 * @typedef {{name: string, x: number[], y: Numbers, names?: string[]}} Series
 * @typedef {{name: string, of: string, x: number[], low: Numbers, high: Numbers}} Band
 * @typedef {{kind: "lines", title: string, x: string, y: string, log: string, points: boolean, series: Series[],
 *   bands: Band[]}} LineChart
 * @typedef {{name: string, values: Numbers}} Bars
 * @typedef {{kind: "bars", title: string, y: string, categories: string[], series: Bars[]}} BarChart
 * @typedef {{kind: "heat", title: string, x: string, y: string, rows: string[], columns: string[], values: Numbers[],
 *   label: string, lowest: number, levels: string[]}} HeatMap
 * @typedef {{name: string, rounds: number[], values: Numbers[], notes?: string[]}} Measured one row of values a round;
 *   without rounds a single row
 * @typedef {{kind: "graph", title: string, names: string[], x: number[], y: number[], directed: boolean,
 *   attackers: number[], links: [number, number][], nodes: Measured[], weights: Measured[]}} GraphChart
 * @typedef {LineChart | BarChart | HeatMap | GraphChart} Chart
 */

const COLOURS = [0, 1, 2, 3, 4, 5].map((n) => `var(--colour-${n})`);
const DASHES = ["", "7 3", "9 3 2 3", "2 2", "14 4", "1 3"];
const SYMBOLS = [d3.symbolCircle, d3.symbolTriangle, d3.symbolSquare, d3.symbolDiamond2, d3.symbolStar, d3.symbolWye];
/** @template T @param {T[]} looks @param {number} n */
const look = (looks, n) => looks[n % looks.length];

/** What a reader has hidden, by the element it was drawn into: it stays hidden when that is drawn again.
 * @type {WeakMap<Element, Set<string>>} */
const HIDDEN = new WeakMap();

/** An element with attributes, listeners (`onclick`) and children.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {(Node | string)[]} children @returns {any} */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A number as people read it. @param {number | null | undefined} value */
function shown(value) {
  if (value == null || Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** Draws `chart` into `element`, at its width, and again whenever that changes.
 * @param {Element} element @param {Chart} chart */
function drawChart(element, chart) {
  const hidden = HIDDEN.get(element) ?? new Set();
  HIDDEN.set(element, hidden);
  const place = make("div", { class: "plot", role: "img", "aria-label": `${chart.title}, drawn` });
  const [draw, below] =
    chart.kind === "graph" ? graph(chart, place, () => redraw())
    : chart.kind === "heat" ? [() => heat(chart, place.clientWidth), [ramp(chart)]]
    : [() => (chart.kind === "bars" ? bars : lines)(/** @type {any} */ (chart), place.clientWidth, hidden), []];
  const redraw = () => {
    if (!place.clientWidth) return;
    const drawing = draw();
    drawing.setAttribute("aria-hidden", "true"); // its parts have names that are for styling alone
    place.replaceChildren(drawing);
  };
  element.replaceChildren(legend(chart, hidden, redraw), place, ...below);
  redraw();
  new ResizeObserver(redraw).observe(place);
}

/** Buttons that hide and show what is drawn.
 * @param {Chart} chart @param {Set<string>} hidden @param {() => void} redraw */
function legend(chart, hidden, redraw) {
  const series = "series" in chart ? chart.series.map((each, n) => ({ name: each.name, n })) : [];
  const alone = "bands" in chart ? chart.bands.filter((band) => band.of !== band.name && band.name) : [];
  const entries = [...series, ...alone.map((band) => ({ name: band.name, n: -1 }))];
  const items = entries.map(({ name, n }) => {
    const toggle = () => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      redraw();
    };
    const button = make("button", { type: "button", "aria-pressed": !hidden.has(name) + "", onclick: toggle },
      n < 0 ? make("span", { class: "key band", "aria-hidden": "true" }) : key(chart, n), name);
    return button;
  });
  return make("div", { class: "legend", role: "group", "aria-label": "Shown" }, ...(entries.length > 1 ? items : []));
}

/** How a series is drawn, in small. @param {Chart} chart @param {number} n */
function key(chart, n) {
  const drawing = d3.create("svg").attr("class", "key").attr("aria-hidden", "true").attr("viewBox", "0 0 22 10");
  const mark = drawing.append("path").attr("fill", look(COLOURS, n));
  if (chart.kind === "bars") mark.attr("d", "M5,0h12v10h-12z");
  else if (chart.kind === "lines" && chart.points)
    mark.attr("d", d3.symbol(look(SYMBOLS, n), 45)).attr("transform", "translate(11,5)");
  else mark.attr("d", "M0,5h22").attr("stroke", look(COLOURS, n)).attr("stroke-dasharray", look(DASHES, n));
  return drawing.node();
}

/** What is told of the point beside the pointer. @param {any[]} points with x, y and text @param {object} [more] */
function tip(points, more = {}) {
  const box = { fill: "var(--surface)", stroke: "var(--muted)", lineWidth: 32 };
  return Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: "text", ...box, ...more }));
}

/** What is told, a line each; what is missing is left out. @param {(string | undefined)[]} parts */
const told = (...parts) => parts.filter(Boolean).join("\n");

/** Ticks on whole numbers where there are only such. @param {number[]} values @param {number} count */
const ticks = (values, count) => {
  const [low, high] = d3.extent(values);
  const found = d3.ticks(low, high, Math.min(count, Math.max(1, high - low)));
  return values.every(Number.isInteger) ? found.filter(Number.isInteger) : d3.ticks(low, high, count);
};

/** Labels at 0, 1, 2, ..., or every second, third, ... of them; long ones are turned.
 * @param {string[]} names @param {number} room in pixels @param {boolean} across */
function named(names, room, across) {
  const longest = Math.min(14, Math.max(1, ...names.map((name) => name.length))) * 6.5;
  const turned = across && longest * names.length > room;
  const step = Math.ceil((names.length * (across && !turned ? longest + 8 : 15)) / room);
  const short = (/** @type {string} */ name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
  const places = d3.range(0, names.length, Math.max(1, step));
  return {
    margin: turned ? longest * 0.75 + 22 : across ? 32 : longest + 14,
    axis: { ticks: places, tickFormat: (/** @type {number} */ n) => short(names[n] ?? ""), tickRotate: turned ? -45 : 0,
      tickSize: 0, labelArrow: "none" },
  };
}

/** @param {LineChart} chart @param {number} width @param {Set<string>} hidden */
function lines(chart, width, hidden) {
  const seen = chart.series.map((each, n) => ({ ...each, n })).filter((each) => !hidden.has(each.name));
  const number = (/** @type {string} */ name) => Math.max(0, chart.series.findIndex((each) => each.name === name));
  const bands = chart.bands.filter((band) => !hidden.has(band.name) && !(hidden.has(band.of) && band.of === band.name));
  const points = seen.flatMap((each) => each.x.map((x, i) => ({ x, y: each.y[i], n: each.n, text: text(each, i) })));
  const known = points.filter((point) => point.y != null);
  /** @param {Series} each @param {number} i */
  function text(each, i) {
    const band = bands.find((band) => band.of === each.name && band.x[i] === each.x[i]);
    const name = band && band.name !== band.of ? `${band.name} ` : "";
    const range = band ? ` (${name}${shown(band.low[i])} to ${shown(band.high[i])})` : "";
    const [at, value] = [shown(each.x[i]), shown(each.y[i])];
    return told(each.names?.[i] ?? each.name, `${chart.x}: ${at}`, `${chart.y}: ${value}${range}`);
  }
  const marks = bands.map((band) => {
    const data = band.x.map((x, i) => ({ x, low: band.low[i], high: band.high[i] }));
    const fill = look(COLOURS, number(band.of));
    if (data.length === 1) return Plot.ruleX(data, { x: "x", y1: "low", y2: "high", stroke: fill });
    return Plot.areaY(data, { x: "x", y1: "low", y2: "high", fill, fillOpacity: 0.18 });
  });
  for (const each of seen) {
    const own = points.filter((point) => point.n === each.n), colour = look(COLOURS, each.n);
    const line = { x: "x", y: "y", stroke: colour, strokeWidth: 2, strokeDasharray: look(DASHES, each.n) };
    if (chart.points || own.length === 1)
      marks.push(Plot.dot(own, { x: "x", y: "y", fill: colour, r: 3.5, symbol: look(SYMBOLS, each.n) }));
    else marks.push(Plot.line(own, line));
  }
  const axis = (/** @type {string} */ name) => ({
    type: chart.log.includes(name) ? "log" : "linear", labelArrow: "none",
    ...(chart.log.includes(name) ? { tickFormat: "~g" } : {}), grid: true,
  });
  const across = known.map((point) => point.x);
  const marked = chart.log.includes("x") || !across.length ? {} : { ticks: ticks(across, width / 70) };
  return Plot.plot({
    width, height: Math.max(210, Math.min(320, width * 0.55)), marginLeft: 52, marginBottom: 38,
    inset: chart.points ? 8 : 0,
    x: { ...axis("x"), ...marked, label: chart.x, labelAnchor: "center", grid: false },
    y: { ...axis("y"), label: chart.y, ticks: 5, nice: !chart.log.includes("y") },
    marks: [...marks, Plot.dot(known, Plot.pointer({ x: "x", y: "y", stroke: "currentColor", r: 5 })), tip(known)],
  });
}

/** @param {BarChart} chart @param {number} width @param {Set<string>} hidden */
function bars(chart, width, hidden) {
  const seen = chart.series.map((each, n) => ({ ...each, n })).filter((each) => !hidden.has(each.name));
  const share = 0.8 / Math.max(1, seen.length), across = named(chart.categories, width - 60, true);
  const data = seen.flatMap((each, place) =>
    each.values.map((y, i) => ({
      x1: i - 0.4 + place * share, x2: i - 0.4 + (place + 0.94) * share, x: i - 0.4 + (place + 0.5) * share, y,
      colour: look(COLOURS, each.n), text: told(chart.categories[i], each.name, `${chart.y}: ${shown(y)}`),
    })).filter((bar) => bar.y != null));
  return Plot.plot({
    width, height: 240, marginLeft: 52, marginBottom: across.margin, color: { type: "identity" },
    x: { domain: [-0.5, chart.categories.length - 0.5], label: null, ...across.axis },
    y: { label: chart.y, grid: true, nice: true, ticks: 5, labelArrow: "none" },
    marks: [
      Plot.rectY(data, { x1: "x1", x2: "x2", y: "y", fill: "colour" }), Plot.ruleY([0], { stroke: "var(--muted)" }),
      tip(data),
    ],
  });
}

/** @param {HeatMap} chart @param {number} width */
function heat(chart, width) {
  const down = named(chart.rows, 18 * chart.rows.length + 1, false);
  const across = named(chart.columns, width - down.margin - 20, true), highest = top_of(chart);
  const named_value = (/** @type {number | null} */ value) =>
    chart.levels.length ? chart.levels[value ?? -1] ?? shown(null) : `${chart.label}: ${shown(value)}`;
  const data = chart.values.flatMap((row, y) =>
    row.map((value, x) => ({
      x, y, x1: x - 0.5, x2: x + 0.5, y1: y - 0.5, y2: y + 0.5, value,
      depth: value == null ? 0 : Math.max(0, (value - chart.lowest) / (highest - chart.lowest)),
      text: told(`${chart.y} ${chart.rows[y]}`, `${chart.x} ${chart.columns[x]}`, named_value(value)),
    })));
  const cells = { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: look(COLOURS, 0) };
  const crossed = chart.levels.length ? data.filter((cell) => cell.value == null) : [];
  return Plot.plot({
    width, height: Math.min(460, 18 * chart.rows.length) + across.margin + 30, marginLeft: down.margin + 10,
    marginBottom: across.margin + 6, marginTop: 24, opacity: { type: "identity" },
    x: { domain: [-0.5, chart.columns.length - 0.5], label: chart.x, labelAnchor: "center", ...across.axis },
    y: { domain: [chart.rows.length - 0.5, -0.5], label: chart.y, ...down.axis },
    marks: [
      Plot.rect(data, { ...cells, fillOpacity: "depth" }), Plot.frame({ stroke: "var(--grid)" }),
      Plot.text(crossed, { x: "x", y: "y", text: () => "×", fill: "var(--muted)" }),
      tip(data, { maxRadius: Infinity }),
    ],
  });
}

/** @param {HeatMap} chart @returns {number} */
const top_of = (chart) =>
  chart.levels.length ? chart.levels.length - 1 : Math.max(d3.max(chart.values.flat()) ?? 1, chart.lowest + 1e-9);

/** What depths of colour mean. @param {HeatMap} chart */
function ramp(chart) {
  const levels = chart.levels.length > 2 ? chart.levels.join(" · ") : chart.label;
  if (chart.levels.length) return scale("depth", chart.levels[0], chart.levels.at(-1) ?? "", levels);
  return scale("depth", shown(chart.lowest), shown(top_of(chart)), chart.label);
}

/** A scale of colours. @param {string} kind @param {string} low @param {string} high @param {string} name */
const scale = (kind, low, high, name) =>
  make("div", { class: `ramp ${kind}` }, low, make("i", { "aria-hidden": "true" }), high, make("span", {}, name));

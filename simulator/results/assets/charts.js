// @ts-check
/**
 * Draws the charts of a report: `drawChart(element, chart)`, where `chart` is what simulator/results/report/chart_data.py
 * makes of a typed chart. Needs d3 and Plot, and the colours of style.css. All text goes in as text, never as HTML.
 *
 * @typedef {(number | null)[]} Numbers
 * @typedef {{name: string, x: number[], y: Numbers, names?: string[]}} Series
 * @typedef {{name: string, of: string, x: number[], low: Numbers, high: Numbers}} Band
 * @typedef {{kind: "lines", title: string, x: string, y: string, log: string, points: boolean, series: Series[],
 *   bands: Band[]}} LineChart
 * @typedef {{kind: "bars", title: string, y: string, categories: string[], series: {name: string, values: Numbers}[]}} BarChart
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
const SYMBOLS = ["circle", "triangle", "square", "diamond2", "star", "wye"];
/** @param {string[]} looks @param {number} n */
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
  const place = make("div", { class: "plot" });
  /** @type {Record<string, () => [() => any, Node[]]>} */
  const kinds = {
    lines: () => [() => lines(/** @type {LineChart} */ (chart), place.clientWidth, hidden), []],
    bars: () => [() => bars(/** @type {BarChart} */ (chart), place.clientWidth, hidden), []],
    heat: () => [() => heat(/** @type {HeatMap} */ (chart), place.clientWidth), [ramp(/** @type {HeatMap} */ (chart))]],
    graph: () => graph(/** @type {GraphChart} */ (chart), place, () => redraw()),
  };
  const [draw, extra] = kinds[chart.kind]();
  const redraw = () => place.clientWidth && place.replaceChildren(draw());
  element.replaceChildren(legend(chart, hidden, redraw), place, ...extra);
  redraw();
  new ResizeObserver(redraw).observe(place);
}

/** Buttons that hide and show what is drawn. @param {Chart} chart @param {Set<string>} hidden @param {() => void} redraw */
function legend(chart, hidden, redraw) {
  const series = "series" in chart ? chart.series.map((each, n) => ({ name: each.name, n })) : [];
  const alone = "bands" in chart ? chart.bands.filter((band) => band.of !== band.name && band.name) : [];
  const entries = [...series, ...alone.map((band) => ({ name: band.name, n: -1 }))];
  const items = entries.map(({ name, n }) => {
    const key = make("span", { class: n < 0 ? "key band" : "key", "aria-hidden": "true" });
    if (n >= 0) key.append(Plot.plot({ width: 22, height: 10, margin: 0, marks: [key_mark(chart, n)] }));
    const toggle = () => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      redraw();
    };
    const button = make("button", { type: "button", "aria-pressed": !hidden.has(name) + "", onclick: toggle }, key, name);
    return button;
  });
  return make("div", { class: "legend", role: "group", "aria-label": "Shown" }, ...(entries.length > 1 ? items : []));
}

/** @param {Chart} chart @param {number} n */
function key_mark(chart, n) {
  const colour = look(COLOURS, n), scales = { x: { domain: [0, 1] }, y: { domain: [0, 1] } };
  if (chart.kind === "bars") return Plot.frame({ fill: colour, stroke: "none", ...scales });
  if (chart.kind === "lines" && chart.points)
    return Plot.dot([0], { x: 0, y: 0, frameAnchor: "middle", fill: colour, symbol: look(SYMBOLS, n), r: 4 });
  return Plot.frame({ anchor: "top", insetTop: 5, stroke: colour, strokeWidth: 2, strokeDasharray: look(DASHES, n) });
}

/** What is told of the point beside the pointer. @param {any[]} points with x, y and text @param {object} [more] */
const tip = (points, more = {}) =>
  Plot.tip(points, Plot.pointer({ x: "x", y: "y", title: "text", fill: "var(--surface)", stroke: "var(--muted)", ...more }));

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
  const points = seen.flatMap((each) => each.x.map((x, i) => ({ x, y: each.y[i], n: each.n, text: told(each, i) })));
  const known = points.filter((point) => point.y != null);
  /** @param {Series} each @param {number} i */
  function told(each, i) {
    const band = bands.find((band) => band.of === each.name && band.x[i] === each.x[i]);
    const range = band ? ` (${band.name === band.of ? "" : `${band.name} `}${shown(band.low[i])} to ${shown(band.high[i])})` : "";
    const who = each.names?.[i] ?? each.name;
    return [who, `${chart.x}: ${shown(each.x[i])}`, `${chart.y}: ${shown(each.y[i])}${range}`].filter(Boolean).join("\n");
  }
  const marks = bands.map((band) => {
    const data = band.x.map((x, i) => ({ x, low: band.low[i], high: band.high[i] })), fill = look(COLOURS, number(band.of));
    if (data.length === 1) return Plot.ruleX(data, { x: "x", y1: "low", y2: "high", stroke: fill });
    return Plot.areaY(data, { x: "x", y1: "low", y2: "high", fill, fillOpacity: 0.18 });
  });
  for (const each of seen) {
    const own = points.filter((point) => point.n === each.n), colour = look(COLOURS, each.n);
    if (chart.points || own.length === 1)
      marks.push(Plot.dot(own, { x: "x", y: "y", fill: colour, r: 3.5, symbol: look(SYMBOLS, each.n) }));
    else
      marks.push(Plot.line(own, { x: "x", y: "y", stroke: colour, strokeWidth: 2, strokeDasharray: look(DASHES, each.n) }));
  }
  const axis = (/** @type {string} */ name) => ({
    type: chart.log.includes(name) ? "log" : "linear", labelArrow: "none",
    ...(chart.log.includes(name) ? { tickFormat: "~g" } : {}), grid: true,
  });
  const across = known.map((point) => point.x);
  const marked = chart.log.includes("x") || !across.length ? {} : { ticks: ticks(across, width / 70) };
  return Plot.plot({
    width, height: Math.max(210, Math.min(320, width * 0.55)), marginLeft: 52, marginBottom: 38,
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
      colour: look(COLOURS, each.n), text: [chart.categories[i], each.name, `${chart.y}: ${shown(y)}`].filter(Boolean).join("\n"),
    })).filter((bar) => bar.y != null));
  return Plot.plot({
    width, height: 240, marginLeft: 52, marginBottom: across.margin, color: { type: "identity" },
    x: { domain: [-0.5, chart.categories.length - 0.5], label: null, ...across.axis },
    y: { label: chart.y, grid: true, nice: true, ticks: 5, labelArrow: "none" },
    marks: [Plot.rectY(data, { x1: "x1", x2: "x2", y: "y", fill: "colour" }), Plot.ruleY([0], { stroke: "var(--muted)" }), tip(data)],
  });
}

/** @param {HeatMap} chart @param {number} width */
function heat(chart, width) {
  const down = named(chart.rows, 18 * chart.rows.length + 1, false);
  const across = named(chart.columns, width - down.margin - 20, true), highest = top_of(chart);
  const data = chart.values.flatMap((row, y) =>
    row.map((value, x) => ({
      x, y, x1: x - 0.5, x2: x + 0.5, y1: y - 0.5, y2: y + 0.5, value,
      depth: value == null ? 0 : Math.max(0, (value - chart.lowest) / (highest - chart.lowest)),
      text: `${chart.y} ${chart.rows[y]}\n${chart.x} ${chart.columns[x]}\n${chart.levels.length ? "" : `${chart.label}: `}${
        chart.levels[value ?? -1] ?? shown(value)}`,
    })));
  const cells = { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: look(COLOURS, 0) };
  const crossed = chart.levels.length ? data.filter((cell) => cell.value == null) : [];
  return Plot.plot({
    width, height: Math.min(460, 18 * chart.rows.length) + across.margin + 30, marginLeft: down.margin + 10,
    marginBottom: across.margin + 6, marginTop: 24, opacity: { type: "identity" },
    x: { domain: [-0.5, chart.columns.length - 0.5], label: chart.x, labelAnchor: "center", ...across.axis },
    y: { domain: [chart.rows.length - 0.5, -0.5], label: chart.y, ...down.axis },
    marks: [Plot.rect(data, { ...cells, fillOpacity: "depth" }), Plot.frame({ stroke: "var(--grid)" }),
      Plot.text(crossed, { x: "x", y: "y", text: () => "×", fill: "var(--muted)" }), tip(data)],
  });
}

/** @param {HeatMap} chart @returns {number} */
const top_of = (chart) =>
  chart.levels.length ? chart.levels.length - 1 : Math.max(d3.max(chart.values.flat()) ?? 1, chart.lowest + 1e-9);

/** What depths of colour mean. @param {HeatMap} chart */
function ramp(chart) {
  const ends = chart.levels.length ? [chart.levels[0], chart.levels.at(-1)] : [shown(chart.lowest), shown(top_of(chart))];
  const names = chart.levels.length > 2 ? chart.levels.join(" · ") : chart.label;
  return make("div", { class: "ramp depth" }, `${ends[0]}`, make("i", { "aria-hidden": "true" }), `${ends[1]}`, make("span", {}, names));
}

/** A network whose nodes and links are coloured by what was measured, played over rounds.
 * @param {GraphChart} chart @param {Element} place @param {() => void} redraw @returns {[() => any, Node[]]} */
function graph(chart, place, redraw) {
  let nodes = chart.nodes[0], weights = /** @type {Measured | undefined} */ (undefined), stop = Infinity, timer = 0;
  const stops = [...new Set([...chart.nodes, ...chart.weights].flatMap((each) => each.rounds))].sort((a, b) => a - b);
  /** @param {Measured} each @returns {Numbers} the values last measured */
  const now = (each) => each.values[each.rounds.length ? Math.max(0, d3.bisectRight(each.rounds, stops[stop]) - 1) : 0];
  stop = stops.length - 1;
  const round = make("output", {});
  const slider = make("input", { type: "range", min: 0, max: stop, value: stop, "aria-label": "Round", oninput: () => go(+slider.value) });
  const play = make("button", { type: "button", onclick: () => (timer ? pause() : start()) }, "Play");
  const scale = make("div", { class: "ramp viridis" });
  const one = make("div", { class: "node" });
  const who = choice("Node over rounds", ["none", ...chart.names], (n) => follow(n - 1));
  /** @param {number} to */
  function go(to) {
    stop = to;
    slider.value = String(to);
    round.textContent = slider.ariaValueText = `round ${stops[to]}`;
    redraw();
  }
  function pause() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  }
  function start() {
    if (stop === stops.length - 1) go(0);
    timer = setInterval(() => (stop < stops.length - 1 ? go(stop + 1) : pause()), 700);
    play.textContent = "Pause";
  }
  /** Shows one node over all rounds. @param {number} node */
  function follow(node) {
    const mean = nodes.values.map((row) => d3.mean(row.filter((value) => value != null)) ?? null);
    const series = [{ name: chart.names[node], x: nodes.rounds, y: nodes.values.map((row) => row[node]) },
      { name: "mean of all", x: nodes.rounds, y: mean }];
    who.lastElementChild.selectedIndex = node + 1;
    one.hidden = node < 0 || nodes.rounds.length < 2;
    if (!one.hidden)
      drawChart(one, { kind: "lines", title: "", x: "round", y: nodes.name, log: "", points: false, series, bands: [] });
  }
  function describe() {
    const [low, high] = d3.extent(nodes.values.flat().filter((value) => value != null));
    scale.replaceChildren(shown(low), make("i", { "aria-hidden": "true" }), shown(high), make("span", {}, nodes.name));
    follow(who.lastElementChild.selectedIndex - 1);
  }
  function draw() {
    const width = Math.min(place.clientWidth, 620), values = now(nodes), carried = weights && now(weights);
    const radius = Math.max(3, Math.min(14, (0.42 * width) / Math.sqrt(chart.names.length) / 1.6));
    const dots = chart.names.map((name, n) => ({
      n, x: chart.x[n], y: chart.y[n], value: values[n], symbol: chart.attackers.includes(n) ? "square" : "circle",
      text: [`node ${name}${chart.attackers.includes(n) ? " (attacker)" : ""}`, `${nodes.name}: ${shown(values[n])}`, nodes.notes?.[n]]
        .filter(Boolean).join("\n"),
    }));
    const links = chart.links.map(([from, to], n) => ({
      x1: chart.x[from], y1: chart.y[from], x2: chart.x[to], y2: chart.y[to], x: (chart.x[from] + 2 * chart.x[to]) / 3,
      y: (chart.y[from] + 2 * chart.y[to]) / 3, value: carried?.[n] ?? 0,
      text: `${chart.names[from]} ${chart.directed ? "→" : "–"} ${chart.names[to]}\n${weights?.name}: ${shown(carried?.[n])}`,
    }));
    const most = weights ? d3.max(weights.values.flat()) || 1 : 1;
    const ends = { x1: "x1", y1: "y1", x2: "x2", y2: "y2", stroke: weights ? "var(--colour-1)" : "var(--muted)",
      strokeWidth: weights ? (/** @type {any} */ link) => 0.4 + (5 * link.value) / most : 1, strokeOpacity: weights ? 0.75 : 0.5 };
    const drawn = Plot.plot({
      width, height: width, margin: radius + 6, axis: null, symbol: { type: "identity" },
      x: { domain: [-1.02, 1.02] }, y: { domain: [-1.02, 1.02] },
      color: { type: "linear", scheme: "viridis", domain: d3.extent(nodes.values.flat().filter((v) => v != null)), unknown: "var(--grid)" },
      marks: [
        chart.directed ? Plot.arrow(links, { ...ends, bend: 12, headLength: 5, inset: radius }) : Plot.link(links, ends),
        Plot.dot(dots, { x: "x", y: "y", fill: "value", symbol: "symbol", r: radius, strokeWidth: 1.5,
          stroke: (/** @type {any} */ dot) => (dot.symbol === "square" ? "var(--bad)" : "var(--surface)") }),
        chart.names.length <= 100 && Plot.text(dots, { x: "x", y: "y", text: (/** @type {any} */ dot) => `${dot.n}`, fill: "white",
          stroke: "#1f2933", strokeWidth: 2.5, fontSize: Math.max(8, radius * 0.85), pointerEvents: "none" }),
        tip(weights ? [...dots, ...links] : dots, { maxRadius: 24 }),
      ],
    });
    drawn.addEventListener("click", () => drawn.value?.n != null && follow(drawn.value.n));
    return drawn;
  }
  const controls = make("div", { class: "controls" },
    choice("Nodes by", chart.nodes.map((each) => each.name), (n) => ((nodes = chart.nodes[n]), describe(), redraw())),
    ...(chart.weights.length ? [choice("Links by", ["all alike", ...chart.weights.map((each) => each.name)], (n) => ((weights = chart.weights[n - 1]), redraw()))] : []),
    ...(stops.length > 1 ? [who, make("div", { class: "rounds" }, play, slider, round)] : []));
  if (stops.length) round.textContent = `round ${stops[stop]}`;
  describe();
  return [draw, [scale, controls, one]];
}

/** A labelled choice. @param {string} label @param {string[]} names @param {(n: number) => void} choose */
function choice(label, names, choose) {
  const select = make("select", { onchange: () => choose(select.selectedIndex) }, ...names.map((name) => make("option", {}, name)));
  return make("label", {}, `${label} `, select);
}

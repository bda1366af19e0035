// @ts-check
/** Draws a network whose nodes and links are coloured by what was measured, and plays it over rounds; see charts.js. */

/** What is drawn, and the controls below it.
 * @param {GraphChart} chart @param {Element} place @param {() => void} redraw @returns {[() => any, Node[]]} */
function graph(chart, place, redraw) {
  const stops = [...new Set([...chart.nodes, ...chart.weights].flatMap((each) => each.rounds))].sort((a, b) => a - b);
  const seen = { nodes: chart.nodes[0], weights: /** @type {Measured | undefined} */ (undefined), all: false };
  let stop = stops.length - 1, timer = 0;
  const round = make("output", {}, stops.length ? `round ${stops[stop]}` : "");
  const slider = make("input", { type: "range", min: 0, max: stop, value: stop, "aria-label": "Round" });
  const play = make("button", { type: "button" }, "Play");
  const legend = make("div", {}), one = make("div", { class: "node", hidden: "" });

  /** The values last measured; none before the first. @param {Measured} each @returns {Numbers} */
  const now = (each) => each.values[each.rounds.length ? d3.bisectRight(each.rounds, stops[stop]) - 1 : 0] ?? [];
  /** @param {number} to */
  function go(to) {
    stop = to;
    slider.value = String(to);
    round.textContent = slider.ariaValueText = `round ${stops[to]}`;
    redraw();
  }
  function toggle() {
    clearInterval(timer);
    if (!timer && stop === stops.length - 1) go(0);
    timer = timer ? 0 : setInterval(() => (stop < stops.length - 1 ? go(stop + 1) : toggle()), 700);
    play.textContent = timer ? "Pause" : "Play";
  }
  /** Shows one node over all rounds; none if it is below 0. @param {number} node */
  function follow(node) {
    const { name, rounds, values } = seen.nodes;
    who.querySelector("select").selectedIndex = node + 1;
    one.hidden = node < 0 || rounds.length < 2;
    if (one.hidden) return;
    const mean = values.map((row) => d3.mean(row.filter((value) => value != null)) ?? null);
    const own = { name: chart.names[node], x: rounds, y: values.map((row) => row[node]) };
    const series = [own, { name: "mean of all", x: rounds, y: mean }];
    const title = `${name} of node ${own.name}`;
    drawChart(one, { kind: "lines", title, x: "round", y: name, log: "", points: false, series, bands: [] });
  }
  function draw() {
    const values = now(seen.nodes);
    const [low, high] = d3.extent((seen.all ? seen.nodes.values.flat() : values).filter(known));
    const range = [low ?? 0, high ?? 1], width = Math.min(place.clientWidth, 520);
    legend.replaceChildren(scale("viridis", shown(low), shown(high), seen.nodes.name));
    const drawing = network(chart, width, seen.nodes, values, range, seen.weights, seen.weights && now(seen.weights));
    drawing.addEventListener("click", () => drawing.value?.n != null && follow(drawing.value.n));
    return drawing;
  }

  const names = chart.nodes.map((each) => each.name);
  const weights = ["all alike", ...chart.weights.map((each) => each.name)];
  const who = choice("Node over rounds", ["none", ...chart.names], (n) => follow(n - 1));
  const over = choice("Colours over", ["this round", "all rounds"], (n) => {
    seen.all = n > 0;
    redraw();
  });
  const nodes_by = choice("Nodes by", names, (n) => {
    seen.nodes = chart.nodes[n];
    redraw();
    follow(who.querySelector("select").selectedIndex - 1);
  });
  const links_by = choice("Links by", weights, (n) => {
    seen.weights = chart.weights[n - 1];
    redraw();
  });
  slider.addEventListener("input", () => go(+slider.value));
  play.addEventListener("click", toggle);
  const controls = make("div", { class: "controls" }, nodes_by);
  if (chart.weights.length) controls.append(links_by);
  if (stops.length > 1) controls.append(over, who, make("div", { class: "rounds" }, play, slider, round));
  return [draw, [legend, controls, one]];
}

/** @param {number | null} value */
const known = (value) => value != null;

/** The drawing of one moment: `values` of nodes within `range`, and what links `carried`.
 * @param {GraphChart} chart @param {number} width @param {Measured} nodes @param {Numbers} values
 * @param {number[]} range @param {Measured} [weights] @param {Numbers} [carried] */
function network(chart, width, nodes, values, range, weights, carried) {
  const radius = Math.max(3, Math.min(14, (0.26 * width) / Math.sqrt(chart.names.length)));
  const dots = chart.names.map((name, n) => {
    const lies = chart.attackers.includes(n), who = `node ${name}${lies ? " (attacker)" : ""}`;
    const text = told(who, `${nodes.name}: ${shown(values[n])}`, nodes.notes?.[n]);
    return { n, x: chart.x[n], y: chart.y[n], value: values[n], text, symbol: lies ? "square" : "circle",
      rim: lies ? "var(--bad)" : "var(--surface)" };
  });
  const share = chart.directed ? 0.7 : 0.5; // of a link, where the pointer finds it: there may be one back
  const most = (weights && d3.max(weights.values.flat())) || 1;
  const links = chart.links.map(([from, to], n) => {
    const [x1, y1, x2, y2] = [chart.x[from], chart.y[from], chart.x[to], chart.y[to]], value = carried?.[n] ?? 0;
    const ends = `${chart.names[from]} ${chart.directed ? "→" : "–"} ${chart.names[to]}`;
    const text = told(ends, `${weights?.name}: ${shown(value)}`);
    return { x1, y1, x2, y2, x: x1 + share * (x2 - x1), y: y1 + share * (y2 - y1), text,
      breadth: weights ? 0.4 + (5 * value) / most : 1 };
  });
  const look = { stroke: weights ? "var(--colour-1)" : "var(--muted)", strokeOpacity: weights ? 0.75 : 0.5 };
  const breadth = (/** @type {any} */ link) => link.breadth;
  const ends = { x1: "x1", y1: "y1", x2: "x2", y2: "y2", strokeWidth: breadth, ...look };
  const label = { x: "x", y: "y", text: (/** @type {any} */ dot) => `${dot.n}`, pointerEvents: "none",
    fill: "white", stroke: "#1f2933", strokeWidth: 2, fontSize: Math.max(8, 0.85 * radius) };
  return Plot.plot({
    width, height: width, margin: radius + 6, axis: null, symbol: { type: "identity" },
    x: { domain: [-1.02, 1.02] }, y: { domain: [-1.02, 1.02] },
    color: { type: "linear", scheme: "viridis", domain: range, unknown: "var(--grid)" },
    marks: [
      chart.directed ? Plot.arrow(links, { ...ends, bend: 12, headLength: 5, inset: radius }) : Plot.link(links, ends),
      Plot.dot(dots, { x: "x", y: "y", fill: "value", symbol: "symbol", r: radius, strokeWidth: 1.5,
        stroke: (/** @type {any} */ dot) => dot.rim }),
      chart.names.length <= 100 && Plot.text(dots, label),
      tip(weights ? [...dots, ...links] : dots, { maxRadius: 24 }),
    ],
  });
}

/** A labelled choice. @param {string} label @param {string[]} names @param {(n: number) => void} choose */
function choice(label, names, choose) {
  const options = names.map((name) => make("option", {}, name));
  const select = make("select", { onchange: () => choose(select.selectedIndex) }, ...options);
  return make("label", {}, `${label} `, select);
}

// Draws what the page tells in its element #picture-data: timelines of tiers, or costs over time.
// The same numbers are in the page's tables, so that nothing is lost where this cannot run.
const pictures = document.getElementById("pictures");
const PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#edc948", "#9c755f"];
const OUTCOMES = ["succeeded", "failed", "error", "stopped", "unknown", "running", "live"];
// Outcomes differ by more than colour.
const PATTERNS = { failed: "/", error: "x", stopped: ".", unknown: "-" };
const LANE = { least: 3, most: 16 };
const TALLEST = 380;
const isTouched = matchMedia("(pointer: coarse)").matches;

/** A colour of the style sheet in the form that every drawing library knows. */
function colour(name) {
  const probe = colour.probe ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const element = colour.element ??= document.body.appendChild(document.createElement("span"));
  element.hidden = true;
  element.style.color = `var(--${name})`;
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = getComputedStyle(element).color;
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = probe.getImageData(0, 0, 1, 1).data;
  return `rgba(${red},${green},${blue},${alpha / 255})`;
}

function colours() {
  const names = ["text", "quiet", "line", "raised", "ground", "queued", ...OUTCOMES];
  return Object.fromEntries(names.map((name) => [name, colour(name)]));
}

/** Writes times in the reader's zone: the library itself knows no zones. */
function wallClock() {
  const zone = airflowSetting("timezone") || undefined;
  const options = { dateStyle: "short", timeStyle: "medium" };
  let format;
  try {
    format = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone: zone });
  } catch {
    format = new Intl.DateTimeFormat("sv-SE", options);
  }
  const offsets = new Map();
  return (moment) => {
    const quarter = Math.floor(moment / 900000) * 900000;
    if (!offsets.has(quarter)) offsets.set(quarter, Date.parse(`${format.format(quarter).replace(" ", "T")}Z`) - quarter);
    return new Date(moment + offsets.get(quarter)).toISOString().slice(0, -1);
  };
}

function layout(look, height, more) {
  const axis = { color: look.quiet, gridcolor: look.line, linecolor: look.line, zerolinecolor: look.line, automargin: true };
  const { xaxis, yaxis, yaxis2, ...rest } = more;
  return {
    height,
    margin: { l: 36, r: 8, t: 6, b: 28 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: look.text },
    hoverlabel: { bgcolor: look.ground, bordercolor: look.line, font: { color: look.text, size: 12 }, align: "left" },
    showlegend: false,
    dragmode: isTouched ? false : "zoom",
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, fixedrange: true, ...yaxis },
    ...(yaxis2 ? { yaxis2: { ...axis, fixedrange: true, ...yaxis2 } } : {}),
    ...rest,
  };
}

const SETTINGS = { displayModeBar: false, responsive: true, showTips: false, doubleClick: false };

function escaped(text) {
  return text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
}

// ---- one tier over time -------------------------------------------------------------------------------------------

function bars(parts, wall, shade, outcome, look) {
  return {
    type: "bar",
    orientation: "h",
    base: parts.map(({ span }) => wall(span[0])),
    // A bar of no length at all would not be seen.
    x: parts.map(({ span }) => Math.max(span[1] - span[0], 1)),
    y: parts.map(({ bar }) => bar.lane),
    width: 0.86,
    customdata: parts.map(({ bar }) => bar),
    hovertext: parts.map(({ bar }) =>
      [`${bar.task} ${bar.run}`, bar.dag_id, bar.said].map(escaped).join("<br>")),
    hovertemplate: "%{hovertext}<extra></extra>",
    marker: {
      color: shade,
      line: { width: 0 },
      pattern: { shape: PATTERNS[outcome] || "", fillmode: "overlay", fgcolor: look.raised, fgopacity: 0.4, size: 6, solidity: 0.3 },
    },
  };
}

function level(times, values, shade) {
  return {
    type: "scatter",
    mode: "lines",
    x: times,
    y: values,
    yaxis: "y2",
    line: { shape: "hv", width: 1, color: shade },
    fill: "tozeroy",
    fillcolor: shade,
    hoverinfo: "skip",
  };
}

function tierFigure(tier, window, look, wall) {
  const waited = tier.bars.filter((bar) => bar.queued).map((bar) => ({ bar, span: bar.queued }));
  const ran = tier.bars.filter((bar) => bar.ran).map((bar) => ({ bar, span: bar.ran }));
  const { at, queued, running } = tier.levels;
  const times = at.map(wall);
  const both = running.map((count, index) => count + queued[index]);
  const lane = Math.max(LANE.least, Math.min(LANE.most, TALLEST / Math.max(1, tier.lanes)));
  const upper = Math.max(48, Math.min(TALLEST, lane * tier.lanes + 8));
  const lower = 84;
  const height = upper + lower + 50;
  const split = (lower + 4) / (height - 34);
  const traces = [
    bars(waited, wall, look.queued, "queued", look),
    ...OUTCOMES.map((outcome) => bars(ran.filter(({ bar }) => bar.outcome === outcome), wall, look[outcome], outcome, look)),
    level(times, both, look.queued),
    level(times, running, look.running),
    // What is said of a moment, wherever the pointer is above it.
    {
      type: "scatter",
      mode: "lines",
      x: times,
      y: both,
      yaxis: "y2",
      line: { shape: "hv", width: 0 },
      customdata: running.map((count, index) => [count, queued[index]]),
      hovertemplate: "%{customdata[0]} running, %{customdata[1]} queued<extra></extra>",
    },
  ];
  const most = Math.max(1, tier.capacity || 0, ...both);
  const line = tier.capacity
    ? [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y2", y0: tier.capacity, y1: tier.capacity, line: { color: look.text, width: 1.5, dash: "dash" } }]
    : [];
  return {
    data: traces,
    layout: layout(look, height, {
      barmode: "overlay",
      hovermode: "closest",
      hoverdistance: 12,
      shapes: line,
      xaxis: { type: "date", range: closeUp ?? [wall(window.begin), wall(window.end)], anchor: "y2", showgrid: true },
      yaxis: { domain: [split + 0.03, 1], range: [-0.6, tier.lanes - 0.4], showticklabels: false, showgrid: false, zeroline: false },
      yaxis2: { domain: [0, split], range: [0, most * 1.08], dtick: Math.ceil(most / 4), tickformat: "d" },
    }),
  };
}

// ---- costs --------------------------------------------------------------------------------------------------------

function costsFigure(costs, look) {
  const data = costs.groups.map((group, index) => ({
    type: "bar",
    name: escaped(group.name),
    x: costs.steps,
    y: group.cents.map((cents) => cents / 100),
    marker: { color: PALETTE[index % PALETTE.length], line: { width: 0 } },
    hovertemplate: "%{y:$,.2f}",
  }));
  const isNarrow = pictures.clientWidth < 560;
  return {
    data,
    layout: layout(look, isNarrow ? 290 + 20 * data.length : 320, {
      barmode: "stack",
      bargap: costs.steps.length > 40 ? 0.1 : 0.25,
      hovermode: "x unified",
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", xanchor: "left", font: { color: look.text }, traceorder: "normal" },
      margin: { l: 48, r: 8, t: 36, b: 28 },
      xaxis: {
        type: "category", nticks: isNarrow ? 4 : 10, tickangle: 0, showgrid: false,
        spikecolor: look.quiet, spikethickness: 1, spikedash: "dot",
      },
      yaxis: { tickprefix: "$", rangemode: "tozero", separatethousands: true },
    }),
  };
}

// ---- the page -----------------------------------------------------------------------------------------------------

/** The place of a picture: made once, so that it keeps what the reader has zoomed to. */
function place(key, title, facts) {
  let figure = [...pictures.children].find((child) => child.dataset.key === key);
  if (!figure) {
    figure = document.createElement("figure");
    figure.className = "picture";
    figure.dataset.key = key;
    figure.append(document.createElement("figcaption"), document.createElement("div"));
    figure.lastChild.className = "plot";
    figure.lastChild.setAttribute("aria-hidden", "true");
  }
  const name = document.createElement("strong");
  name.textContent = title;
  figure.firstChild.replaceChildren(name, facts);
  return figure;
}

/** The part of the time that the reader looks at more closely, on all tiers; none after another choice. */
let closeUp = null;
let chosen = location.search;

function lookCloser(changed) {
  const range = [changed["xaxis.range[0]"], changed["xaxis.range[1]"]];
  if (range[0] === undefined || String(range) === String(closeUp)) return;
  closeUp = range;
  draw();
}

function lookAtAll() {
  closeUp = null;
  draw();
}

/** Opens the task behind a bar, as a link in the page would. */
function openTask(event) {
  const bar = event.points[0] && event.points[0].customdata;
  if (!bar || !bar.address) return;
  const link = document.createElement("a");
  link.href = bar.address;
  link.dataset.opens = "here";
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
}

function figures(told) {
  const look = colours();
  if (pictures.dataset.kind === "costs") {
    if (!told.groups.length) return [];
    return [{ key: "costs", title: "Cost", facts: `per ${told.step}`, figure: costsFigure(told, look) }];
  }
  const wall = wallClock();
  return told.tiers.map((tier) => ({
    key: `tier ${tier.tier ?? ""}`,
    title: tier.title,
    facts: tier.facts,
    leads: true,
    figure: tierFigure(tier, told, look, wall),
  }));
}

function draw() {
  const source = document.getElementById("picture-data");
  if (!source || !window.Plotly) return;
  // Where the live part has a place for them, the pictures stand among what it says.
  const among = document.querySelector(".picture-place");
  if (among) among.append(pictures);
  if (chosen !== location.search) [closeUp, chosen] = [null, location.search];
  const wanted = figures(JSON.parse(source.textContent));
  const kept = wanted.map(({ key, title, facts }) => place(key, title, facts));
  for (const child of [...pictures.children]) {
    if (kept.includes(child)) continue;
    Plotly.purge(child.lastChild);
    child.remove();
  }
  wanted.forEach(({ figure, leads }, index) => {
    if (pictures.children[index] !== kept[index]) pictures.insertBefore(kept[index], pictures.children[index] || null);
    const plot = kept[index].lastChild;
    const isNew = !plot.classList.contains("js-plotly-plot");
    Plotly.react(plot, figure.data, figure.layout, SETTINGS);
    if (isNew && leads) {
      plot.classList.add("leads");
      plot.on("plotly_click", openTask);
      plot.on("plotly_relayout", lookCloser);
      plot.on("plotly_doubleclick", lookAtAll);
    }
  });
  const legend = document.querySelector(".legend");
  if (legend) legend.hidden = !wanted.length;
}

/** Days begin where the reader is: the zone that Airflow's UI is set to goes along with the form. */
function followZone(form) {
  const zone = airflowSetting("timezone");
  const field = form.querySelector("input[name=timezone]");
  if (field.value || !zone || zone === "UTC") return;
  field.value = zone;
  form.requestSubmit();
}

const zoned = document.querySelector("form[data-zone]");
if (zoned) {
  // Before the page's own script sends the choice: days that were chosen and a period exclude each other.
  zoned.addEventListener("change", (event) => {
    const days = [...zoned.querySelectorAll("input[type=date]")];
    if (event.target.name === "period") for (const day of days) day.value = "";
    else if (days.includes(event.target) && event.target.value) zoned.querySelector("select[name=period]").selectedIndex = -1;
  }, { capture: true });
  followZone(zoned);
}
if (pictures) {
  draw();
  document.addEventListener("domino:shown", draw);
  document.addEventListener("domino:theme", draw);
}

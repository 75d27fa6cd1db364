// The drawing of Luigi tasks: larger and smaller, moved by the pointer, walked through by the arrow keys; and choices
// without a new page. Without this script the drawing scrolls, and each choice is a link.
"use strict";

const STEP = 1.25;
const SMALLEST = 0.1;
const LARGEST = 3;
const READABLE = 0.55;
const IS_DRAG = 5;
const ONE_TURN = 400;

/** How large the drawing is shown and which corner of it, kept while the live part is renewed. */
const sight = { scale: null, left: 0, top: 0, shape: "", chosen: null };

function drawing() {
  const canvas = document.getElementById("canvas");
  const svg = canvas && canvas.querySelector("svg.graph");
  if (!svg) return null;
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  return { canvas, svg, width, height };
}

/** The scale at which all of it is seen, or as much as can still be read. */
function fitting({ canvas, width, height }) {
  const inner = Math.min(canvas.clientWidth / width, parseFloat(getComputedStyle(canvas).maxHeight) / height || 1);
  return Math.min(1, Math.max(inner, READABLE));
}

function apply(shown, scale) {
  sight.scale = Math.min(LARGEST, Math.max(SMALLEST, scale));
  shown.svg.setAttribute("width", Math.round(shown.width * sight.scale));
  shown.svg.setAttribute("height", Math.round(shown.height * sight.scale));
}

/** Zooms, and leaves what is under a point of the canvas where it is. */
function zoom(scale, x, y) {
  const shown = drawing();
  if (!shown) return;
  const { canvas } = shown;
  const before = sight.scale;
  const at = { x: x ?? canvas.clientWidth / 2, y: y ?? canvas.clientHeight / 2 };
  const point = { x: (canvas.scrollLeft + at.x) / before, y: (canvas.scrollTop + at.y) / before };
  apply(shown, scale);
  canvas.scrollLeft = point.x * sight.scale - at.x;
  canvas.scrollTop = point.y * sight.scale - at.y;
  remember();
}

function remember() {
  const shown = drawing();
  if (!shown) return;
  sight.left = shown.canvas.scrollLeft;
  sight.top = shown.canvas.scrollTop;
}

/** Shows the drawing of a renewed live part as the one before was shown. */
function restore() {
  const shown = drawing();
  if (!shown) return;
  const { canvas } = shown;
  for (const tools of document.querySelectorAll(".tools[hidden]")) tools.hidden = false;
  const shape = shown.svg.getAttribute("viewBox");
  const isSame = shape === sight.shape;
  sight.shape = shape;
  apply(shown, sight.scale ?? fitting(shown));
  canvas.scrollLeft = sight.left;
  canvas.scrollTop = isSame ? sight.top : (canvas.scrollHeight - canvas.clientHeight) / 2;
  const chosen = canvas.querySelector("a.box.chosen");
  if (chosen && !(isSame && chosen.dataset.key === sight.chosen)) reveal(canvas, chosen);
  sight.chosen = chosen ? chosen.dataset.key : null;
  remember();
  canvas.addEventListener("scroll", remember, { passive: true });
  canvas.addEventListener("wheel", turn, { passive: false });
  canvas.addEventListener("pointerdown", hold);
  canvas.addEventListener("keydown", walk);
}

/** Moves the drawing so that a box is seen, and the page not at all. */
function reveal(canvas, box) {
  const frame = canvas.getBoundingClientRect();
  const place = box.getBoundingClientRect();
  const margin = 24;
  canvas.scrollLeft += Math.min(0, place.left - frame.left - margin) + Math.max(0, place.right - frame.right + margin);
  canvas.scrollTop += Math.min(0, place.top - frame.top - margin) + Math.max(0, place.bottom - frame.bottom + margin);
}

/** Whether the page is being scrolled, and the pointer has come over the drawing by that alone. */
let scrolledAt = -Infinity;

function isPassing(event) {
  const passes = event.timeStamp - scrolledAt < ONE_TURN;
  if (passes) scrolledAt = event.timeStamp;
  return passes;
}

function turn(event) {
  const canvas = event.currentTarget;
  if (isPassing(event) && !event.ctrlKey) return;
  if (event.shiftKey || (event.deltaX && !event.ctrlKey)) return;
  event.preventDefault();
  const frame = canvas.getBoundingClientRect();
  const strength = event.ctrlKey ? 0.01 : 0.0015;
  zoom(sight.scale * Math.exp(-event.deltaY * strength), event.clientX - frame.left, event.clientY - frame.top);
}

function hold(event) {
  if (event.button !== 0 || event.pointerType === "touch") return;
  const canvas = event.currentTarget;
  const from = { x: event.clientX, y: event.clientY, left: canvas.scrollLeft, top: canvas.scrollTop };
  let moved = false;
  const move = (now) => {
    moved = moved || Math.hypot(now.clientX - from.x, now.clientY - from.y) > IS_DRAG;
    if (!moved) return;
    canvas.classList.add("held");
    canvas.scrollLeft = from.left + from.x - now.clientX;
    canvas.scrollTop = from.top + from.y - now.clientY;
  };
  const release = () => {
    canvas.classList.remove("held");
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", release);
    removeEventListener("pointercancel", release);
    if (moved) {
      const swallow = (click) => (click.preventDefault(), click.stopPropagation());
      addEventListener("click", swallow, { capture: true, once: true });
      setTimeout(() => removeEventListener("click", swallow, { capture: true }));
    }
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", release);
  addEventListener("pointercancel", release);
}

const DIRECTIONS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const ZOOMS = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "one" };

/** From box to box by the arrow keys; larger and smaller by + and -. */
function walk(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (ZOOMS[event.key]) {
    event.preventDefault();
    resize(ZOOMS[event.key]);
    return;
  }
  const direction = DIRECTIONS[event.key];
  const here = event.target instanceof Element && event.target.closest("a.box");
  if (!direction || !here) return;
  event.preventDefault();
  const from = middle(here);
  let best = null;
  for (const box of event.currentTarget.querySelectorAll("a.box")) {
    const to = middle(box);
    const along = (to.x - from.x) * direction[0] + (to.y - from.y) * direction[1];
    const aside = Math.abs((to.x - from.x) * direction[1]) + Math.abs((to.y - from.y) * direction[0]);
    const cost = along + 3 * aside;
    if (box !== here && along > 4 && (!best || cost < best.cost)) best = { box, cost };
  }
  if (best) {
    best.box.focus({ preventScroll: true });
    reveal(event.currentTarget, best.box);
  }
}

function middle(box) {
  const frame = box.querySelector(".body").getBoundingClientRect();
  return { x: frame.left + frame.width / 2, y: frame.top + frame.height / 2 };
}

function resize(how) {
  const shown = drawing();
  if (!shown) return;
  if (how === "in") zoom(sight.scale * STEP);
  else if (how === "out") zoom(sight.scale / STEP);
  else zoom(how === "one" ? 1 : fitting(shown));
}

/** Follows a choice in place; the form gets what the address says. */
async function follow(event) {
  const tool = event.target instanceof Element && event.target.closest("button[data-zoom]");
  if (tool) resize(tool.dataset.zoom);
  const link = event.target instanceof Element && event.target.closest("a[data-choice]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(link.href.baseVal === undefined ? link.href : link.href.baseVal, document.baseURI);
  const choosesTask = address.searchParams.get("task") && link.matches(".box, .luigi-list a, .near a");
  history.replaceState(null, "", address.search);
  fill(address.searchParams);
  await refresh();
  const details = document.getElementById("task");
  if (choosesTask && details) details.scrollIntoView({ block: "nearest" });
}

function fill(params) {
  if (!form) return;
  for (const name of ["state", "family", "q"]) {
    if (form.elements[name]) form.elements[name].value = params.get(name) || "";
  }
  for (const field of form.querySelectorAll("input[data-carried]")) field.remove();
  for (const name of ["task", "unfold"]) {
    for (const value of params.getAll(name)) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      field.dataset.carried = "";
      form.append(field);
    }
  }
}

function close(event) {
  const link = event.key === "Escape" && !document.querySelector("dialog[open]") && document.querySelector("#task .close a");
  if (link) link.click();
}

document.addEventListener("click", follow);
document.addEventListener("keydown", close);
document.addEventListener(
  "wheel",
  (event) => {
    if (!(event.target instanceof Element && event.target.closest("#canvas"))) scrolledAt = event.timeStamp;
  },
  { passive: true, capture: true },
);
document.addEventListener("domino:shown", restore);
let waits = null;
if (form && form.elements.q) {
  form.elements.q.addEventListener("input", () => {
    clearTimeout(waits);
    waits = setTimeout(() => form.elements.q.dispatchEvent(new Event("change", { bubbles: true })), 300);
  });
}
fill(new URLSearchParams(location.search));
restore();

// What all pages have in common: Airflow's colours and time zone, links out of Airflow's frame, a live part that is
// asked for again and again. What buttons do is in actions.js.
//
// A page's own script may listen for "domino:shown" on the document (the live part has been renewed) and
// "domino:theme" (light or dark has changed).
"use strict";

const LIVE_INTERVAL = 3000;
const IDLE_INTERVAL = 6000;
const SOON_INTERVAL = 1000;
const ANSWER_WITHIN = 10000;

const live = document.getElementById("live");
const freshness = document.getElementById("freshness");
const form = document.querySelector("main form[method=get]");

/** Airflow's window, where this page is shown in a frame of it and may look at it. */
function airflowWindow() {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
}

/** A setting that Airflow's UI keeps in the browser (it writes JSON). */
function airflowSetting(name) {
  try {
    const text = localStorage.getItem(name);
    return text && text.startsWith('"') ? JSON.parse(text) : text;
  } catch {
    return null;
  }
}

function followAirflowsColours() {
  const airflow = airflowWindow();
  const outer = airflow && airflow.document.documentElement;
  const apply = () => {
    const asked = outer && ["dark", "light"].find((name) => outer.classList.contains(name));
    const kept = ["dark", "light"].find((name) => name === airflowSetting("theme"));
    const theme = asked || kept;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    document.dispatchEvent(new CustomEvent("domino:theme"));
  };
  apply();
  if (outer) new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
}

function timeWriter() {
  const options = { dateStyle: "medium", timeStyle: "medium" };
  try {
    return new Intl.DateTimeFormat(undefined, { ...options, timeZone: airflowSetting("timezone") || undefined });
  } catch {
    return new Intl.DateTimeFormat(undefined, options);
  }
}

function writeTimes() {
  const writer = timeWriter();
  for (const time of document.querySelectorAll("main time[datetime]:not([title])")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) {
      time.title = time.textContent;
      time.textContent = writer.format(moment);
    }
  }
}

/** Airflow's frame forbids this page to open or leave a window; a link in Airflow's own document may. */
function openThroughAirflow(event) {
  const link = event.target instanceof Element && event.target.closest("a[data-opens]");
  const airflow = airflowWindow();
  const isWanted = link && airflow && (event.type === "click" || event.button === 1);
  if (!isWanted) return;
  event.preventDefault();
  const standIn = airflow.document.createElement("a");
  standIn.href = link.href.baseVal === undefined ? link.href : new URL(link.href.baseVal, document.baseURI).href;
  const inTab = link.dataset.opens === "tab" || event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  if (inTab) {
    standIn.target = "_blank";
    standIn.rel = "noopener noreferrer";
  }
  standIn.hidden = true;
  airflow.document.body.append(standIn);
  standIn.click();
  standIn.remove();
}

/** Puts the new rows in; what was focused or unfolded stays so. */
function show(html) {
  if (show.last === html) return;
  show.last = html;
  const key = live.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const unfolded = new Set([...live.querySelectorAll("details[open][data-key]")].map((element) => element.dataset.key));
  live.innerHTML = html;
  for (const element of live.querySelectorAll("details[data-key]")) {
    if (unfolded.has(element.dataset.key)) element.open = true;
  }
  dress();
  if (key) {
    const again = [...live.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
    if (again) again.focus({ preventScroll: true });
  }
  document.dispatchEvent(new CustomEvent("domino:shown"));
}

/** What HTML alone cannot do: times in the reader's zone, buttons that need this script. */
function dress() {
  writeTimes();
  for (const button of document.querySelectorAll("button:is([data-post], [data-does])[hidden]")) button.hidden = false;
}

function say(text, isTrouble = false) {
  if (freshness.textContent !== text) freshness.textContent = text;
  freshness.classList.toggle("trouble", isTrouble);
}

async function refresh() {
  const asked = location.search;
  try {
    const answer = await fetch(`${live.dataset.live}${asked}`, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
    if (answer.ok) {
      const html = await answer.text();
      if (asked === location.search) show(html);
      say("Live");
    } else if (answer.status === 401) {
      say("You have been signed out of Airflow: sign in and open this page again.", true);
      return false;
    } else {
      say(`Airflow answered ${answer.status}; what you see may be old.`, true);
    }
  } catch {
    say("Airflow does not answer; what you see may be old.", true);
  }
  return true;
}

/** Shows another choice without a new page, so that the keyboard stays where it is. */
function choose(event) {
  event.preventDefault();
  const chosen = [...new FormData(form)].filter(([, value]) => value);
  history.replaceState(null, "", `?${new URLSearchParams(chosen)}`);
  refresh();
}

/** How long the live part is good for: it says so itself, or what is awaited (data-soon), or that nothing goes on. */
function interval() {
  if (live.querySelector("[data-soon]")) return SOON_INTERVAL;
  const asked = live.querySelector("[data-live-every]");
  if (asked) return Number(asked.dataset.liveEvery) * 1000;
  return live.querySelector("[data-live-count='0']") ? IDLE_INTERVAL : LIVE_INTERVAL;
}

async function keepFresh() {
  let goesOn = true;
  while (goesOn) {
    await new Promise((resolve) => setTimeout(resolve, interval()));
    if (!document.hidden) goesOn = await refresh();
  }
}

followAirflowsColours();
dress();
document.addEventListener("click", openThroughAirflow);
document.addEventListener("auxclick", openThroughAirflow);
if (live.dataset.live) {
  if (form) {
    form.addEventListener("change", choose);
    form.addEventListener("submit", choose);
    for (const button of form.querySelectorAll("button[type=submit]")) button.hidden = true;
  }
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  say("Live");
  keepFresh();
}

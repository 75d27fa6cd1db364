// Buttons that do something: each asks first, in a dialog, does it, says so, and has the live part renewed.
//
//   data-does="again" | "stop"  something that Airflow does itself: its own API is asked, with the caller's own
//                               permissions, so that it is what it would be in Airflow's own pages (its audit log, too);
//                               data-body names the task instance, data-name says what to call the thing
//   data-post="address"         anything else: data-body (JSON) is sent there; the question is what data-ask says, or
//                               where there is none what the address answers to {..., "preview": true} as "question"
"use strict";

const API = "../api/v2/dags/";
const DO_WITHIN = 30000;
const NOTICE_FOR = 10000;
const MOST_NAMED = 8;

const question = document.getElementById("question");
const questionText = document.getElementById("question-text");
const questionTrouble = document.getElementById("question-trouble");
const yes = question.querySelector("button[value=yes]");

/** What Airflow or this page answered, if it was no success, as a sentence. */
function refusal(status, said) {
  if (typeof said.detail === "string" && said.detail !== "Forbidden") return said.detail;
  if (status === 401) return "You have been signed out of Airflow: sign in and open this page again.";
  if (status === 403) return "Airflow does not let this account change the tasks of this DAG.";
  const details = Array.isArray(said.detail) ? said.detail.map((each) => each.msg).filter(Boolean) : [];
  return `Airflow answered ${status}${details.length ? `: ${details.join("; ")}` : ""}.`;
}

/** Sends JSON; gives back what was answered, or throws what was wrong as a sentence. */
async function send(method, address, body) {
  let answer;
  try {
    answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(DO_WITHIN),
    });
  } catch {
    throw new Error("Airflow does not answer. Look whether it was done before you try again.");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(refusal(answer.status, said));
  return said;
}

function titleOf(task) {
  return task.map_index >= 0 ? `${task.task_id} [${task.map_index}]` : task.task_id;
}

function listed(names) {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function clear(task, isDry) {
  return send("POST", `${API}${encodeURIComponent(task.dag_id)}/clearTaskInstances`, {
    dry_run: isDry,
    dag_run_id: task.run_id,
    task_ids: [task.map_index >= 0 ? [task.task_id, task.map_index] : task.task_id],
    only_failed: false,
    include_downstream: true,
    reset_dag_runs: true,
  });
}

const DEEDS = {
  again: {
    async question(button, task) {
      const cleared = (await clear(task, true)).task_instances.map(titleOf);
      const after = cleared.filter((name) => name !== titleOf(task));
      const rest = after.length ? `\n\nWhat comes after it is cleared with it: ${listed(after)}.` : "";
      return `Run ${titleOf(task)} again?\n\nAirflow clears the task; it then launches a new run on Domino.${rest}`;
    },
    async act(button, task) {
      await clear(task, false);
      return `${titleOf(task)} has been cleared and will run again.`;
    },
  },
  stop: {
    question: (button, task) =>
      `Stop ${button.dataset.name}?\n\nAirflow marks ${titleOf(task)} as failed, which stops its run on Domino. ` +
      "No further attempt is made.",
    async act(button, task) {
      const names = [task.dag_id, task.run_id, task.task_id].map(encodeURIComponent);
      const mapped = task.map_index >= 0 ? `/${task.map_index}` : "";
      const address = `${API}${names[0]}/dagRuns/${names[1]}/taskInstances/${names[2]}${mapped}`;
      await send("PATCH", address, { new_state: "failed" });
      return `${titleOf(task)} has been marked as failed; its run is being stopped.`;
    },
  },
  post: {
    question: async (button, body) =>
      button.dataset.ask || (await send("POST", button.dataset.post, { ...body, preview: true })).question,
    act: async (button, body) => (await send("POST", button.dataset.post, body)).said,
  },
};

function focusOn(key) {
  const again = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key);
  (again || document.querySelector("main h1")).focus({ preventScroll: true });
}

/** Says what was done, for a while. */
function announce(text) {
  const notice = document.getElementById("notice");
  clearTimeout(announce.timer);
  notice.textContent = text || "Done.";
  announce.timer = setTimeout(() => (notice.textContent = ""), NOTICE_FOR);
}

async function ask(button) {
  const { key } = button.dataset;
  const body = JSON.parse(button.dataset.body);
  const deed = DEEDS[button.dataset.does || "post"];
  let isAsked = true;
  questionText.textContent = "One moment …";
  questionTrouble.textContent = "";
  yes.textContent = button.textContent.trim();
  yes.disabled = true;
  const decide = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    questionTrouble.textContent = "";
    try {
      const said = await deed.act(button, body);
      question.close();
      announce(said);
      if (live.dataset.live) await refresh();
      else location.reload();
    } catch (error) {
      questionTrouble.textContent = error.message;
      yes.disabled = false;
    }
  };
  const end = () => {
    isAsked = false;
    yes.removeEventListener("click", decide);
    focusOn(key);
  };
  yes.addEventListener("click", decide);
  question.addEventListener("close", end, { once: true });
  question.showModal();
  try {
    const text = await deed.question(button, body);
    if (!isAsked) return;
    questionText.textContent = text;
    yes.disabled = false;
  } catch (error) {
    questionText.textContent = "This cannot be done.";
    questionTrouble.textContent = error.message;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("button:is([data-post], [data-does])");
  if (button && !question.open) ask(button);
});

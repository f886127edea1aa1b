// The live side of the workbench: fetches the page's parts when something happens, and does what is clicked.

import { call, filled, leave, sessionPath, tell, warn, words } from "./workbench_calls.js";
import { announce } from "./workbench_alerts.js";
import { follow as followComposer, draftFor, startComposer } from "./workbench_composer.js";
import { openRelease, openTransfer, openHelp, startDialogs } from "./workbench_dialogs.js";
import { startKeys } from "./workbench_keys.js";
import { place, put } from "./workbench_parts.js";
import { keepAtEnd, startPictures } from "./workbench_pictures.js";
import { heard, look } from "./workbench_presence.js";

const POLL_MS = 15_000;
const SENDING_MS = 2_000;
const NUMBERS_MS = 60_000;
const SOON_MS = 100;
const SPREAD_MS = 200; // every open page hears the same event
const STEP = 200;
const NEAR = 90;
const phone = matchMedia("(max-width: 900px)");
const scroll = document.querySelector("#scroll");
let state = JSON.parse(document.body.dataset.state);
let lines = 0;
let running = null;
let wanted = false;
let away = false;
let soonTimer, sendingTimer, numbersTimer;

export const now = () => state;
const params = () => new URLSearchParams(location.search);

async function fetchPanes() {
  const query = params();
  query.delete("lang");
  if (lines) query.set("lines", String(lines));
  const asked = query.toString();
  const response = await fetch(`/api/workbench?${asked}`);
  if (response.status === 401) return leave();
  if (!response.ok) throw new Error(String(response.status));
  const { regions, state: fresh } = await response.json();
  if ((params().get("session") ?? "") !== (query.get("session") ?? "")) return;
  const other = fresh.session !== state.session;
  const fromBottom = scroll.scrollHeight - scroll.scrollTop;
  const near = fromBottom - scroll.clientHeight < NEAR;
  const before = state;
  state = fresh;
  place(regions);
  if (other || near) scroll.scrollTop = scroll.scrollHeight;
  else if (lines && !near) scroll.scrollTop = Math.max(scroll.scrollTop, scroll.scrollHeight - fromBottom);
  document.querySelector("#about").hidden = !state.session;
  followComposer(state, other);
  look(state.session);
  announce(before, state);
  clearTimeout(sendingTimer);
  if (state.sending) sendingTimer = setTimeout(refresh, SENDING_MS);
}

export async function refresh() {
  if (running) {
    wanted = true;
    return running;
  }
  running = (async () => {
    do {
      wanted = false;
      try {
        await fetchPanes();
        if (away) tell(words.connected);
        away = false;
      } catch {
        if (!away) warn(words.offline);
        away = true;
      }
    } while (wanted);
  })();
  await running;
  running = null;
}

function soon() {
  clearTimeout(soonTimer);
  soonTimer = setTimeout(refresh, SOON_MS + Math.random() * SPREAD_MS);
}

export function show(pane) {
  document.body.dataset.pane = pane;
  if (phone.matches) scrollTo(0, 0);
}

export async function go(changes, focus = "talk") {
  const query = params();
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  query.delete("lang");
  query.delete("done");
  history.pushState(null, "", `/console?${query}`);
  if ("session" in changes) {
    lines = 0;
    draftFor(changes.session);
    show("talk");
  }
  await refresh();
  if (!("session" in changes)) return;
  if (focus === "row") document.querySelector(`[data-key="${CSS.escape(changes.session)}"]`)?.focus();
  else if (focus === "talk") {
    const reply = document.querySelector("#reply");
    (state.mine && !phone.matches ? reply : document.querySelector("#talk")).focus();
  }
}

async function numbers() {
  const response = await fetch("/api/workbench/numbers").catch(() => null);
  if (!response?.ok) return;
  put(document.querySelector("#numbers"), await response.text());
}

async function act(path, body, done, method = "POST") {
  const answer = await call(method, path, body);
  if (answer && done) tell(done);
  await Promise.all([refresh(), numbers()]);
  return answer;
}

const of = (rest) => sessionPath(state.session, rest);
export const acts = {
  async take() {
    if (!state.can_take) return;
    if (!(await act(of("/takeover"), {}, words.taken_ok))) return;
    document.querySelector("#reply").focus();
    await go({ tab: "mine", q: "" });
  },
  release: () => state.may_end && openRelease((reason) => act(of("/release"), { reason }, words.released_ok)),
  transfer: () =>
    state.may_end &&
    openTransfer((to, name, reason, note, atOnce) => atOnce
      ? act(of("/reassign"), { to_agent_id: to, reason }, filled(words.reassigned_ok, { name }))
      : act(of("/transfer"), { to_agent_id: to, to_agent_name: name, reason, note },
        filled(words.asked_ok, { name }))),
  vip: () => act(of("/mark"), { vip: !state.vip }, "", "PUT"),
  email_clear: () => act(of("/profile"), { email: "" }, "", "PUT"),
  async whisper() {
    const field = document.querySelector("#note");
    const content = field.value.trim();
    if (content && (await act(of("/whisper"), { content }, words.whispered_ok))) field.value = "";
  },
  help: openHelp,
  list() {
    show("list");
    (document.querySelector('.sessions [aria-current="true"]') ?? document.querySelector(".tabs a"))?.focus();
  },
  talk: () => show("talk"),
  customer: () => show("customer"),
  async earlier() {
    lines = Math.min(1000, (lines || 60) + STEP);
    await refresh();
  },
};

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = event.target.closest("a[data-session], a[data-tab]");
  if (link) {
    event.preventDefault();
    const { session, tab } = link.dataset;
    if (session) go({ session });
    else go({ tab, q: "" }).then(() => { document.querySelector("#find").value = ""; });
    return;
  }
  const button = event.target.closest("button");
  if (!button) return;
  const { do: what, respond, retry, untag, accept } = button.dataset;
  if (what) acts[what]?.();
  else if (respond) {
    const yes = accept === "yes";
    call("POST", `/api/transfer-requests/${respond}/respond`, { accept: yes }).then((answer) => {
      if (!answer) return refresh();
      tell(yes ? words.accepted_ok : words.declined_ok);
      return yes ? go({ session: button.dataset.of, tab: "mine" }) : refresh();
    });
  } else if (retry) act(of(`/messages/${retry}/retry`), {}, words.resent_ok);
  else if (untag) act(of("/tags"), { tags: state.tags.filter((each) => each !== untag) }, "", "PUT");
});

function onSubmit(selector, take) {
  document.querySelector(selector)?.addEventListener("submit", (event) => {
    event.preventDefault();
    take(event);
  });
}
onSubmit("#tag-form", async () => {
  const field = document.querySelector("#tag");
  const tag = field.value.trim();
  if (tag && (await act(of("/tags"), { tags: [...state.tags, tag] }, "", "PUT"))) field.value = "";
});
onSubmit("#email-form", async () => {
  const field = document.querySelector("#email");
  const email = field.value.trim();
  if (email && (await act(of("/profile"), { email }, "", "PUT"))) field.value = "";
});
onSubmit("#note-form", async () => {
  const field = document.querySelector("#note");
  const content = field.value.trim();
  if (content && (await act(of("/notes"), { content }))) field.value = "";
});
onSubmit("#my-status", (event) => act("/api/agent/status", { status: event.submitter.value }, "", "PUT"));
onSubmit(".find", () => go({ q: document.querySelector("#find").value.trim() }));

addEventListener("popstate", () => {
  draftFor(params().get("session") ?? "");
  show(params().get("session") ? "talk" : "list");
  refresh();
});
document.addEventListener("desk", ({ detail }) => {
  if (heard(detail) || detail.type === "agent_status") return;
  // what is said in a colleague's session, and not looked at here, can wait for the slow poll
  const elsewhere = detail.type === "message" && detail.session_name !== state.session;
  if (elsewhere && detail.agent_id && detail.agent_id !== document.body.dataset.username) return;
  soon();
  if (detail.type !== "message") {
    clearTimeout(numbersTimer);
    numbersTimer = setTimeout(numbers, SOON_MS + Math.random() * SPREAD_MS);
  }
});
document.addEventListener("visibilitychange", () => document.hidden || soon());
setInterval(refresh, POLL_MS);
setInterval(numbers, NUMBERS_MS);

scroll.scrollTop = scroll.scrollHeight;
startDialogs();
startComposer(refresh);
startPictures(() => (state.mine ? state.session : ""), refresh);
keepAtEnd(scroll, NEAR);
startKeys({ acts, go, state: now, show });
draftFor(state.session);
followComposer(state, true);
announce(null, state);
look(state.session);
if (state.sending) sendingTimer = setTimeout(refresh, SENDING_MS);
document.body.dataset.live = "yes";

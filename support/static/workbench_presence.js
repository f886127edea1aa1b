// Who else looks at this session or types in it; and what a supervisor whispers.

import { filled, sessionPath, tell, words } from "./workbench_calls.js";

const AGAIN_MS = 25_000;
const TYPING_MS = 8_000;
const STOPS_MS = 12_000; // whoever types on has said so again by then
const PASSES_MS = 40_000;
const { username, there } = document.body.dataset;
const place = document.querySelector("#watchers");
const seen = new Map(); // session → username → {name, doing, until}
let session = "";
let typedAt = 0;

function say(name, doing) {
  if (!there || !name) return;
  // nobody waits for this, and the next one comes soon
  fetch(sessionPath(name, "/presence"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ doing }),
    keepalive: true,
  }).catch(() => {});
}

function show() {
  const others = [...(seen.get(session)?.values() ?? [])].filter(({ until }) => until > Date.now());
  const text = others
    .map(({ name, doing, typing }) => filled(doing === "typing" && typing > Date.now() ? words.is_typing : words.is_viewing, { name }))
    .join(" · ");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

export function look(name) {
  if (name === session) return;
  say(session, "gone");
  session = name;
  say(session, "viewing");
  show();
}

export function type() {
  if (Date.now() - typedAt < TYPING_MS) return;
  typedAt = Date.now();
  say(session, "typing");
}

// True when the event was one of these: then nothing has to be fetched.
export function heard(event) {
  if (event.type === "whisper") {
    tell(`${event.from_agent_name}: ${event.content}`);
    return false;
  }
  if (event.type !== "presence") return false;
  if (event.agent_id !== username) {
    if (!seen.has(event.session_name)) seen.set(event.session_name, new Map());
    const until = event.doing === "gone" ? 0 : Date.now() + PASSES_MS;
    const typing = Date.now() + STOPS_MS;
    const fresh = { name: event.agent_name, doing: event.doing, until, typing };
    seen.get(event.session_name).set(event.agent_id, fresh);
    show();
    if (event.doing === "typing") setTimeout(show, STOPS_MS);
  }
  return true;
}

setInterval(() => {
  if (!document.hidden) say(session, "viewing");
  show();
}, AGAIN_MS);
addEventListener("pagehide", () => say(session, "gone"));

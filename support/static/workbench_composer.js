// The reply: bytes, sending, drafts of each session, and canned replies behind "/".

import { call, filled, warn, words } from "./workbench_calls.js";
import { type } from "./workbench_presence.js";

const BUBBLE = 2048; // bytes of one WeChat message
const MOST = 4000; // characters
const FRESH_MS = 60_000;
const form = document.querySelector("#composer");
const reply = document.querySelector("#reply");
const send = document.querySelector("#send");
const count = document.querySelector("#count");
const list = document.querySelector("#canned");
const drafts = new Map();
let session = "";
let state = {};
let refresh = () => {};
let busy = false;
let canned = [];
let cannedAt = 0;
let sent = { to: "", content: "", key: "" };
let chosen = -1;

function counted() {
  const bytes = new TextEncoder().encode(reply.value.trim()).length;
  const pieces = Math.ceil(bytes / BUBBLE);
  const parts = bytes ? [filled(words.bytes, { n: bytes })] : [];
  if (state.wechat && pieces > 1) parts.push(filled(words.bubbles, { n: pieces }));
  if (reply.value.length >= MOST) parts.push(filled(words.too_long, { most: MOST }));
  count.textContent = parts.join(" · ");
  send.disabled = busy || !bytes;
}

export function draftFor(name) {
  if (session) drafts.set(session, reply.value);
  session = name;
  reply.value = drafts.get(name) ?? "";
  close();
  counted();
}

export function follow(fresh) {
  state = fresh;
  form.hidden = !state.mine;
  counted();
}

// The same words to the same customer keep their key until they are taken: whoever sends them again after a
// time-out, or in two clicks, has them said once.
function keyOf(to, content) {
  if (sent.to !== to || sent.content !== content) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    sent = { to, content, key };
  }
  return sent.key;
}

async function submit() {
  const content = reply.value.trim();
  if (busy || !content || !state.mine) return;
  busy = true;
  counted();
  const to = state.session;
  const line = { session_name: to, role: "agent", content, client_message_id: keyOf(to, content) };
  const answer = await call("POST", "/api/manual/messages", line);
  busy = false;
  if (answer) {
    sent = { to: "", content: "", key: "" };
    drafts.delete(to);
    if (session === to) reply.value = "";
  }
  counted();
  await refresh();
}

function close() {
  list.hidden = true;
  list.replaceChildren();
  chosen = -1;
  reply.removeAttribute("aria-activedescendant");
}

function choose(index) {
  const options = [...list.querySelectorAll("[role=option]")];
  if (!options.length) return;
  chosen = (index + options.length) % options.length;
  options.forEach((each, number) => each.setAttribute("aria-selected", String(number === chosen)));
  options[chosen].scrollIntoView({ block: "nearest" });
  reply.setAttribute("aria-activedescendant", options[chosen].id);
}

function put(text) {
  reply.value = filled(text, { name: state.called, agent: state.agent });
  close();
  counted();
  reply.focus();
}

async function offer() {
  const typed = /^\/([^\s]*)$/u.exec(reply.value);
  if (!typed) return close();
  if (Date.now() - cannedAt > FRESH_MS) {
    const answer = await call("GET", "/api/canned-replies");
    if (!answer) return close();
    canned = answer.replies;
    cannedAt = Date.now();
  }
  const sought = typed[1].toLowerCase();
  const fitting = canned.filter(
    ({ key, text }) => key.toLowerCase().startsWith(sought) || text.toLowerCase().includes(sought),
  );
  list.replaceChildren(
    ...fitting.slice(0, 30).map(({ id, key, text }) => {
      const option = document.createElement("div");
      option.setAttribute("role", "option");
      option.id = `canned-${id}`;
      const name = document.createElement("b");
      name.textContent = `/${key}`;
      const what = document.createElement("span");
      what.textContent = text;
      option.append(name, " ", what);
      option.addEventListener("mousedown", (event) => event.preventDefault());
      option.addEventListener("click", () => put(text));
      option.dataset.text = text;
      return option;
    }),
  );
  list.hidden = !fitting.length;
  if (fitting.length) choose(0);
  else warn(words.canned_none);
}

function onKey(event) {
  // while an input method composes, Enter is its own
  if (event.isComposing || event.keyCode === 229) return;
  if (!list.hidden) {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) choose(chosen + moves[event.key]);
    else if (event.key === "Enter" || event.key === "Tab") put(list.children[chosen].dataset.text);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  }
}

export function startComposer(again) {
  refresh = again;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  reply.addEventListener("keydown", onKey);
  reply.addEventListener("input", () => {
    type();
    counted();
    offer();
  });
  reply.addEventListener("blur", close);
}

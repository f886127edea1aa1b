/* The widget itself: what is seen, what is asked, and what comes without having been asked for. */

// the view

const host = make("div", { lang: lang === "zh" ? "zh-CN" : "en" });
const root = host.attachShadow({ mode: "open" });
if ("adoptedStyleSheets" in root && "replaceSync" in CSSStyleSheet.prototype) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(CSS);
  root.adoptedStyleSheets = [sheet];
} else {
  root.append(make("style", script?.nonce ? { nonce: script.nonce } : {}, CSS));
}
const dot = make("span", { class: "dot", hidden: "" });
const opener = make("button", { class: "open", type: "button", "aria-label": t.open, "aria-haspopup": "dialog", "aria-expanded": "false" },
  icon("M21 12a8 8 0 0 1-8 8H4l2-3a8 8 0 1 1 15-5zM8.5 12h.01M13 12h.01M17 12h.01"), dot);
const title = make("h2", { id: "title" }, given.title || t.title);
const face = make("img", { alt: "", hidden: "" });
const fresh = make("button", { class: "icon", type: "button", "aria-label": t.fresh, title: t.fresh }, icon("M12 5v14M5 12h14"));
const closer = make("button", { class: "icon", type: "button", "aria-label": t.close, title: t.close }, icon("M6 6l12 12M18 6L6 18"));
const log = make("div", { class: "log", role: "log", "aria-live": "polite", "aria-labelledby": "title", tabindex: "0" });
const chips = make("div", { class: "chips" });
const files = make("div", { class: "files", "aria-live": "polite" });
const picker = make("input", { type: "file", hidden: "", multiple: "", accept: "image/png,image/jpeg,image/gif,image/webp,.pdf,.doc,.docx,.xls,.xlsx,.ppt,.pptx,.txt,.md,.csv" });
const clip = make("button", { class: "icon", type: "button", "aria-label": t.file, title: t.file },
  icon("M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01"));
const input = make("textarea", { rows: "1", maxlength: "4000", placeholder: t.say, "aria-label": t.say, enterkeyhint: "send" });
const send = make("button", { class: "icon send", type: "submit", "aria-label": t.send, title: t.send }, icon("M4 12l16-8-6 16-3-7z"));
const form = make("form", {}, clip, input, send);
const panel = make("div", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
  make("header", {}, face, title, fresh, closer), log, chips, files, picker, form, make("p", { class: "label" }, t.ai));
root.append(opener, panel);

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
function toEnd(was = true) { if (was) log.scrollTop = log.scrollHeight; }

/** A picture that an agent sent; only its link where the page's policy or its age keeps it away. */
function picture({ picture: address, text }, was) {
  const image = make("img", { src: address, alt: text });
  const shown = make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, image);
  image.addEventListener("load", () => toEnd(was));
  image.addEventListener("error", () => shown.replaceChildren(text));
  return shown;
}

/** One line of the talk; returns its element. */
function show(line) {
  const was = isAtEnd();
  const element = make("div", { class: `line ${line.kind}` });
  if (line.kind === "note") element.append(line.text);
  else {
    if (line.who) element.append(make("span", { class: "who" }, line.who));
    const bubble = make("div", { class: "bubble" });
    bubble.append(...(line.picture ? [picture(line, was)] : line.kind === "mine" ? [line.text] : rendered(line.text)));
    element.append(bubble);
  }
  log.append(element);
  toEnd(was || line.kind === "mine");
  return element;
}
function add(line) {
  (kept.lines ??= []).push(line);
  keep();
  if (panel.hidden && line.kind !== "mine") dot.hidden = false;
  return show(line);
}
function suggest(questions) {
  chips.replaceChildren(...questions.slice(0, 4).map((words) => {
    const chip = make("button", { type: "button" }, words);
    chip.addEventListener("click", () => ask(words));
    return chip;
  }));
}

// asking

let asking = false;
let taken = [];

function mayAsk() { send.disabled = asking; fresh.disabled = asking; }

function ask(text, attached = []) {
  if (asking || !(text || attached.length)) return;
  suggest([]);
  add({ kind: "mine", text: [text, ...attached.map((each) => `📎 ${each.name}`)].filter(Boolean).join("\n") });
  kept.pending = { id: freshId(), text, files: attached.map((each) => each.file), told: "", last: null };
  keep();
  answer();
}

/** Brings the pending question to its answer: again and again with the same id, so that it is asked once. */
async function answer() {
  const pending = kept.pending;
  if (!pending || asking) return;
  asking = true;
  mayAsk();
  const element = show({ kind: "theirs streaming", text: pending.told });
  const bubble = element.querySelector(".bubble");
  bubble.setAttribute("aria-label", t.thinking);
  element.setAttribute("aria-busy", "true");
  const trouble = make("div", { class: "trouble", role: "status" });
  let painting = 0;
  const paint = () => {
    painting = 0;
    const was = isAtEnd();
    bubble.replaceChildren(...rendered(pending.told));
    toEnd(was);
  };
  let ended = null;
  let problem = null;
  for (let tries = 0; tries < 6 && !ended; tries += 1) {
    if (tries) {
      trouble.textContent = t.cut;
      element.append(trouble);
      await pause(Math.min(8000, 400 * 2 ** tries) * (0.75 + Math.random() / 2));
    }
    try {
      const response = await asVisitor(() => call("/api/chat/stream", {
        method: "POST",
        headers: { "Content-Type": "application/json", ...(pending.last ? { "Last-Event-ID": pending.last } : {}) },
        body: JSON.stringify({ message: pending.text, conversation_id: kept.conversation, message_id: pending.id, files: pending.files }),
      }));
      trouble.remove();
      await readEvents(response, (event, id) => {
        if (id) pending.last = id;
        if (event?.type === "message") {
          tries = 0;
          bubble.removeAttribute("aria-label");
          pending.told += event.content;
          painting ||= requestAnimationFrame(paint);
          keep();
        } else if (event?.type === "done" || event?.type === "error") ended = event;
      });
    } catch (failure) {
      problem = failure;
      // a refusal stays one, except of a gateway that is away or busy
      if (failure.status && failure.status < 500 && failure.status !== 429) break;
    }
  }
  cancelAnimationFrame(painting);
  trouble.remove();
  asking = false;
  mayAsk();
  element.classList.remove("streaming");
  element.removeAttribute("aria-busy");
  bubble.removeAttribute("aria-label");
  if (ended) {
    // the end of an answer that broke off holds all of it
    // a person has the conversation: the words were taken, and nobody answers them at once
    const manual = ended.type === "error" && ended.content.startsWith("SESSION_IN_MANUAL_MODE");
    const whole = ended.type === "error" && ended.content.startsWith(pending.told) ? ended.content : pending.told || ended.content;
    const words = manual ? pending.told : whole;
    delete kept.pending;
    element.remove();
    if (words) add({ kind: "theirs", text: words });
    suggest(ended.suggestions ?? []);
  } else {
    if (!pending.told) bubble.remove();
    const again = make("button", { type: "button" }, t.retry);
    again.addEventListener("click", () => { element.remove(); answer(); });
    trouble.replaceChildren(problem?.status === 429 ? t.busy : (problem?.message && problem.status ? problem.message : t.failed), again);
    element.append(trouble);
    toEnd();
  }
  keep();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (asking || !(text || taken.length)) return;
  input.value = "";
  fit();
  const attached = taken;
  taken = [];
  files.replaceChildren();
  ask(text, attached);
});
input.addEventListener("keydown", (event) => {
  // an input method's Enter picks a word
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
function fit() { input.style.height = "auto"; input.style.height = `${Math.min(120, input.scrollHeight + 2)}px`; }
input.addEventListener("input", fit);

clip.addEventListener("click", () => picker.click());
picker.addEventListener("change", async () => {
  const picked = [...picker.files].slice(0, 5 - taken.length);
  picker.value = "";
  for (const file of picked) {
    const words = make("span", {}, `${file.name} · ${t.uploading}`);
    files.append(words);
    try {
      const body = new FormData();
      body.append("file", file, file.name);
      const done = await (await asVisitor(() => call("/api/files", { method: "POST", body }))).json();
      const entry = { file: done.file, name: done.name };
      taken.push(entry);
      const remove = make("button", { type: "button", "aria-label": `${t.remove} ${done.name}` }, "×");
      remove.addEventListener("click", () => { taken = taken.filter((each) => each !== entry); words.remove(); input.focus(); });
      words.replaceChildren(done.name, remove);
    } catch (problem) {
      words.replaceChildren(`${file.name} · ${problem.message || t.failed}`);
      setTimeout(() => words.remove(), 6000);
    }
  }
  input.focus();
});

// what comes without having been asked for

let listening = null;
async function listen() {
  if (listening || !kept.token || !kept.conversation) return;
  const own = listening = new AbortController();
  let wait = 1000;
  while (!own.signal.aborted) {
    try {
      const headers = kept.lastEvent ? { "Last-Event-ID": kept.lastEvent } : {};
      const path = `/api/events?conversation_id=${encodeURIComponent(kept.conversation)}`;
      await readEvents(await call(path, { headers, signal: own.signal }), (event, id) => {
        wait = 1000;
        if (id) { kept.lastEvent = id; keep(); }
        if (event) told(event);
      });
    } catch (problem) {
      if (own.signal.aborted || [401, 403, 404].includes(problem.status)) break;
      wait = Math.min(30000, wait * 2);
    }
    await pause(wait * (0.5 + Math.random() / 2));
  }
  if (listening === own) listening = null;
}
function pictured(media) {
  const found = Array.isArray(media) && media.find((each) => each?.kind === "image" && each.url);
  if (!found) return {};
  const address = new URL(String(found.url), `${base}/`);
  return /^https?:$/.test(address.protocol) ? { picture: address.href } : {};
}
function told(event) {
  if (event.type === "manual_message" && event.role === "system") add({ kind: "note", text: String(event.content ?? "") });
  else if (event.type === "manual_message" && event.role !== "user") add({ kind: "theirs agent", who: String(event.agent_name || t.agent), text: String(event.content ?? ""), ...pictured(event.media) });
  else if (event.type === "status_change" && t.status[event.status]) add({ kind: "note", text: t.status[event.status] });
}

// opening, closing, keyboard, phone

let introduced = false;
async function introduce() {
  if (introduced) return;
  introduced = true;
  try {
    const { bot } = await (await call("/api/bot/info")).json();
    if (!given.title) title.textContent = bot.name;
    if (/^https:\/\//.test(bot.icon_url)) {
      face.addEventListener("load", () => { face.hidden = false; });
      face.src = bot.icon_url;
    }
    if (!log.childElementCount) {
      const words = given.welcome || bot.welcome;
      if (words) show({ kind: "theirs", text: words });
      suggest(bot.suggestions ?? []);
    }
  } catch { introduced = false; }
}
async function open() {
  panel.hidden = false;
  opener.hidden = true;
  dot.hidden = true;
  opener.setAttribute("aria-expanded", "true");
  kept.open = true;
  keep();
  place();
  toEnd();
  input.focus({ preventScroll: true });
  introduce();
  try { await begin(); listen(); } catch { /* the first question tries again and says so */ }
}
function close() {
  panel.hidden = true;
  opener.hidden = false;
  opener.setAttribute("aria-expanded", "false");
  kept.open = false;
  keep();
  opener.focus();
}
opener.addEventListener("click", open);
closer.addEventListener("click", close);
fresh.addEventListener("click", async () => {
  listening?.abort();
  listening = null;
  for (const name of ["conversation", "lines", "pending", "lastEvent"]) delete kept[name];
  log.replaceChildren();
  introduced = false;
  introduce();
  input.focus();
  try { await begin(); listen(); } catch { /* as in open */ }
  keep();
});
panel.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { event.stopPropagation(); close(); return; }
  if (event.key !== "Tab") return;
  const stops = [...panel.querySelectorAll("button, textarea, a, [tabindex='0']")].filter((each) => !each.disabled && each.getClientRects().length);
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  if (root.activeElement === edge) { event.preventDefault(); (event.shiftKey ? stops.at(-1) : stops[0]).focus(); }
});
/** Keeps the panel above a phone's keyboard, which shrinks the visual viewport only. */
function place() {
  const view = window.visualViewport;
  if (!view) return;
  panel.style.setProperty("--height", `${view.height}px`);
  panel.style.setProperty("--top", `${view.offsetTop}px`);
}
for (const change of ["resize", "scroll"]) window.visualViewport?.addEventListener(change, () => { const was = isAtEnd(); place(); toEnd(was); });

function start() {
  document.body.append(host);
  for (const line of kept.lines ?? []) show(line);
  if (kept.open) open();
  else if (kept.conversation) listen();
  answer();
}
if (document.body) start();
else document.addEventListener("DOMContentLoaded", start, { once: true });

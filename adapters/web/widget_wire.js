/* What the widget keeps over a reload, and how it calls the gateway. */

// what outlives a reload

const KEY = `yingda:${base}`;
const kept = (() => {
  try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; }
})();
function keep() {
  kept.lines = (kept.lines ?? []).slice(-60);
  try { localStorage.setItem(KEY, JSON.stringify(kept)); } catch { /* private mode: this page's life only */ }
}
// a page that names its visitor: another one finds nothing of the last
function visitorOf(token) {
  try { return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).sub; } catch { return token; }
}
if (given.token) {
  const visitor = visitorOf(given.token);
  if (kept.visitor !== visitor) for (const name of Object.keys(kept)) delete kept[name];
  Object.assign(kept, { visitor, token: given.token });
} else if (kept.visitor) {
  for (const name of Object.keys(kept)) delete kept[name];
}
keep();
const freshId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// the wire

class Refused extends Error {
  constructor(status, words) { super(words); this.status = status; }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (kept.token) headers.Authorization = `Bearer ${kept.token}`;
  const response = await fetch(base + path, { ...options, headers });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, typeof body.error === "string" ? body.error : "");
}

let beginning = null;
function begin() {
  beginning ??= (async () => {
    if (kept.conversation && kept.token) return;
    if (given.token && !kept.token) kept.token = given.token;
    const begun = await (await call("/api/conversation/new", { method: "POST" })).json();
    kept.conversation = begun.conversation_id;
    kept.token = begun.token ?? kept.token;
    keep();
  })().finally(() => { beginning = null; });
  return beginning;
}

/** What `work` returns; once more as a new visitor when the token has ended or the conversation is gone. */
async function asVisitor(work) {
  await begin();
  try {
    return await work();
  } catch (problem) {
    if (![401, 404].includes(problem.status)) throw problem;
    delete kept.conversation;
    delete kept.token;
    delete kept.lastEvent;
    await begin();
    return work();
  }
}

/** Reads Server-Sent Events; `take` gets data and id of each. Resolves at the end of the body. */
async function readEvents(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const records = buffer.split("\n\n");
    buffer = records.pop();
    for (const record of records) {
      let id = null;
      let data = null;
      for (const line of record.split("\n")) {
        if (line.startsWith("id: ")) id = line.slice(4);
        else if (line.startsWith("data: ")) data = JSON.parse(line.slice(6));
      }
      take(data, id);
    }
  }
}

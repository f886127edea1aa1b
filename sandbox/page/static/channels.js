// How each platform is spoken. A channel's `talk` sends one message and tells what happens through `on`:
//   on.exchange({request})   the request went out; returns a handle for the wire view (only 易事厅 and web)
//   on.piece(text)           the answer grows
//   on.docs([{title, url}])  the documents behind it
//   on.note(text, bad)       a remark between the bubbles

const JSON_HEADERS = { "Content-Type": "application/json" };

/** Reads a Server-Sent Events body; calls `each` with the data of every event, `raw` with every chunk. */
export async function readEvents(response, raw, each) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    const text = done ? decoder.decode() : decoder.decode(value, { stream: true });
    if (text) raw(text);
    rest += text;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = done ? "" : blocks.pop();
    for (const block of blocks) {
      const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
      if (data.length) each(JSON.parse(data.join("\n")));
    }
    if (done) return;
  }
}

async function stream(path, body, headers, on, each) {
  const sent = { ...JSON_HEADERS, ...headers };
  const shown = Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, name === "Authorization" ? "Bearer ••••" : value]));
  const wire = on.exchange({ method: "POST", url: path, headers: shown, body: JSON.stringify(body, null, 2) });
  const response = await fetch(path, { method: "POST", headers: sent, body: JSON.stringify(body) });
  wire.head(response.status, Object.fromEntries(response.headers));
  if (!(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
    const text = await response.text();
    wire.more(text);
    throw new Error(`HTTP ${response.status}`);
  }
  await readEvents(response, wire.more, each);
  wire.end();
}

const freshId = () => `${Date.now()}-${Math.random().toString(36).slice(2, 10)}`;

/** The desk: what misses its minute is posted to the local callback address and looked for there. */
export function yishiting(base, callback) {
  const seen = new Map();

  async function fetchNew(user, receive) {
    if (!callback) return;
    const response = await fetch(`${base}/yishiting/inbox?user=${encodeURIComponent(user)}`);
    if (!response.ok) return;
    const { callbacks } = await response.json();
    const from = seen.get(user);
    seen.set(user, Math.max(from ?? 0, callbacks.length));
    if (from !== undefined) callbacks.slice(from).forEach(({ body }) => receive({ text: body.msg_content, via: "callback" }));
  }

  return {
    fetchNew,
    async talk(user, order, on) {
      await fetchNew(user, on.bubble);
      const token = document.querySelector("#yishiting-token")?.value;
      const body = { user, msg_type: "text", content: order.say, msg_id: freshId(), session_id: `session-${user}` };
      if (callback) body.raw_msg = { response_url: callback };
      await stream("/chat", body, token ? { Authorization: `Bearer ${token}` } : {}, on, (frame) => {
        on.piece(frame.response);
        if (frame.finished) on.docs(frame.global_output?.docs ?? []);
      });
    },
  };
}

export const web = {
  async talk(user, order, on) {
    await stream("/api/chat/stream", { message: order.say, user_id: user }, {}, on, (frame) => {
      if (frame.type === "message") on.piece(frame.content);
      if (frame.type === "error") on.note(frame.content, true);
    });
  },
};

/** The follower of the official account: what it receives comes from its inbox, pushes included. */
export function wechat(base) {
  const seen = new Map();

  async function fetchNew(openid, receive) {
    const response = await fetch(`${base}/wechat/inbox?openid=${encodeURIComponent(openid)}`);
    if (!response.ok) return;
    const { bubbles } = await response.json();
    const from = seen.get(openid);
    // two readers of one inbox may overlap: only what lies beyond the mark is new
    seen.set(openid, Math.max(from ?? 0, bubbles.length));
    if (from !== undefined) bubbles.slice(from).forEach(receive);
  }

  return {
    fetchNew,
    async talk(openid, order, on) {
      await fetchNew(openid, on.bubble);
      const message = order.event
        ? { openid, type: "event", event: order.event, key: "" }
        : { openid, type: "text", text: order.say, menu_id: order.menu ?? "" };
      const response = await fetch(`${base}/wechat/send`, { method: "POST", headers: JSON_HEADERS, body: JSON.stringify(message) });
      const outcome = await response.json();
      if (!response.ok) throw new Error(outcome.error ?? `HTTP ${response.status}`);
      on.outcome(outcome);
      await fetchNew(openid, on.bubble);
      if (outcome.notice) on.note(`${outcome.notice}（${outcome.problem}）`, true);
      else if (!outcome.bubbles.length) on.note("网关答复 success：暂时没有气泡，答案可能随后推送");
    },
  };
}

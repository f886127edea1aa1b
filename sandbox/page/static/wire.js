// What went over the wire, as text. Nothing received is ever parsed as HTML.

/** An element with text and children. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

const KEPT = 12;

function headerLines(headers) {
  return Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`).join("\n");
}

function block(label, text, extra = "") {
  const pre = make("pre", extra);
  pre.textContent = text;
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", label);
  return [make("h4", "", label), pre];
}

/** Line breaks between elements, so that one long line of XML can be read. */
export function readable(xml) {
  return xml.replace(/(<xml>|<\/\w+>)(?=<)/g, "$1\n");
}

function entry(list, title) {
  list.previousElementSibling.hidden = true;
  list.querySelectorAll("details[open]").forEach((each) => each.removeAttribute("open"));
  const state = make("span", "state", "…");
  const details = make("details", "", make("summary", "", make("span", "what", title), state));
  details.open = true;
  list.prepend(details);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  return { details, state };
}

/** One request that the browser made itself; returns `{head, more, end}` for its streamed answer. */
export function showFetch(list, title, request) {
  const { details, state } = entry(list, title);
  const started = performance.now();
  let first = 0;
  let code = 0;
  const seconds = () => ((performance.now() - started) / 1000).toFixed(2);
  details.append(...block("请求 Request", `${request.method} ${request.url}\n${headerLines(request.headers)}\n\n${request.body}`));
  const [label, pre] = block("响应 Response", "");
  details.append(label, pre);
  return {
    head(status, headers) {
      code = status;
      state.classList.add(status === 200 ? "good" : "bad");
      state.textContent = `${status}`;
      pre.textContent = `HTTP ${status}\n${headerLines(headers)}\n\n`;
    },
    more(text) {
      first ||= seconds();
      pre.append(text);
      pre.scrollTop = pre.scrollHeight;
    },
    end() {
      state.textContent = `${code} · 首字 ${first} s · 共 ${seconds()} s`;
    },
  };
}

function showTry(one) {
  const word = one.response.status === null ? "断开" : one.response.status;
  const state = make("span", `state ${one.problem ? "bad" : "good"}`, `${word} · ${one.seconds.toFixed(2)} s`);
  const details = make("details", "try", make("summary", "", make("span", "what", `第 ${one.number} 次`), state));
  if (one.problem) details.append(make("p", "problem", one.problem));
  const { request, response } = one;
  details.append(...block("推送明文 Plaintext XML", readable(request.plaintext)));
  details.append(...block("线上请求 Request as sent", `POST ${request.url}\n${headerLines(request.headers)}\n\n${readable(request.body)}`, "sealed"));
  if (response.plaintext) details.append(...block("回复明文 Reply XML", readable(response.plaintext)));
  if (response.status !== null) {
    const body = response.body ? readable(response.body) : "（空 empty）";
    details.append(...block("线上响应 Response as received", `HTTP ${response.status}\n${headerLines(response.headers)}\n\n${body}`, "sealed"));
  }
  return details;
}

/** One push of WeChat with all its tries. */
export function showOutcome(list, title, outcome) {
  const { details, state } = entry(list, title);
  state.classList.add(outcome.notice ? "bad" : "good");
  state.textContent = `${outcome.tries.length} 次投递`;
  const tries = outcome.tries.map(showTry);
  details.append(...tries);
  tries.at(-1).open = true;
}

const COLUMNS = ["created_at", "platform", "user_id", "question", "answer", "source", "status", "delivery", "attempts", "total_ms"];

/** Rows of the message log as a table, or the answer's own words when it has none. */
export function showLog(box, status, text) {
  const messages = status === 200 ? (JSON.parse(text).messages ?? []) : [];
  if (!messages.length) {
    box.replaceChildren(...block(`HTTP ${status}`, text));
    return;
  }
  const row = (tag, value) => make("tr", "", ...COLUMNS.map((name) => make(tag, name, make("div", "", String(value(name) ?? "")))));
  const head = make("thead", "", row("th", (name) => name));
  const body = make("tbody", "", ...messages.map((each) => row("td", (name) => each[name])));
  box.replaceChildren(make("table", "", head, body));
}

// The page: three columns, a talk per person in each, and the wire below.

import { web, wechat, yishiting } from "./channels.js";
import { make, showFetch, showLog, showOutcome } from "./wire.js";

const PUSH_SECONDS = 120;
const POLL_MS = 1500;
const VIA_WORDS = { push: "客服消息 push", callback: "稍后送达 callback" };
const EVENT_WORDS = { subscribe: "关注了公众号" };
// the two kinds of link that WeChat's client makes of a text; everything else stays text
const LINK = /<a href="(weixin:\/\/bizmsgmenu\?[^"]*|https?:\/\/[^"]+)"[^>]*>([^<]*)<\/a>/g;

const { base, logKey, callback } = document.body.dataset;
const channels = { wechat: wechat(base), yishiting: yishiting(base, callback), web };

class Column {
  constructor(section) {
    this.section = section;
    this.channel = channels[section.dataset.channel];
    this.exchanges = section.querySelector(".exchanges");
    this.form = section.querySelector("form");
    this.talks = new Map();
    for (const radio of section.querySelectorAll("input[type=radio]")) {
      const log = make("ol", "log");
      log.setAttribute("role", "log");
      log.setAttribute("aria-live", "polite");
      log.setAttribute("aria-label", radio.nextElementSibling.textContent);
      log.tabIndex = 0;
      this.talks.set(radio.value, { log, until: 0 });
      section.querySelector(".talk").append(log);
      radio.addEventListener("change", () => this.show());
    }
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.form.text.value.trim();
      if (!text) return;
      this.form.text.value = "";
      this.send({ say: text });
    });
    for (const chip of section.querySelectorAll(".chips button")) {
      chip.addEventListener("click", () => this.send({ ...chip.dataset }));
    }
    if (section.querySelector("#wechat-real")) {
      section.querySelectorAll("input, .chips button, form button").forEach((each) => (each.disabled = true));
    }
    this.show();
  }

  get user() {
    return this.section.querySelector("input[type=radio]:checked").value;
  }

  show() {
    for (const [user, { log }] of this.talks) {
      log.hidden = user !== this.user;
      log.scrollTop = log.scrollHeight;
    }
  }

  add(log, kind, ...children) {
    const item = make("li", kind, ...children);
    log.append(item);
    log.scrollTop = log.scrollHeight;
    return item;
  }

  note(log, text, bad = false) {
    this.add(log, bad ? "note bad" : "note", text);
  }

  async send(order) {
    const user = this.user;
    const talk = this.talks.get(user);
    const { log } = talk;
    if (order.event) this.note(log, `${EVENT_WORDS[order.event] ?? order.event} · ${order.event}`);
    else this.add(log, "bubble mine", order.say);
    const waiting = this.add(log, "bubble theirs waiting", make("i"), make("i"), make("i"));
    waiting.setAttribute("aria-label", "正在回复");
    const title = order.say ?? order.event;
    let answer = null;
    let docs = [];
    talk.until = Date.now() + PUSH_SECONDS * 1000;
    try {
      await this.channel.talk(user, order, {
        exchange: (request) => showFetch(this.exchanges, title, request),
        outcome: (outcome) => showOutcome(this.exchanges, title, outcome),
        bubble: (bubble) => this.receive(user, bubble),
        note: (text, bad) => this.note(log, text, bad),
        docs: (found) => (docs = found),
        piece: (text) => {
          if (!text) return;
          waiting.remove();
          answer ??= this.add(log, "bubble theirs");
          answer.append(text);
          log.scrollTop = log.scrollHeight;
        },
      });
      if (answer && docs.length) answer.append(documents(docs));
      log.scrollTop = log.scrollHeight;
    } catch (problem) {
      this.note(log, `没有成功：${problem.message}`, true);
    } finally {
      waiting.remove();
    }
  }

  /** A bubble of the follower's inbox: a passive reply or a push. */
  receive(user, bubble) {
    const { log } = this.talks.get(user);
    const words = bubble.text ? linked(bubble.text, (order) => this.send(order)) : [`［${bubble.msg_type}］`];
    const item = this.add(log, "bubble theirs", ...words);
    const marks = [VIA_WORDS[bubble.via] ?? "", bubble.ai ? "内容由第三方AI生成" : ""].filter(Boolean);
    if (marks.length) item.append(make("small", "", marks.join(" · ")));
    log.scrollTop = log.scrollHeight;
  }

  /** Looks for pushes to everybody who wrote lately. */
  async poll() {
    for (const [user, talk] of this.talks) {
      if (Date.now() < talk.until) await this.channel.fetchNew(user, (bubble) => this.receive(user, bubble)).catch(() => {});
    }
  }
}

/** Text with WeChat's links made usable: a menu link says its words, a web link opens. */
function linked(text, say) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(end, found.index));
    end = found.index + found[0].length;
    const [, href, words] = found;
    if (href.startsWith("weixin:")) {
      const query = new URLSearchParams(href.slice(href.indexOf("?")));
      const button = make("button", "tap", words);
      button.type = "button";
      button.addEventListener("click", () => say({ say: query.get("msgmenucontent") ?? words, menu: query.get("msgmenuid") ?? "1" }));
      parts.push(button);
    } else {
      parts.push(outside(href, words));
    }
  }
  parts.push(text.slice(end));
  return parts;
}

function outside(href, words) {
  const link = make("a", "", words);
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

function documents(docs) {
  const list = make("ul", "docs");
  for (const { title, url } of docs) {
    list.append(make("li", "", /^https?:\/\//.test(url) ? outside(url, title || url) : title));
  }
  return list;
}

function followTabs() {
  const buttons = document.querySelectorAll(".tabs button");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      document.body.dataset.tab = button.dataset.tab;
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      columns.forEach((each) => each.show());
    });
  }
}

function openLog() {
  const dialog = document.querySelector("#log");
  document.querySelector("#open-log").addEventListener("click", async () => {
    dialog.showModal();
    const response = await fetch("/api/messages?limit=20", { headers: logKey ? { Authorization: `Bearer ${logKey}` } : {} });
    showLog(dialog.querySelector(".table"), response.status, await response.text());
  });
}

const columns = [...document.querySelectorAll(".column")].map((section) => new Column(section));
const followers = columns.filter((each) => each.channel.fetchNew);
setInterval(() => followers.forEach((each) => each.poll()), POLL_MS);
followTabs();
openLog();

/* What the widget is told by its script tag, its words in two languages, and elements made of text. */

const script = document.currentScript;
const given = script?.dataset ?? {};
const base = (given.base || new URL(script?.src || "/widget.js", location.href).origin).replace(/\/$/, "");

const WORDS = {
  zh: {
    open: "打开客服对话", close: "关闭对话", title: "智能客服", say: "输入消息…", send: "发送", file: "发送图片或文件",
    retry: "重试", failed: "没有发送成功", cut: "连接断开，正在恢复…", you: "我", agent: "人工客服", uploading: "正在上传…",
    fresh: "新对话", remove: "移除", busy: "发送太快了，请稍候", thinking: "正在思考", ai: "内容由 AI 生成，仅供参考",
    status: { pending_manual: "正在为您转接人工客服…", manual_live: "人工客服已接入", bot_active: "已恢复智能客服服务", closed: "对话已结束" },
  },
  en: {
    open: "Open chat", close: "Close chat", title: "Support", say: "Type a message…", send: "Send", file: "Send a picture or file",
    retry: "Try again", failed: "Not sent", cut: "Connection lost, resuming…", you: "Me", agent: "Agent", uploading: "Uploading…",
    fresh: "New conversation", remove: "Remove", busy: "Too fast, please wait a moment", thinking: "Thinking", ai: "Answers are made by AI",
    status: { pending_manual: "Connecting you to an agent…", manual_live: "An agent has joined", bot_active: "The assistant is back", closed: "The conversation has ended" },
  },
};
const lang = (given.lang || "zh").toLowerCase().startsWith("en") ? "en" : "zh";
const t = WORDS[lang];

// building: elements and text nodes only

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS(space, "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}

const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\)|(https?:\/\/[^\s<>"'，。；！？、（）《》]+)/g;

function link(words, address) {
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, words);
}

function inline(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    parts.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[1]) parts.push(make("code", {}, found[1]));
    else if (found[2]) parts.push(make("strong", {}, found[2]));
    else if (found[3]) parts.push(link(found[3], found[4]));
    else parts.push(link(found[5], found[5]));
  }
  parts.push(text.slice(at));
  return parts;
}

/** A small part of Markdown: paragraphs, lists, fenced and inline code, bold, links. All else is text. */
function rendered(text) {
  const blocks = [];
  text.split(/^```[^\n]*$/m).forEach((part, number) => {
    if (number % 2) {
      blocks.push(make("pre", {}, make("code", {}, part.replace(/^\n|\n$/g, ""))));
      return;
    }
    let list = null;
    let lines = [];
    const flush = () => {
      const words = lines.join("\n").trim();
      if (words) blocks.push(make("p", {}, ...inline(words)));
      lines = [];
    };
    for (const line of part.split("\n")) {
      const item = /^\s*(?:([-*+])|(\d{1,3})[.)])\s+(.*)$/.exec(line);
      if (item) {
        flush();
        const tag = item[1] ? "ul" : "ol";
        if (list?.localName !== tag) {
          list = make(tag, item[2] ? { start: item[2] } : {});
          blocks.push(list);
        }
        list.append(make("li", {}, ...inline(item[3])));
      } else {
        list = null;
        const heading = /^#{1,6}\s+(.*)$/.exec(line);
        if (!line.trim()) flush();
        else lines.push(heading ? `**${heading[1].replaceAll("*", "")}**` : line);
      }
    }
    flush();
  });
  return blocks;
}

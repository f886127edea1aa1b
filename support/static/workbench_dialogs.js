// Questions before something is done: why a session ends, to whom it goes.

import { call, words } from "./workbench_calls.js";

const dialog = (name) => document.querySelector(`#${name}-dialog`);
const value = (name) => document.querySelector(`#${name}`).value.trim();
let answered = () => {};

function open(name, take) {
  answered = take;
  dialog(name).returnValue = "";
  if (!dialog(name).open) dialog(name).showModal();
}

export const openHelp = () => open("help", () => {});

export function openRelease(done) {
  document.querySelector("#release-words").value = "";
  open("release", () => {
    const [reason, more] = [value("release-reason"), value("release-words")];
    done(more && reason === "other" ? more : more ? `${reason}: ${more}` : reason);
  });
}

export const openPicture = (done) => open("picture", done);

export async function openTransfer(done) {
  const answer = await call("GET", "/api/agents");
  if (!answer) return;
  const select = document.querySelector("#transfer-to");
  const rank = { online: 0, busy: 1, offline: 2 };
  const others = answer.agents
    .filter(({ username, role }) => username !== document.body.dataset.username && role !== "guest")
    .sort((one, other) => rank[one.status] - rank[other.status]);
  select.replaceChildren(
    ...others.map(({ username, name, status }) => {
      const option = new Option(`${name} · ${words[`status_${status}`]}`, username);
      option.dataset.name = name;
      return option;
    }),
  );
  if (!others.length) select.append(new Option(words.nobody_else, ""));
  document.querySelector("#transfer-reason").value = "";
  document.querySelector("#transfer-note").value = "";
  open("transfer", () => {
    const name = select.selectedOptions[0]?.dataset.name;
    if (name) {
      const atOnce = document.querySelector("#transfer-now")?.checked ?? false;
      done(select.value, name, value("transfer-reason"), value("transfer-note"), atOnce);
    }
  });
}

export function startDialogs() {
  for (const each of document.querySelectorAll("dialog")) {
    each.addEventListener("close", () => each.returnValue === "yes" && answered());
  }
}

// One key for each thing an agent does all day; none of them counts while somebody types.

const SWITCH = "yingda.keys";
const TABS = ["waiting", "live", "mine", "all"];

export function startKeys({ acts, go, state, show }) {
  const box = document.querySelector("#single-keys");
  box.checked = localStorage.getItem(SWITCH) !== "off";
  box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "on" : "off"));

  function move(step) {
    const rows = [...document.querySelectorAll(".sessions a")];
    if (!rows.length) return;
    const at = rows.findIndex((each) => each.dataset.session === state().session);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
    go({ session: next.dataset.session }, "row");
  }

  function focus(selector, pane) {
    const field = document.querySelector(selector);
    if (!field) return;
    show(pane);
    field.focus();
  }

  const keys = {
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    a: () => acts.take(),
    e: () => acts.release(),
    t: () => acts.transfer(),
    r: () => focus("#reply", "talk"),
    n: () => focus("#note", "customer"),
    f: () => focus("#find", "list"),
    "?": () => acts.help(),
    async g() {
      await go({ tab: "waiting", q: "" });
      const first = document.querySelector(".sessions a");
      if (first) go({ session: first.dataset.session }, "row");
    },
  };
  TABS.forEach((tab, index) => {
    keys[String(index + 1)] = () => go({ tab, q: "" });
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      document.querySelector(".menu").open = false;
      acts.list();
      return;
    }
    const place = event.target;
    if (place.closest("input, textarea, select")) return;
    // in the conversation the arrows scroll
    if (event.key.startsWith("Arrow") && place.closest("#scroll, #about")) return;
    const what = box.checked ? keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] : null;
    if (!what) return;
    event.preventDefault();
    what();
  });
}

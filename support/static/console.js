// Keeps the signed-in agent there while the page is open, and shows at once what changes elsewhere.

const HEARTBEAT_MS = 30_000;
const { username, there } = document.body.dataset;
const shown = document.querySelector("#status");

function show(status) {
  if (!shown || !(status in shown.dataset)) return;
  shown.textContent = shown.dataset[status];
  shown.className = `state ${status}`;
  for (const button of document.querySelectorAll("[data-status]")) {
    button.setAttribute("aria-pressed", String(button.dataset.status === status));
  }
}

function leave() {
  location.assign("/console/login?done=ended");
}

async function heartbeat() {
  try {
    const answer = await fetch("/api/agent/status/heartbeat", { method: "POST" });
    if (answer.status === 401) return leave();
    if (answer.ok) show((await answer.json()).status);
  } catch {
    // the network is away: the next one may pass
  }
}

if (there) {
  heartbeat();
  setInterval(heartbeat, HEARTBEAT_MS);
}

const events = new EventSource("/api/agent/events");
events.addEventListener("message", (message) => {
  const event = JSON.parse(message.data);
  document.dispatchEvent(new CustomEvent("desk", { detail: event }));
  if (event.type === "signed_out") {
    events.close();
    leave();
  } else if (event.type === "agent_status" && event.username === username) {
    show(event.status);
  }
});

// Calls to the desk's endpoints, and what is said about them. Words from outside only ever become text.

export const words = JSON.parse(document.body.dataset.words);
const said = document.querySelector("#said");
const warned = document.querySelector("#warned");
const SHOWN_MS = 6_000;
const timers = new Map();

function show(place, text) {
  clearTimeout(timers.get(place));
  place.textContent = text;
  if (text) timers.set(place, setTimeout(() => show(place, ""), SHOWN_MS));
}

export const tell = (text) => show(said, text);
export const warn = (text) => show(warned, text);

export function filled(text, values) {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// a session_name is percent-encoded already and encoded once more in a path
export const sessionPath = (name, rest = "") => `/api/sessions/${encodeURIComponent(name)}${rest}`;

export function leave() {
  location.assign("/console/login?done=ended");
}

function explained(status, detail) {
  const [code, ...rest] = detail.split(": ");
  const name = rest.join(": ");
  if (code === "ALREADY_TAKEN" || code === "ASSIGNED_TO_OTHER") return filled(words.taken_by, { name });
  if (code === "OFFLINE") return filled(words.colleague_offline, { name });
  if (code === "NO_PUBLIC_URL") return words.picture_address;
  if (code === "PICTURE_TYPE") return words.picture_type;
  if (code === "INVALID_STATUS" || status === 409) return words.state_changed;
  if (status === 403) return words.not_allowed_text;
  if (status >= 500) return words.error_busy;
  return filled(words.not_done, { why: detail || status });
}

// The answer's data; null when it was refused, which is then said. A file goes as it is, all else as JSON.
export async function call(method, path, body) {
  let response;
  try {
    const file = body instanceof Blob;
    const options = { method, headers: { "Content-Type": file ? body.type : "application/json" } };
    if (body !== undefined) options.body = file ? body : JSON.stringify(body);
    response = await fetch(path, options);
  } catch {
    warn(words.failed_network);
    return null;
  }
  if (response.status === 401) {
    leave();
    return null;
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    warn(explained(response.status, String(answer.detail ?? "")));
    return null;
  }
  return answer.data ?? answer;
}

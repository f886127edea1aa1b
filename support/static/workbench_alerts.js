// Says that somebody waits: in the title always, by sound and notification where the agent has asked for it.

import { warn, words } from "./workbench_calls.js";

const sound = document.querySelector("#sound");
const popup = document.querySelector("#popup");
const KEPT = { sound: "yingda.sound", popup: "yingda.popup" };
const title = document.title;
let audio = null;

sound.checked = localStorage.getItem(KEPT.sound) === "on";
popup.checked = localStorage.getItem(KEPT.popup) === "on" && window.Notification?.permission === "granted";
sound.addEventListener("change", () => {
  localStorage.setItem(KEPT.sound, sound.checked ? "on" : "off");
  if (sound.checked) ring();
});
popup.addEventListener("change", async () => {
  if (popup.checked && (await window.Notification?.requestPermission()) !== "granted") {
    popup.checked = false;
    warn(words.notify_denied);
  }
  localStorage.setItem(KEPT.popup, popup.checked ? "on" : "off");
});

function ring() {
  audio ??= new AudioContext();
  audio.resume();
  [880, 1175].forEach((pitch, index) => {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    const at = audio.currentTime + index * 0.16;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.12, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.3);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.32);
  });
}

export function announce(before, state) {
  const number = state.waiting + state.asked + Object.keys(state.wrote).length;
  document.title = number ? `(${number}) ${title}` : title;
  if (!before) return;
  const wrote = Object.entries(state.wrote).some(([name, id]) => id > (before.wrote[name] ?? 0));
  const waits = state.waiting > before.waiting || state.asked > before.asked;
  if (!wrote && !waits) return;
  if (sound.checked) ring();
  if (popup.checked && document.hidden) {
    const shown = new Notification(waits ? words.new_waiting : words.new_message, { tag: "yingda" });
    shown.addEventListener("click", () => {
      window.focus();
      shown.close();
    });
  }
}

// A picture for the customer: chosen or pasted, looked at once more, and sent. The server judges it again.

import { call, filled, warn, words } from "./workbench_calls.js";
import { openPicture } from "./workbench_dialogs.js";

const TYPES = ["image/png", "image/jpeg", "image/gif"];
const SHOWN = 360; // pixels of the longer side of the preview
const button = document.querySelector("#picture");
const picker = document.querySelector("#picture-file");
const preview = document.querySelector("#picture-preview");
const most = Number(picker.dataset.most); // bytes
const inMegabytes = { most: Math.floor(most / 1024 / 1024) };
let session = () => "";
let refresh = () => {};

// drawn, because the page's policy lets no address of this browser's own be shown as an image
async function draw(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SHOWN / Math.max(bitmap.width, bitmap.height));
  preview.width = Math.max(1, Math.round(bitmap.width * scale));
  preview.height = Math.max(1, Math.round(bitmap.height * scale));
  preview.getContext("2d").drawImage(bitmap, 0, 0, preview.width, preview.height);
  bitmap.close();
}

async function offer(file) {
  const to = session();
  if (!to) return;
  if (!TYPES.includes(file.type)) return warn(words.picture_type);
  if (file.size > most) return warn(filled(words.picture_large, inMegabytes));
  try {
    await draw(file);
  } catch {
    return warn(words.picture_type);
  }
  openPicture(() => send(to, file));
}

async function send(to, file) {
  button.disabled = true;
  await call("POST", `/api/manual/pictures?session_name=${encodeURIComponent(to)}`, file);
  button.disabled = false;
  await refresh();
}

export function startPictures(current, again) {
  session = current;
  refresh = again;
  button.title = filled(words.picture_hint, inMegabytes);
  button.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    if (file) offer(file);
    picker.value = "";
  });
  document.querySelector("#reply").addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    // what office programs copy is words, with a picture of them beside
    if (!file || event.clipboardData.getData("text/plain")) return;
    event.preventDefault();
    offer(file);
  });
}

// Neither a picture that comes after its line nor a composer that opens below may push the newest line out of
// sight.
export function keepAtEnd(scroll, near) {
  let atEnd = true;
  scroll.addEventListener("scroll", () => { atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < near; });
  const follow = () => { if (atEnd) scroll.scrollTop = scroll.scrollHeight; };
  scroll.addEventListener("load", follow, true);
  new ResizeObserver(follow).observe(scroll);
}

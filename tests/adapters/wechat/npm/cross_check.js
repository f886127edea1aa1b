// One JSON object a line in, one a line out: opens what Python sealed, and seals an answer for Python.
"use strict";
const { createInterface } = require("node:readline");
const { decrypt, encrypt, getSignature } = require("@wecom/crypto");

createInterface({ input: process.stdin }).on("line", (line) => {
  const { key, appid, token, timestamp, nonce, sealed, answer } = JSON.parse(line);
  const opened = decrypt(key, sealed);
  const resealed = encrypt(key, answer, appid);
  process.stdout.write(
    JSON.stringify({
      message: opened.message,
      appid: opened.id,
      signature: getSignature(token, timestamp, nonce, sealed),
      sealed: resealed,
      signed: getSignature(token, timestamp, nonce, resealed),
    }) + "\n",
  );
});

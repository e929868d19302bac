// Uploads a video twice through a guest link with tus-js-client, with an interruption. Arguments: the URL of the link, a video.
import { readFileSync } from "node:fs";
import * as tus from "tus-js-client";

const [link, video] = process.argv.slice(2);
const json = async (reply) => {
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
};
const { remaining_uploads } = await json(await fetch(link));
const session = await json(
  await fetch(`${link}/session`, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" }),
);
const headers = { Authorization: `Bearer ${session.token}` };
const bytes = readFileSync(video);

function upload(options) {
  return new Promise((resolve, reject) => {
    let paused = false;
    const upload = new tus.Upload(bytes, {
      endpoint: new URL("/api/uploads", link).href,
      headers,
      metadata: { filename: "guest.mp4", filetype: "video/mp4" },
      retryDelays: [0, 1000, 3000, 5000],
      onError: reject,
      onSuccess: () => resolve(upload.url),
      onProgress: (sent, total) => {
        if (paused || sent < total / 3 || sent === total) return;
        paused = true;
        upload.abort().then(() => upload.start(), reject);
      },
      ...options,
    });
    upload.start();
  });
}

for (let left = remaining_uploads; left > 0; left--) {
  const url = await upload(left % 2 ? { chunkSize: 250_000 } : { chunkSize: 250_000, uploadLengthDeferred: true });
  const { status, task } = await json(await fetch(url, { headers }));
  if (status !== "finished" || task.status !== "uploaded") throw new Error(`${status} ${JSON.stringify(task)}`);
}

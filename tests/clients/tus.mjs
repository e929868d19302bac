// Uploads a video with tus-js-client and with Uppy, each with an interruption, and creates tasks. Arguments: base URL, token, a video.
import { readFileSync } from "node:fs";
import Uppy from "@uppy/core";
import UppyTus from "@uppy/tus";
import * as tus from "tus-js-client";

const [baseUrl, token, video] = process.argv.slice(2);
const endpoint = `${baseUrl}/api/uploads`;
const headers = { Authorization: `Bearer ${token}` };
const bytes = readFileSync(video);

async function createTask(url, name) {
  const reply = await fetch(`${baseUrl}/api/tasks`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify({ upload_id: url.split("/").pop() }),
  });
  const task = await reply.json();
  if (reply.status !== 201) throw new Error(`${name}: ${JSON.stringify(task)}`);
  if (task.display_name !== name) throw new Error(`${name}: ${task.display_name}`);
  console.log(task.task_id);
}

// Pauses once in the middle and resumes. Options differ per run.
function withTusJs(name, options) {
  return new Promise((resolve, reject) => {
    let paused = false;
    const upload = new tus.Upload(bytes, {
      endpoint,
      headers,
      metadata: { filename: name, filetype: "video/mp4" },
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

function withUppy(name) {
  return new Promise((resolve, reject) => {
    const uppy = new Uppy({ autoProceed: false });
    uppy.use(UppyTus, { endpoint, headers, chunkSize: 300_000, retryDelays: [0, 1000, 3000, 5000] });
    const data = Buffer.from(bytes);
    data.size = data.length;
    uppy.addFile({ name, type: "video/mp4", data, source: "test" });
    let paused = false;
    uppy.on("upload-progress", (file, progress) => {
      if (paused || progress.bytesUploaded < progress.bytesTotal / 3) return;
      paused = true;
      uppy.pauseAll();
      setTimeout(() => uppy.resumeAll(), 50);
    });
    uppy.on("upload-error", (_, error) => reject(error));
    uppy.on("upload-success", (_, response) => resolve(response.uploadURL));
    uppy.upload().catch(reject);
  });
}

await createTask(await withTusJs("whole.mp4", {}), "whole.mp4");
await createTask(await withTusJs("chunks.mp4", { chunkSize: 250_000 }), "chunks.mp4");
await createTask(await withTusJs("first.mp4", { chunkSize: 250_000, uploadDataDuringCreation: true }), "first.mp4");
await createTask(await withTusJs("deferred.mp4", { chunkSize: 250_000, uploadLengthDeferred: true }), "deferred.mp4");
await createTask(await withTusJs("post.mp4", { overridePatchMethod: true }), "post.mp4");
const removed = await withTusJs("removed.mp4", {});
await tus.Upload.terminate(removed, { headers });
await createTask(await withUppy("uppy.mp4"), "uppy.mp4");

// Serves a page with a frame for each of these pages, opens it in Chromium, and plays the videos: node play.mjs URL…
import { createServer } from "node:http";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const pages = process.argv.slice(2);
// Another origin than that of the frames, because the port is part of it.
const site = createServer((_, response) => {
  const frames = pages.map((page) => `<iframe src="${page}" allow="autoplay"></iframe>`).join("");
  response.setHeader("content-type", "text/html");
  response.end(`<!doctype html><link rel="icon" href="data:,"><title>Another site</title>${frames}`);
});
await new Promise((done) => site.listen(0, "127.0.0.1", done));
// Root cannot use the sandbox of Chromium. The other switches stop requests to hosts of its maker.
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
try {
  const page = await browser.newPage();
  const problems = [];
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  const frames = page.frames().filter((frame) => frame !== page.mainFrame());
  assert.equal(frames.length, pages.length);
  for (const frame of frames) {
    const [width, time] = await frame.evaluate(async () => {
      const video = document.querySelector("video");
      video.muted = true;
      await video.play();
      while (video.currentTime < 1) await new Promise((done) => setTimeout(done, 50));
      return [video.videoWidth, video.currentTime];
    });
    assert.ok(width > 0 && time >= 1, `${frame.url()}: ${width} pixels wide at ${time} s`);
  }
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
  site.close();
}

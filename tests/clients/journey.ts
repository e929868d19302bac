// From sign-up to a downloaded file with the generated client. Arguments: base URL, a video, an image.
import { readFileSync } from "node:fs";
import { client } from "./api/client.gen";
import { createImage, createTask, downloadOutput, login, plan, showImage, showTask, signUp } from "./api/sdk.gen";

const [baseUrl, video, image] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl });

function expect<T>(name: string, reply: { data?: T; error?: unknown }): T {
  if (reply.data === undefined) throw new Error(`${name}: ${JSON.stringify(reply.error)}`);
  return reply.data;
}

async function main(): Promise<void> {
  const username = `typescript-${Date.now()}`;
  const password = "123abc456";
  const account = { username, password1: password, password2: password, email: `${username}@example.com` };
  expect("sign-up", await signUp({ body: account }));
  const { token } = expect("login", await login({ body: { username, password } }));
  client.setConfig({ auth: token });

  const logo = new File([readFileSync(image)], "logo.png");
  expect("image", await createImage({ body: { file: logo, name: "mark" } }));
  const stored = expect("image again", await showImage({ path: { name: "mark" } }));
  if (stored.size !== logo.size) throw new Error(`the image came back with ${stored.size} bytes`);

  const source = new File([readFileSync(video)], "clip.mp4");
  const recipe = { watermark: { image: "mark" }, outputs: [{ kind: "mp4" as const, max_height_px: 90 }, { kind: "poster" as const }] };
  const created = expect("upload", await createTask({ body: { file: source, recipe } }));
  if (!("id" in created)) throw new Error("a file in the request is no import");
  const { id } = created;
  for (;;) {
    const task = expect("task", await showTask({ path: { id } }));
    if (task.status === "processed") {
      expect("plan", await plan({ body: { task: id, recipe: task.recipe } }));
      const [year, month, day, name] = task.file_path.split("/") as [string, string, string, string];
      const file = expect("download", await downloadOutput({ path: { year, month, day, name } }));
      if (file.size !== task.outputs[0]?.bytes) throw new Error(`${file.size} bytes came, not ${task.outputs[0]?.bytes}`);
      return;
    }
    if (task.status === "failed" || task.status === "canceled") throw new Error(JSON.stringify(task.error));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});

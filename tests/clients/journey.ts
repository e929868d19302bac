// From sign-up to a downloaded file, through the generated client: BASE_URL and a video are the arguments.
import { readFileSync } from "node:fs";
import { client } from "./api/client.gen";
import { createImage, createTask, downloadOutput, login, plan, showImage, showTask, signUp } from "./api/sdk.gen";

const [baseUrl, video, image] = process.argv.slice(2) as [string, string, string];
client.setConfig({ baseUrl });

function must<T>(what: string, reply: { data?: T; error?: unknown }): T {
  if (reply.data === undefined) throw new Error(`${what}: ${JSON.stringify(reply.error)}`);
  return reply.data;
}

async function main(): Promise<void> {
  const username = `typescript-${Date.now()}`;
  const password = "123abc456";
  const account = { username, password1: password, password2: password, email: `${username}@example.com` };
  must("sign-up", await signUp({ body: account }));
  const { token } = must("login", await login({ body: { username, password } }));
  client.setConfig({ auth: token });

  const picture = new File([readFileSync(image)], "logo.png");
  must("image", await createImage({ body: { file: picture, name: "mark" } }));
  const stored = must("image again", await showImage({ path: { name: "mark" } }));
  if (stored.size !== picture.size) throw new Error(`the image came back with ${stored.size} bytes`);

  const film = new File([readFileSync(video)], "clip.mp4");
  const recipe = { watermark: { image: "mark" }, outputs: [{ kind: "mp4" as const, max_height_px: 90 }, { kind: "poster" as const }] };
  const { id } = must("upload", await createTask({ body: { file: film, recipe } }));
  for (;;) {
    const task = must("task", await showTask({ path: { id } }));
    if (task.status === "processed") {
      must("plan", await plan({ body: { task: id, recipe: task.recipe } }));
      const [year, month, day, name] = task.file_path.split("/") as [string, string, string, string];
      const file = must("download", await downloadOutput({ path: { year, month, day, name } }));
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

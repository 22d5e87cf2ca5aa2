// What may be changed here: a dialogue that asks what is to be done, and for the token.

import { el, field, say } from "./dom.js";

let token = ""; // kept until the page is loaded anew, and nowhere else

/** Ask, do, and say how it went. `fields` are [name, title, input] of what is sent. */
export function ask(title, path, fields, given = {}) {
  const said = el("p", { role: "status" });
  const secret = el("input", { type: "password", value: token, autocomplete: "off", required: true });
  const act = el("button", { type: "submit" }, title), leave = el("button", { type: "button" }, "Close");
  const form = el("form", { method: "dialog" }, el("h2", {}, title), ...fields.map(([, name, input]) => field(name, input)),
    field("Token", secret), said, el("p", {}, act, " ", leave));
  const dialog = el("dialog", { "aria-label": title }, form);
  leave.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    token = secret.value;
    if (!/^[\x20-\x7e]+$/.test(token)) {
      say(said, "That is not the token: it has plain characters only.");
      return;
    }
    act.disabled = true;
    const content = { ...given };
    for (const [name, , input] of fields) if (input.value) content[name] = input.type === "number" ? Number(input.value) : input.value;
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Streamtag-Token": token },
        body: JSON.stringify(content),
        signal: AbortSignal.timeout(20000),
      });
      say(said, answer.ok ? `Done. ${(await answer.json()).said}` : (await answer.text()).trim());
      if (answer.ok) leave.focus();
      act.disabled = answer.ok;
    } catch {
      say(said, "The server does not answer; whether it was done, the wall tells.");
      act.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

export function askSubmit() {
  ask("Submit a job", "/api/submit", [
    ["source", "Source (address, whole path, camera:0)", el("input", { required: true, autocomplete: "off" })],
    ["stream", "Name of the stream", el("input", { autocomplete: "off" })],
    ["fps", "Samples a second", el("input", { type: "number", min: "0.01", step: "any" })],
  ]);
}

/** Buttons for what can be done with a job. */
export function actionsOf(job) {
  const button = (text, act) => {
    const made = el("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  };
  if (job.status === "running" || job.status === "queued") return [button("Cancel", () => ask("Cancel the job", "/api/cancel", [], { id: job.id }))];
  if (job.status !== "failed") return [];
  const source = el("input", { autocomplete: "off" });
  return [button("Queue again", () => ask("Queue the job again", "/api/requeue", [["source", "Source, where it held a password", source]], { id: job.id }))];
}

// How things are said: times, rates, and states by word and colour.

const TONES = {
  live: "well", connecting: "busy", queued: "busy", running: "well",
  stalled: "warn", frozen: "warn", black: "warn", reconnecting: "warn",
  auth_failed: "bad", failed: "bad", unreadable: "bad", ended: "over", done: "over", cancelled: "over",
};
const SILENT = new Set(["connecting", "stalled", "reconnecting", "auth_failed"]);
const WORDS = { auth_failed: "password refused", stalled: "no frames", queued: "waiting" };
const ORDER = ["failed", "unreadable", "auth_failed", "reconnecting", "stalled", "frozen", "black", "connecting", "live", "running", "queued", "ended", "done", "cancelled"];

export const STATES = ["live", "running", "connecting", "stalled", "frozen", "black", "reconnecting", "auth_failed", "queued", "done", "failed", "cancelled", "unreadable"];

/** What a stream does, in one of our words for it: its state while it runs, else what became of the job. */
export function stateOf(job) {
  if (job.status !== "running") return job.status;
  return toldState(job.state || "connecting", job.done);
}

/** A state for people: what has an end, and is read to it, is no live stream to them. `done` is how far it is read. */
export function toldState(state, done) {
  return state === "live" && Number.isFinite(done) ? "running" : state;
}

export function word(state) {
  return WORDS[state] || state;
}

export function tone(state) {
  return TONES[state] || "over";
}

/** Where a state comes, what needs somebody first. */
export function urgency(state) {
  const place = ORDER.indexOf(state);
  return place < 0 ? ORDER.length : place;
}

/** Whether nothing comes of a stream that should: what was seen last is not what is to be seen. */
export function isSilent(job) {
  return SILENT.has(stateOf(job));
}

export function isOver(job) {
  return job.status === "done" || job.status === "failed" || job.status === "cancelled";
}

/** A length of time: 0.4 s, 12 s, 3 min, 2 h, 4 d. */
export function span(seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5970) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** An age of whole seconds: fractions would change each time and say nothing. */
export function age(seconds) {
  return seconds < 9.95 ? `${Math.max(0, Math.floor(seconds))} s` : span(seconds);
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** A time of day in the viewer's zone; with the day where it is another one. */
export function clock(unixS, withDay = false) {
  const date = new Date(1000 * unixS);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return withDay || date.toDateString() !== new Date().toDateString() ? `${date.toLocaleDateString()} ${time}` : time;
}

/** A presentation time: 1:02.5 or 1:02:03.0. */
export function position(seconds) {
  const tenths = Math.round(10 * seconds), whole = Math.floor(tenths / 10);
  const minutes = Math.floor(whole / 60), rest = String(whole % 60).padStart(2, "0");
  const head = minutes >= 60 ? `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}` : `${minutes}`;
  return `${head}:${rest}.${tenths % 10}`;
}

export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

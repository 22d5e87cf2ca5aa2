// When was something seen, and where: a search through the events that Redis has.

import { choice, el, field, say } from "./dom.js";
import { saidOf } from "./stream.js";
import { clock, counted, position } from "./words.js";

const KINDS = [["enter", "entered"], ["exit", "left"], ["gap", "gap"], ["state", "state"], ["status", "end of a job"], ["frame_failed", "failed frame"]];
const WAIT_MS = 300, AGAIN_MS = 700;

/** A time in the form that a field of date and time takes, in the viewer's zone; and back. */
const local = (unixS) => {
  if (!unixS) return "";
  const date = new Date(1000 * unixS);
  return new Date(date - 60000 * date.getTimezoneOffset()).toISOString().slice(0, 16);
};
const unix = (text) => (text ? String(Math.floor(new Date(text).getTime() / 1000)) : "");

export class Search {
  #off = new AbortController();
  #timer = 0;
  #asked = 0;
  #live;
  #rows = el("tbody");
  #count = el("p", { className: "count", role: "status" });
  #more = el("button", { type: "button", hidden: true }, "Older ones");
  #file = el("a", { download: "" }, "all of them as jsonl");
  #events = [];

  constructor(live, query) {
    this.#live = live;
    const input = (type, value) => el("input", { type, value, autocomplete: "off" });
    this.fields = {
      label: input("search", query.get("label") || ""), stream: input("search", query.get("stream") || ""),
      kind: choice(KINDS, query.get("kind") || "enter"),
      from: input("datetime-local", local(Number(query.get("from")))), to: input("datetime-local", local(Number(query.get("to")))),
    };
    const { label, stream, kind, from, to } = this.fields;
    const heads = ["time", "stream", "position", "what", "label", "score"];
    this.element = el("div", {}, el("h2", {}, "Search"),
      el("search", { className: "controls" }, field("Label", label), field("Stream", stream), field("What", kind), field("From", from), field("To", to)),
      this.#count, el("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Events" },
        el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), this.#rows)),
      el("p", {}, this.#more, " ", this.#file));
  }

  begin() {
    document.title = "Search · Streamtag";
    const { signal } = this.#off;
    for (const input of Object.values(this.fields)) {
      for (const kind of ["input", "change"]) input.addEventListener(kind, () => this.#later(WAIT_MS), { signal });
    }
    // What an event is of, a film or a camera, may be told after it was found.
    this.#live.addEventListener("change", ({ detail }) => detail === null && this.#draw(), { signal });
    this.#more.addEventListener("click", () => this.#ask(this.#events.at(-1)?.id), { signal });
    this.#ask();
  }

  end() {
    this.#off.abort();
    clearTimeout(this.#timer);
  }

  #later(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), ms);
  }

  #query() {
    const query = new URLSearchParams();
    for (const [name, input] of Object.entries(this.fields)) {
      const value = name === "from" || name === "to" ? unix(input.value) : input.value.trim();
      if (value && !(name === "kind" && value === "enter")) query.set(name, value);
    }
    return query;
  }

  async #ask(before = "") {
    const query = this.#query(), asked = ++this.#asked;
    history.replaceState(null, "", query.size ? `/search?${query}` : "/search");
    this.#file.href = `/api/search?${new URLSearchParams([...query, ["format", "jsonl"]])}`;
    if (before) query.set("before", before);
    try {
      const answer = await fetch(`/api/search?${query}`, { signal: AbortSignal.any([this.#off.signal, AbortSignal.timeout(20000)]) });
      if (asked !== this.#asked) return;
      if (!answer.ok) {
        say(this.#count, (await answer.text()).trim());
        return;
      }
      const { events, more, whole } = await answer.json();
      this.#events = before ? [...this.#events, ...events] : events;
      this.#more.hidden = !more;
      const found = `${counted(this.#events.length, "event")}${more ? " and older ones" : ""}`;
      say(this.#count, whole ? found : `${found} so far, still reading…`);
      this.#draw();
      if (!whole && !before) this.#later(AGAIN_MS);
    } catch {
      if (!this.#off.signal.aborted) this.#later(3 * AGAIN_MS);
    }
  }

  #draw() {
    this.#rows.replaceChildren(...this.#events.map((event) => {
      // Of a live stream the drawing goes by the clock, of a film by the position.
      const job = this.#live.byId(event.job), when = job?.live ? event.at : event.pts;
      const link = el("a", { href: `/stream/${encodeURIComponent(event.job)}?at=${when.toFixed(2)}` }, event.stream);
      link.dataset.inside = "";
      return el("tr", {}, el("td", {}, clock(event.at, true)), el("td", {}, link), el("td", {}, position(event.pts)),
        el("td", { className: "wide" }, saidOf(event, job?.done)), el("td", {}, event.label), el("td", {}, event.score === null ? "" : event.score.toFixed(2)));
    }));
  }
}

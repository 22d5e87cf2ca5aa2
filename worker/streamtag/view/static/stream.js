// One stream's page: what it shows, what it has shown, and the account of it.

import { actionsOf } from "./changes.js";
import { el, say } from "./dom.js";
import { Drawing } from "./svg.js";
import { Thumbs } from "./thumbs.js";
import { clock, counted, isSilent, percent, position, span, stateOf, toldState, tone, word } from "./words.js";

const PERIOD_MS = 2000, OVER_MS = 10000, READING_MS = 300;
const FORMATS = ["jsonl", "csv", "parquet", "vtt", "srt", "edl"];
const EVENTS = 100;

export class Stream {
  #live;
  #id;
  #story = null;
  #drawing = null;
  #at = null; // the time that is looked at; null for the newest
  #off = new AbortController();
  #timer = 0;
  #thumbs;
  #parts;
  #shownEvents = "";

  constructor(live, id, query) {
    this.#live = live;
    this.#id = id;
    const at = Number.parseFloat(query.get("at"));
    this.#at = Number.isFinite(at) ? at : null;
    const parts = (this.#parts = {
      name: el("h2"), badge: el("span", { className: "badge" }), source: el("p", { className: "soft" }),
      image: el("img", { alt: "", hidden: true }), none: el("span", {}, "no picture"), caption: el("figcaption"),
      newest: el("button", { type: "button", hidden: true }, "Show the newest"),
      now: el("ul", { className: "labels", "aria-label": "Labels now" }), facts: el("dl", { className: "facts" }),
      story: el("div", { className: "drawn" }), legend: el("ul", { className: "legend", "aria-label": "Lines of the drawing" }),
      slider: el("input", { type: "range", step: "any" }), said: el("output"), why: el("p", { role: "status" }),
      rest: el("div", { hidden: true }), past: el("div"), nothing: el("p", { className: "soft" }),
      events: el("tbody"), more: el("p", { className: "soft" }), actions: el("div", { className: "actions" }),
      exports: el("section", { className: "exports", "aria-label": "Export" }),
    });
    const exports = FORMATS.map((format) => el("a", { href: `/api/export?id=${encodeURIComponent(id)}&format=${format}`, download: "" }, format));
    const heads = ["time", "position", "what", "label", "score", "picture"];
    parts.past.append(parts.legend, parts.story, el("label", { className: "seek" }, "Time", parts.slider), parts.said);
    parts.exports.append(el("h3", {}, "Export"), el("p", {}, ...exports.flatMap((link) => [link, " "])));
    parts.rest.append(
      el("div", { className: "two" },
        el("figure", {}, el("div", { className: "picture large" }, parts.none, parts.image), parts.caption, parts.newest),
        el("div", {}, parts.now, parts.facts)),
      el("section", { "aria-label": "Over time" }, el("h3", {}, "Over time"), parts.past, parts.nothing),
      el("section", { "aria-label": "Events" }, el("h3", {}, "Events"), el("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Table of events" },
        el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), parts.events)), parts.more),
      parts.exports);
    this.element = el("article", { className: "stream" },
      el("div", { className: "head" }, parts.name, parts.badge), parts.source, parts.why, parts.actions, parts.rest);
    this.#thumbs = new Thumbs(live, () => (this.#job() && this.#at === null ? [this.#job().n] : []), () => this.#picture());
  }

  begin() {
    const { signal } = this.#off, { slider, story, newest } = this.#parts;
    this.#live.addEventListener("change", () => this.#head(), { signal });
    slider.addEventListener("input", () => this.#look(Number(slider.value)), { signal });
    story.addEventListener("click", (event) => {
      if (this.#drawing) this.#look(this.#drawing.time(event.clientX - story.getBoundingClientRect().left));
    }, { signal });
    newest.addEventListener("click", () => this.#look(null), { signal });
    const resized = new ResizeObserver(() => this.#draw());
    resized.observe(story);
    signal.addEventListener("abort", () => resized.disconnect());
    document.title = `${this.#id} · Streamtag`;
    this.#head();
    this.#ask();
  }

  end() {
    this.#off.abort();
    this.#thumbs.stop();
    clearTimeout(this.#timer);
  }

  #job() {
    return this.#live.byId(this.#id);
  }

  async #ask() {
    let wait = PERIOD_MS;
    try {
      const answer = await fetch(`/api/stream?id=${encodeURIComponent(this.#id)}`, { signal: AbortSignal.any([this.#off.signal, AbortSignal.timeout(20000)]) });
      if (answer.ok) {
        this.#story = await answer.json();
        say(this.#parts.why, this.#story.more ? "Reading what was seen so far…" : "");
        if (this.#story.more) wait = READING_MS;
        else if (this.#story.job.finished_unix_s) wait = OVER_MS;
        this.#told();
      } else {
        say(this.#parts.why, (await answer.text()).trim());
        if (answer.status === 404) wait = OVER_MS;
      }
    } catch {
      // The server is away; the page says so already.
    }
    if (!this.#off.signal.aborted) this.#timer = setTimeout(() => (document.hidden ? this.#wait() : this.#ask()), wait);
  }

  #wait() {
    this.#timer = setTimeout(() => (document.hidden ? this.#wait() : this.#ask()), PERIOD_MS);
  }

  #told() {
    const { rest, past, nothing, exports } = this.#parts, { history, events, more } = this.#story;
    rest.hidden = false; // of a job that there is not, nothing is drawn
    // Of a camera states are drawn, too, before anything was seen; of a film they have no length.
    past.hidden = !history.samples && !(history.live && events.length);
    exports.hidden = !history.samples;
    say(nothing, past.hidden && !more ? "No result is kept." : "");
    this.#head();
    this.#facts();
    this.#draw();
    this.#events();
    this.#picture();
  }

  #head() {
    const { name, badge, source, now, actions } = this.#parts;
    const job = this.#job();
    if (!job) {
      say(name, this.#story?.job.stream || this.#id);
      return;
    }
    say(name, job.stream);
    if (this.#live.about.changes && actions.dataset.status !== job.status) {
      actions.dataset.status = job.status;
      actions.replaceChildren(...actionsOf(job));
    }
    const state = stateOf(job);
    say(badge, word(state));
    badge.className = `badge ${tone(state)}`;
    say(source, [job.id, job.source, job.reason].filter(Boolean).join(" · "));
    const silent = isSilent(job);
    now.replaceChildren(...job.labels.map(([label, score, active]) => {
      const bar = el("i");
      bar.style.width = `${Math.round(100 * score)}%`;
      return el("li", { className: active && !silent ? "label" : "label off" }, bar, el("b", {}, label), el("span", {}, percent(score)));
    }));
  }

  #facts() {
    const { job } = this.#story, c = job.counters;
    const reasons = (counts) => Object.entries(counts).map(([reason, count]) => `${count} ${reason}`).join(", ") || "0";
    const facts = {
      status: job.reason ? `${job.status}: ${job.reason}` : job.status,
      worker: job.worker || "none", lag: job.lag_s === null || isSilent(job) ? "" : span(job.lag_s),
      account: `${c.decoded} frames decoded${c.regions > 1 ? ` × ${c.regions} regions` : ""} = ${c.sampled} samples + ${c.skipped} passed over`,
      samples: `${c.sampled} = ${c.published} published + ${c.dropped} dropped + ${c.failed} failed${c.sampled === c.published + c.dropped + c.failed ? "" : " + some on their way"}`,
      dropped: reasons(c.dropped_by_reason), failed: reasons(c.failed_by_reason), reused: c.reused ? `${c.reused}` : "",
      progress: job.progress === null ? "" : percent(job.progress),
      submitted: clock(job.submitted_unix_s), started: job.started_unix_s ? clock(job.started_unix_s) : "",
      finished: job.finished_unix_s ? clock(job.finished_unix_s) : "", deliveries: `${job.deliveries}${job.crashes ? `, ${counted(job.crashes, "crash")} since` : ""}`,
      trace: job.trace_id,
    };
    this.#parts.facts.replaceChildren(...Object.entries(facts).filter(([, text]) => text).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
  }

  #draw() {
    const { story, slider, legend } = this.#parts;
    const width = Math.floor(story.clientWidth);
    if (!this.#story || !width) return;
    const { history } = this.#story;
    this.#drawing = new Drawing(this.#story, width);
    story.replaceChildren(this.#drawing.draw());
    [slider.min, slider.max] = [this.#drawing.begin, this.#drawing.end];
    const drawn = JSON.stringify(history.labels);
    if (legend.dataset.drawn !== drawn) {
      legend.dataset.drawn = drawn;
      legend.replaceChildren(el("li", { className: "soft" }, "bold smoothed, thin raw:"), ...history.labels.map((label, place) => el("li", {}, el("i", { className: `c${place}` }), label)));
    }
    this.#point();
  }

  #look(at) {
    this.#at = at;
    const query = at === null ? "" : `?at=${at.toFixed(2)}`;
    history.replaceState(null, "", `${location.pathname}${query}`);
    this.#point();
    this.#picture();
  }

  #point() {
    const { slider, said } = this.#parts;
    this.#drawing?.place(this.#at);
    const shown = this.#at ?? this.#drawing?.end;
    if (shown === undefined) return;
    slider.value = shown;
    slider.setAttribute("aria-valuetext", this.#drawing.told(shown));
    const on = this.#story.history.spans.filter(([, from, to, still]) => from <= shown && (still || shown <= to)).map(([label]) => label);
    say(said, `${this.#drawing.told(shown)}: ${on.length ? on.join(", ") : "nothing active"}`);
  }

  /** The picture nearest to the time that is looked at, or the newest. */
  #picture() {
    const { image, none, caption, newest } = this.#parts;
    newest.hidden = this.#at === null;
    const job = this.#job(), pictures = this.#story?.pictures || [];
    let address = "", text = "";
    const thumb = job ? this.#thumbs.get(job.n) : "";
    if (this.#at === null && thumb) [address, text] = [thumb, "the newest"];
    else if (pictures.length && this.#drawing) {
      const wanted = this.#at ?? this.#drawing.end, when = this.#drawing.live ? 2 : 1;
      const nearest = pictures.reduce((best, one) => (Math.abs(one[when] - wanted) < Math.abs(best[when] - wanted) ? one : best));
      address = `/api/picture?id=${encodeURIComponent(this.#id)}&entry=${encodeURIComponent(nearest[0])}`;
      text = `${this.#drawing.told(nearest[when])}${nearest[3] ? `, ${nearest[3]} ${nearest[4] === "enter" ? "enters" : ""}` : ""}${this.#at === null ? "" : ", the nearest that is kept"}`;
    }
    image.hidden = !address;
    none.hidden = Boolean(address);
    if (address && image.getAttribute("src") !== address) image.src = address;
    image.alt = address ? `${this.#id}, ${text}` : "";
    say(caption, text);
  }

  #events() {
    const { events, pictures, job } = this.#story;
    const shown = JSON.stringify([events[0]?.id, events.length, pictures.length]);
    if (shown === this.#shownEvents) return;
    this.#shownEvents = shown;
    const live = this.#story.history.live;
    say(this.#parts.more, events.length > EVENTS ? `The newest ${EVENTS} of ${events.length} and more.` : events.length ? "" : "No event is kept.");
    this.#parts.events.replaceChildren(...events.slice(0, EVENTS).map((event) => {
      const when = live ? event.at : event.pts;
      const kept = event.kind === "enter" && pictures.some((one) => one[4] === "enter" && one[3] === event.label && Math.abs(one[1] - event.pts) < 1);
      const button = kept ? el("button", { type: "button" }, "show") : null;
      button?.addEventListener("click", () => this.#look(when));
      return el("tr", {}, el("td", {}, clock(event.at)), el("td", {}, position(event.pts)), el("td", { className: "wide" }, saidOf(event, job.progress)),
        el("td", {}, event.label), el("td", {}, event.score === null ? "" : event.score.toFixed(2)), el("td", {}, button || ""));
    }));
  }
}

/** What an event says, in words; `done` is how far its job is read, where that has an end. */
export function saidOf(event, done) {
  if (event.kind === "gap") return `gap: ${event.what}${event.missed === null ? "" : `, ${span(event.missed)} missed`}`;
  const what = event.kind === "state" ? toldState(event.what, done) : event.what;
  return what ? `${event.kind}: ${word(what)}` : event.kind;
}

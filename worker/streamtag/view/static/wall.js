// The wall: a tile for each stream. Only those in view are in the page, so five hundred cost no more than forty.

import { choice, el, field, fill, say } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Thumbs } from "./thumbs.js";
import { Tile } from "./tile.js";
import { STATES, counted, isOver, stateOf, urgency, word } from "./words.js";

const GAP = 10, WIDTH = 232, HEIGHT = 274, NARROW = 480, NARROW_HEIGHT = 142, BEYOND = 300;
const MOST_CHOICES = 200;

const SORTS = {
  state: ["state", (a, b) => urgency(stateOf(a)) - urgency(stateOf(b))],
  name: ["name", () => 0],
  worker: ["worker", (a, b) => compare(a.worker, b.worker)],
  label: ["best label", (a, b) => compare(a.labels[0]?.[0] || "\uffff", b.labels[0]?.[0] || "\uffff")],
  lag: ["lag", (a, b) => (b.lag ?? -1) - (a.lag ?? -1)],
  rate: ["samples a second", (a, b) => b.rate - a.rate],
  newest: ["newest", (a, b) => b.submitted - a.submitted],
};
const collator = new Intl.Collator(undefined, { numeric: true });
const compare = (a, b) => collator.compare(a, b);

export class Wall {
  #live;
  #order = []; // numbers, filtered and sorted
  #tiles = new Map(); // by number, those in the page
  #spare = [];
  #columns = 1;
  #cell = [WIDTH, HEIGHT];
  #fleet;
  #thumbs;
  #list = el("ul", { className: "wall", role: "list", "aria-label": "Streams" });
  #count = el("p", { className: "count", role: "status" });
  #off = new AbortController();
  #drawing = 0;
  #changed = true;

  constructor(live, query) {
    this.#live = live;
    this.#fleet = new Fleet(live);
    this.text = el("input", { type: "search", value: query.get("q") || "", autocomplete: "off", placeholder: "name or source" });
    this.label = el("input", { type: "search", value: query.get("label") || "", autocomplete: "off", list: "labels" });
    this.labels = el("datalist", { id: "labels" });
    this.state = choice([["", "all"], ["current", "not over"], ...STATES.map((state) => [state, word(state)])], query.get("state") || "");
    this.worker = choice([["", "all"]], "");
    this.wantedWorker = query.get("worker") || "";
    this.sort = choice(Object.entries(SORTS).map(([name, [text]]) => [name, text]), query.get("sort") || "state");
    this.element = el("div", {}, this.#fleet.element,
      el("search", { className: "controls" }, field("Name", this.text), field("Label", this.label), this.labels,
        field("State", this.state), field("Worker", this.worker), field("Sorted by", this.sort)),
      this.#count, this.#list);
    this.#thumbs = new Thumbs(live, () => [...this.#tiles.keys()], (n) => this.#tiles.get(n)?.picture(this.#thumbs.get(n)));
  }

  begin() {
    document.title = "Streamtag";
    const { signal } = this.#off;
    this.#live.addEventListener("change", () => this.#later(true), { signal });
    addEventListener("scroll", () => this.#later(false), { signal, passive: true });
    addEventListener("resize", () => this.#later(true), { signal });
    for (const input of [this.text, this.label]) input.addEventListener("input", () => this.#asked(), { signal });
    for (const input of [this.state, this.worker, this.sort]) input.addEventListener("change", () => this.#asked(), { signal });
    this.#list.addEventListener("keydown", (event) => this.#key(event), { signal });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !event.target.matches("input, textarea, select")) {
        event.preventDefault();
        this.text.focus();
      }
    }, { signal });
    this.#later(true);
  }

  end() {
    this.#off.abort();
    this.#thumbs.stop();
    cancelAnimationFrame(this.#drawing);
  }

  #later(changed) {
    this.#changed ||= changed;
    // A hidden page draws nothing, and all at once when it is looked at.
    if (!this.#drawing) this.#drawing = requestAnimationFrame(() => this.#draw());
  }

  #asked() {
    this.wantedWorker = this.worker.value;
    const query = new URLSearchParams();
    const given = { q: this.text.value, label: this.label.value, state: this.state.value, worker: this.worker.value, sort: this.sort.value };
    for (const [name, value] of Object.entries(given)) if (value && !(name === "sort" && value === "state")) query.set(name, value);
    history.replaceState(null, "", query.size ? `/?${query}` : "/");
    this.#later(true);
  }

  #draw() {
    this.#drawing = 0;
    if (this.#changed) {
      this.#changed = false;
      this.#fleet.draw();
      this.#choices();
      this.#arrange();
    }
    this.#place();
    this.#thumbs.ask();
  }

  #choices() {
    const workers = new Set(), labels = new Set();
    for (const job of this.#live.jobs.values()) {
      if (job.worker) workers.add(job.worker);
      for (const [name, , active] of job.labels) if (active) labels.add(name);
    }
    if (this.wantedWorker) workers.add(this.wantedWorker);
    fill(this.worker, [["", "all"], ...[...workers].sort(compare).slice(0, MOST_CHOICES).map((name) => [name, name])], this.wantedWorker);
    const names = [...labels].sort(compare).slice(0, MOST_CHOICES);
    const wanted = JSON.stringify(names);
    if (this.labels.dataset.names !== wanted) {
      this.labels.dataset.names = wanted;
      this.labels.replaceChildren(...names.map((name) => el("option", { value: name })));
    }
  }

  #arrange() {
    const text = this.text.value.trim().toLowerCase(), label = this.label.value.trim().toLowerCase();
    const state = this.state.value, worker = this.worker.value;
    const fits = (job) =>
      (!text || `${job.stream}\n${job.id}\n${job.source}`.toLowerCase().includes(text)) &&
      (!label || job.labels.some(([name, , active]) => active && name.toLowerCase().includes(label))) &&
      (!state || (state === "current" ? !isOver(job) : stateOf(job) === state)) &&
      (!worker || job.worker === worker);
    const jobs = [...this.#live.jobs.values()].filter(fits);
    const before = SORTS[this.sort.value][1];
    jobs.sort((a, b) => before(a, b) || compare(a.stream, b.stream) || a.n - b.n);
    this.#order = jobs.map((job) => job.n);
    const all = this.#live.jobs.size;
    const told = jobs.length === all ? counted(all, "stream") : `${jobs.length} of ${counted(all, "stream")}`;
    if (this.#live.fleet) say(this.#count, all ? told : `${told}; to begin: streamtag submit SOURCE --model ${this.#live.about.model}`);
    const width = this.#list.clientWidth, narrow = width < NARROW;
    this.#columns = narrow ? 1 : Math.max(1, Math.floor((width + GAP) / (WIDTH + GAP)));
    this.#cell = [Math.floor((width + GAP) / this.#columns) - GAP, narrow ? NARROW_HEIGHT : HEIGHT];
    this.#list.classList.toggle("narrow", narrow);
    const height = `${Math.ceil(jobs.length / this.#columns) * (this.#cell[1] + GAP)}px`;
    if (this.#list.style.height !== height) this.#list.style.height = height;
  }

  #place() {
    const [width, height] = this.#cell, row = height + GAP;
    const top = -this.#list.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor((top - BEYOND) / row)) * this.#columns;
    const end = Math.min(this.#order.length, Math.ceil((top + innerHeight + BEYOND) / row) * this.#columns);
    const wanted = new Map();
    for (let place = first; place < end; place++) wanted.set(this.#order[place], place);
    const focused = this.#focused();
    if (focused && !wanted.has(focused.n)) {
      // What somebody stands on stays, however far the wall is scrolled.
      const place = this.#order.indexOf(focused.n);
      if (place >= 0) wanted.set(focused.n, place);
    }
    for (const [n, tile] of this.#tiles) {
      if (wanted.has(n)) continue;
      this.#tiles.delete(n);
      tile.element.remove();
      this.#spare.push(tile);
    }
    const now = this.#live.now();
    for (const [n, place] of wanted) {
      const tile = this.#tiles.get(n) || this.#new(n);
      const x = (place % this.#columns) * (width + GAP), y = Math.floor(place / this.#columns) * row;
      const where = `translate(${x}px, ${y}px)`, { style } = tile.element;
      if (style.transform !== where) style.transform = where;
      if (style.width !== `${width}px`) style.width = `${width}px`;
      if (style.height !== `${height}px`) style.height = `${height}px`;
      if (tile.place !== place || tile.of !== this.#order.length) {
        [tile.place, tile.of] = [place, this.#order.length];
        tile.element.setAttribute("aria-posinset", place + 1);
        tile.element.setAttribute("aria-setsize", this.#order.length);
      }
      tile.show(this.#live.jobs.get(n), this.#thumbs.get(n), now);
    }
    this.#inOrder();
  }

  /** The order in the page is that of the Tab key and of a screen reader. */
  #inOrder() {
    const sorted = [...this.#tiles.values()].sort((a, b) => a.place - b.place);
    let next = null;
    const focused = this.#focused();
    for (const tile of sorted.reverse()) {
      if (tile.element.nextElementSibling !== next && tile !== focused) this.#list.insertBefore(tile.element, next);
      next = tile.element;
    }
  }

  #new(n) {
    const tile = this.#spare.pop() || new Tile();
    tile.place = -1;
    this.#tiles.set(n, tile);
    this.#list.append(tile.element);
    return tile;
  }

  #focused() {
    const element = document.activeElement?.closest?.(".tile");
    if (!element) return null;
    for (const tile of this.#tiles.values()) if (tile.element === element) return tile;
    return null;
  }

  #key(event) {
    const tile = this.#focused();
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns, ArrowUp: -this.#columns };
    const last = this.#order.length - 1;
    let place;
    if (!tile || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in steps) place = tile.place + steps[event.key];
    else if (event.key === "Home") place = 0;
    else if (event.key === "End") place = last;
    else return;
    event.preventDefault();
    if (place < 0 || place > last) return;
    const row = this.#cell[1] + GAP;
    const y = Math.floor(place / this.#columns) * row + this.#list.getBoundingClientRect().top;
    if (y < 0 || y + row > innerHeight) scrollBy(0, y - innerHeight / 2 + row / 2);
    this.#place();
    this.#tiles.get(this.#order[place])?.link.focus({ preventScroll: true });
  }
}

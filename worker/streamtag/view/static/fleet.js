// The strip of the fleet: workers with their load and room, the queue, drops.

import { el, say } from "./dom.js";
import { age, counted, percent, span } from "./words.js";

const MOST = 100; // workers that are listed

export class Fleet {
  #live;
  #said = Object.fromEntries(["workers", "jobs", "queue", "drops", "memory", "more"].map((name) => [name, el("span")]));
  #rows = el("tbody");
  #drawn = "";

  constructor(live) {
    this.#live = live;
    const heads = ["worker", "jobs", "room", "samples/s", "asked of supply", "busy", "lag", "drops", "engine", "doing"];
    this.element = el("details", { className: "fleet" },
      el("summary", {}, ...Object.values(this.#said)),
      el("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": "Workers" },
        el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), this.#rows)));
  }

  draw() {
    const fleet = this.#live.fleet;
    if (!fleet) return;
    const { workers } = fleet;
    const sum = (name) => workers.reduce((total, worker) => total + worker[name], 0);
    say(this.#said.workers, workers.length ? counted(workers.length, "worker") : "no worker");
    say(this.#said.jobs, `${counted(sum("jobs"), "job")} running, room for ${sum("room")} more`);
    say(this.#said.queue, fleet.queued ? `${fleet.queued} waiting, the oldest for ${age(this.#live.now() - fleet.oldest)}` : "nothing waits");
    say(this.#said.drops, `${fleet.dropped} samples dropped`);
    say(this.#said.memory, fleet.memory === null ? "" : `Redis ${percent(fleet.memory)} full`);
    say(this.#said.more, fleet.left_out ? `${fleet.left_out} older jobs are not shown` : "");
    const drawn = JSON.stringify(workers);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#rows.replaceChildren(...workers.slice(0, MOST).map((worker) => el("tr", {},
      el("th", { scope: "row" }, worker.name), ...[
        `${worker.jobs} of ${worker.slots}`, `${worker.room}`, worker.rate.toFixed(1),
        `${worker.asked.toFixed(1)} of ${worker.supply.toFixed(1)}`, percent(worker.busy), span(worker.lag), percent(worker.drops),
        worker.engine, worker.draining ? "leaving" : "",
      ].map((text) => el("td", {}, text)))));
  }
}

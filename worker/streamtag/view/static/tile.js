// One stream on the wall. A tile is made once and shows one stream after the other as the wall is scrolled.

import { el, say } from "./dom.js";
import { age, counted, isSilent, percent, span, stateOf, tone, word } from "./words.js";

const LABELS = 3;

export class Tile {
  n = 0;
  #image = el("img", { alt: "", hidden: true });
  #none = el("span", {}, "no picture");
  #badge = el("span", { className: "badge" });
  #name = el("span", { className: "name" });
  #labels = Array.from({ length: LABELS }, () => {
    const bar = el("i"), name = el("b"), score = el("span");
    return { bar, name, score, row: el("div", { className: "label" }, bar, name, score) };
  });
  #rate = el("span", { className: "foot" });
  #worker = el("span", { className: "foot" });
  #shown = "";

  constructor() {
    const picture = el("span", { className: "picture" }, this.#none, this.#image, this.#badge);
    const says = el("span", { className: "says" }, this.#name, ...this.#labels.map((label) => label.row), this.#rate, this.#worker);
    this.link = el("a", {}, picture, says);
    this.link.dataset.inside = "";
    this.element = el("li", { className: "tile" }, this.link);
  }

  show(job, picture, now) {
    this.n = job.n;
    const state = stateOf(job);
    const href = `/stream/${encodeURIComponent(job.id)}`;
    if (this.link.getAttribute("href") !== href) this.link.href = href;
    say(this.#badge, word(state));
    const badge = `badge ${tone(state)}`;
    if (this.#badge.className !== badge) this.#badge.className = badge;
    say(this.#name, job.stream);
    this.#name.title = job.stream;
    const silent = isSilent(job);
    this.#labels.forEach((slot, place) => this.#label(slot, job.labels[place], silent));
    say(this.#rate, this.#how(job, now));
    say(this.#worker, job.worker || job.reason || job.source);
    const foot = job.worker ? "foot" : "foot why"; // without labels there is room for a whole reason
    if (this.#worker.className !== foot) this.#worker.className = foot;
    this.picture(picture);
  }

  picture(address) {
    if (this.#shown === address) return;
    this.#shown = address;
    this.#image.hidden = !address;
    this.#none.hidden = Boolean(address);
    if (address) this.#image.src = address;
    else this.#image.removeAttribute("src");
  }

  #label(slot, label, silent) {
    slot.row.hidden = !label;
    if (!label) return;
    const [name, score, active] = label;
    const kind = active && !silent ? "label" : "label off";
    if (slot.row.className !== kind) slot.row.className = kind;
    say(slot.name, name);
    say(slot.score, percent(score));
    const width = `${Math.round(100 * score)}%`;
    if (slot.bar.style.width !== width) slot.bar.style.width = width;
  }

  #how(job, now) {
    if (job.status !== "running") return `${counted(job.samples, "sample")}${job.fails ? `, ${job.fails} failed` : ""}`;
    const parts = [`${job.rate.toFixed(1)}/s`];
    if (job.lag !== null && !isSilent(job)) parts.push(`lag ${span(job.lag)}`);
    if (job.done !== null) parts.push(percent(job.done));
    if (job.at && job.live) parts.push(`last ${age(now - job.at)} ago`);
    if (job.drops) parts.push(`${job.drops} dropped`);
    return parts.join(" · ");
  }
}

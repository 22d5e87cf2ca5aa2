// Drawings over time: scores as lines, what was active as bars, states, gaps. One axis for all of them.

import { clock, position, toldState, tone, word } from "./words.js";

const SPACE = "http://www.w3.org/2000/svg";
const CHART = 150, ROW = 20, AXIS = 22, STATES = 18, MOST_ROWS = 14;

function shape(tag, given, text) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(given)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const titled = (made, text) => {
  made.append(shape("title", {}, text));
  return made;
};

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Steps of an axis that people count in. */
function step(span, most) {
  const wanted = span / most;
  for (const one of [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400]) if (one >= wanted) return one;
  return wanted;
}

/** A drawing of a stream's story. `story` is what the server told; `width` in pixels. */
export class Drawing {
  #story;
  #left;
  #width;
  #still; // until when what is on is known to be
  constructor(story, width) {
    this.#story = story;
    this.#width = width;
    this.#left = width < 520 ? 84 : 130;
    const { history, events, job } = story;
    this.live = history.live;
    // A camera that sends nothing has a present, too.
    const now = this.live && job.status === "running" ? story.now : history.end;
    this.begin = history.samples ? history.begin : Math.min(now, ...events.map((event) => this.#at(event)));
    this.end = Math.max(history.end, now, this.begin + 1);
    this.#still = Math.min(this.end, history.end + 5);
    this.states = this.#statesOf(events);
    const first = [...new Set([...history.labels, ...history.spans.map(([label]) => label)])];
    const on = new Set(history.spans.map(([label]) => label));
    this.rows = first.filter((label) => on.has(label)).slice(0, MOST_ROWS);
    this.height = STATES + 6 + CHART + 8 + ROW * Math.max(1, this.rows.length) + AXIS;
  }

  /** Where a time is. */
  x(time) {
    const share = (time - this.begin) / (this.end - this.begin);
    return this.#left + Math.min(1, Math.max(0, share)) * (this.#width - this.#left - 8);
  }

  /** The time of a place. */
  time(x) {
    const share = (x - this.#left) / (this.#width - this.#left - 8);
    return this.begin + Math.min(1, Math.max(0, share)) * (this.end - this.begin);
  }

  told(time) {
    return this.live ? clock(time) : position(time);
  }

  draw() {
    const svg = shape("svg", { width: this.#width, height: this.height, viewBox: `0 0 ${this.#width} ${this.height}`, class: "story", "aria-hidden": "true" });
    this.#drawStates(svg);
    this.#drawScores(svg, STATES + 6);
    this.#drawSpans(svg, STATES + 6 + CHART + 8);
    this.#drawAxis(svg, this.height - AXIS);
    this.cursor = shape("line", { y1: 0, y2: this.height - AXIS, class: "cursor" });
    svg.append(this.cursor);
    return svg;
  }

  #at(event) {
    return this.live ? event.at : event.pts;
  }

  #statesOf(events) {
    const changes = events.filter((event) => event.kind === "state").map((event) => [this.#at(event), toldState(event.what, this.#story.job.progress)]).sort((a, b) => a[0] - b[0]);
    return changes.map(([from, state], place) => [state, Math.max(from, this.begin), place + 1 < changes.length ? changes[place + 1][0] : this.end]).filter(([, from, to]) => to >= from);
  }

  #drawStates(svg) {
    this.#name(svg, "state", STATES - 5);
    for (const [state, from, to] of this.states) {
      const x = this.x(from), width = Math.max(1, this.x(to) - x);
      svg.append(titled(shape("rect", { x, y: 2, width, height: STATES - 4, class: `at-${tone(state)}` }), `${word(state)} from ${this.told(from)}`));
      if (width > 8 * word(state).length) svg.append(shape("text", { x: x + 4, y: STATES - 5, class: "in" }, word(state)));
    }
    for (const event of this.#story.events) {
      if (event.kind !== "gap") continue;
      const to = this.#at(event), from = this.live ? to - (event.missed || 0) : to;
      svg.append(titled(shape("rect", { x: this.x(from), y: 0, width: Math.max(3, this.x(to) - this.x(from)), height: this.height - AXIS, class: "gap" }), `gap: ${event.what}, ${event.missed ?? "?"} s missed`));
    }
  }

  #drawScores(svg, top) {
    const { history } = this.#story;
    const y = (score) => top + CHART * (1 - score);
    for (const score of [0, 0.5, 1]) {
      svg.append(shape("line", { x1: this.#left, x2: this.#width - 8, y1: y(score), y2: y(score), class: "grid" }));
      this.#name(svg, `${100 * score} %`, Math.min(y(score) + 4, top + CHART));
    }
    history.labels.forEach((label, place) => {
      for (const [which, kind] of [[0, "raw"], [1, "smoothed"]]) {
        let path = "", last = -9;
        for (const [number, ...scores] of history.points) {
          const score = scores[place];
          if (!score) continue;
          path += `${number > last + 3 ? "M" : "L"}${this.x(this.begin + (number + 0.5) * history.width).toFixed(1)} ${y(score[which]).toFixed(1)}`;
          last = number;
        }
        if (path) svg.append(titled(shape("path", { d: path, class: `${kind} c${place}` }), `${label}, ${kind}`));
      }
    });
  }

  #drawSpans(svg, top) {
    const { history } = this.#story;
    this.rows.forEach((label, row) => {
      const y = top + row * ROW, colour = history.labels.indexOf(label);
      this.#name(svg, label, y + ROW - 6);
      svg.append(shape("line", { x1: this.#left, x2: this.#width - 8, y1: y + ROW - 1, y2: y + ROW - 1, class: "grid" }));
      for (const [name, from, to, on] of history.spans) {
        if (name !== label || to < this.begin) continue;
        const x = this.x(from), end = this.x(on ? this.#still : to);
        svg.append(titled(shape("rect", { x, y: y + 3, width: Math.max(2, end - x), height: ROW - 7, class: `on c${colour < 0 ? 8 : colour}` }), `${label}, ${this.told(from)} to ${on ? "now" : this.told(to)}`));
        svg.append(shape("path", { d: `M${x} ${y + 1}v${ROW - 3}`, class: "enter" }));
        if (!on) svg.append(shape("path", { d: `M${end} ${y + 1}v${ROW - 3}`, class: "exit" }));
      }
    });
    if (!this.rows.length) this.#name(svg, "nothing active", top + ROW - 6);
  }

  #drawAxis(svg, top) {
    const span = this.end - this.begin, by = step(span, Math.max(2, (this.#width - this.#left) / 110));
    const offset = this.live ? new Date().getTimezoneOffset() * 60 : 0;
    for (let time = Math.ceil((this.begin - offset) / by) * by + offset; time <= this.end; time += by) {
      const x = this.x(time);
      svg.append(shape("line", { x1: x, x2: x, y1: top, y2: top + 4, class: "tick" }));
      const last = x > this.#width - 40; // as far right as it goes, or it would run into the one before
      svg.append(shape("text", { x: last ? this.#width - 2 : x, y: top + 17, "text-anchor": last ? "end" : "middle" }, this.told(time)));
    }
  }

  #name(svg, text, y) {
    svg.append(titled(shape("text", { x: this.#left - 6, y, "text-anchor": "end" }, short(text, this.#left < 100 ? 11 : 18)), text));
  }

  place(time) {
    const x = time === null ? -10 : this.x(time);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }
}

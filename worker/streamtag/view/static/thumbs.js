// Small pictures of the streams that are in view: one question for all of them, and only for those that are new.

const PERIOD_MS = 1000, MOST = 100;

export class Thumbs {
  #live;
  #inView; // gives the numbers of streams in view
  #arrived;
  #kept = new Map(); // by number: [version, address]
  #timer = 0;
  #asking = false;

  constructor(live, inView, arrived) {
    this.#live = live;
    this.#inView = inView;
    this.#arrived = arrived;
    this.#timer = setInterval(() => this.ask(), PERIOD_MS);
  }

  /** The address of the newest picture that is here; empty for none. */
  get(n) {
    return this.#kept.get(n)?.[1] || "";
  }

  stop() {
    clearInterval(this.#timer);
  }

  async ask() {
    if (this.#asking || !this.#live.connected || document.hidden) return;
    const due = this.#inView().filter((n) => {
      const newest = this.#live.jobs.get(n)?.thumb;
      return newest && this.#kept.get(n)?.[0] !== newest;
    }).slice(0, MOST);
    if (!due.length) return;
    this.#asking = true;
    try {
      const answer = await fetch(`/api/thumbs?of=${due.map((n) => `${n}@${this.#kept.get(n)?.[0] || ""}`).join(",")}`, { signal: AbortSignal.timeout(10000) });
      if (!answer.ok) return;
      for (const [n, [version, jpeg]] of Object.entries(await answer.json())) {
        this.#kept.set(Number(n), [version, `data:image/jpeg;base64,${jpeg}`]);
        this.#arrived(Number(n));
      }
      this.#forget();
    } catch {
      // The server is away; the page says so already.
    } finally {
      this.#asking = false;
    }
  }

  /** Pictures of streams that are out of view go, or five hundred would stay. */
  #forget() {
    const inView = new Set(this.#inView());
    for (const n of this.#kept.keys()) if (this.#kept.size > MOST && !inView.has(n)) this.#kept.delete(n);
  }
}

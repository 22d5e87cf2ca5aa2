// What the server tells, kept up to date: streams by number, the fleet, and whether anybody is there to tell.

const SILENT_MS = 7000; // the server says something every two seconds
const FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 8000;

/** Fires "change" with the numbers of streams that changed (null: all of them), and "connection". */
export class Live extends EventTarget {
  jobs = new Map();
  fleet = null;
  about = null;
  trouble = ""; // what the server says of Redis
  connected = false;
  lostAt = 0; // when the server was heard last, by our clock
  seenAt = 0; // when Redis was seen last, by the server's
  #ahead = 0; // the server's clock against ours, in seconds
  #source = null;
  #heardMs = 0;
  #waitMs = FIRST_WAIT_MS;
  #again = 0;

  constructor() {
    super();
    setInterval(() => this.#watch(), 1000);
    // A browser has six connections to a server for all its pages, and what listens keeps one: of seven, none would get
    // anything more. So only pages that are looked at listen.
    document.addEventListener("visibilitychange", () => this.#turn());
    addEventListener("pagehide", () => this.#rest());
    addEventListener("pageshow", (event) => event.persisted && this.#turn());
    addEventListener("online", () => this.#turn()); // a page that was asleep tries at once
    this.#turn();
  }

  /** The server's time. */
  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  /** The stream of a job's id. */
  byId(id) {
    for (const job of this.jobs.values()) if (job.id === id) return job;
    return null;
  }

  #turn() {
    if (document.hidden) this.#rest();
    else this.#connect();
  }

  /** Listens no more until somebody looks again, which is no trouble to be told. */
  #rest() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
    this.connected = false;
    this.lostAt = 0;
    this.dispatchEvent(new Event("connection"));
  }

  #connect() {
    clearTimeout(this.#again);
    this.#source?.close();
    const source = (this.#source = new EventSource("/api/live"));
    this.#heardMs = Date.now();
    const on = (name, act) => source.addEventListener(name, (event) => {
      this.#heard();
      act(event.data ? JSON.parse(event.data) : {});
    });
    on("whole", (told) => this.#whole(told));
    on("change", (told) => this.#change(told));
    on("trouble", (told) => this.#tell(told.text));
    on("quiet", () => {});
    source.onerror = () => this.#lost();
  }

  #heard() {
    this.#heardMs = Date.now();
    this.#waitMs = FIRST_WAIT_MS;
    if (!this.connected) {
      this.connected = true;
      this.dispatchEvent(new Event("connection"));
    }
  }

  #lost() {
    this.#source?.close();
    this.#source = null;
    if (this.connected || !this.lostAt) {
      this.connected = false;
      this.lostAt = Date.now() / 1000;
      this.dispatchEvent(new Event("connection"));
    }
    clearTimeout(this.#again);
    // Not all browsers at once when a server comes back.
    this.#again = setTimeout(() => this.#connect(), this.#waitMs * (0.5 + Math.random()));
    this.#waitMs = Math.min(LONGEST_WAIT_MS, 2 * this.#waitMs);
  }

  #watch() {
    if (this.#source && Date.now() - this.#heardMs > SILENT_MS) this.#lost();
  }

  #tell(trouble) {
    if (this.trouble === trouble) return;
    this.trouble = trouble;
    this.dispatchEvent(new Event("connection"));
  }

  #at(now) {
    this.seenAt = now;
    this.#ahead = now - Date.now() / 1000;
    this.#tell("");
  }

  #whole(told) {
    this.#at(told.now);
    this.jobs = new Map(told.jobs.map((job) => [job.n, job]));
    this.fleet = told.fleet;
    this.about = told.about;
    this.dispatchEvent(new CustomEvent("change", { detail: null }));
  }

  #change(told) {
    this.#at(told.now);
    for (const n of told.gone) this.jobs.delete(n);
    for (const news of told.jobs) {
      const job = this.jobs.get(news.n);
      if (job) Object.assign(job, news);
      else this.jobs.set(news.n, news);
    }
    if (told.fleet) this.fleet = told.fleet;
    this.dispatchEvent(new CustomEvent("change", { detail: told.jobs.map((job) => job.n) }));
  }
}

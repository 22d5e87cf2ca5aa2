// Which page is shown, and whether it is up to date.

import { askSubmit } from "./changes.js";
import { el, say } from "./dom.js";
import { Live } from "./live.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";
import { Wall } from "./wall.js";
import { clock } from "./words.js";

const live = new Live();
const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const connection = document.getElementById("connection");
const model = document.getElementById("model");
const submit = el("button", { type: "button" }, "Submit");
let page = null;

/** The page that an address names. */
function pageOf(url) {
  if (url.pathname === "/") return new Wall(live, url.searchParams);
  if (url.pathname === "/search") return new Search(live, url.searchParams);
  if (url.pathname.startsWith("/stream/")) return new Stream(live, decoded(url.pathname.slice(8)), url.searchParams);
  return null;
}

/** A part of an address as it was before it was one; as it is where somebody wrote it by hand and wrong. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show(moved) {
  page?.end();
  page = pageOf(new URL(location.href));
  if (page) main.replaceChildren(page.element);
  else main.replaceChildren(el("p", {}, "There is no such page here."));
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (moved) {
    scrollTo(0, 0);
    main.focus();
  }
  page?.begin();
}

function tell() {
  if (live.about?.changes && !submit.isConnected) document.querySelector("nav").append(submit);
  say(model, live.about ? `${live.about.model}${live.about.shard ? `, shard ${live.about.shard}` : ""}` : "");
  let text = "";
  if (!live.connected && live.lostAt) text = `No connection to the server since ${clock(live.lostAt)}. Trying again by itself.`;
  else if (live.trouble) text = `${live.trouble} ${live.seenAt ? `What is shown is as of ${clock(live.seenAt)}. ` : ""}Trying again by itself.`;
  trouble.hidden = !text;
  say(trouble, text);
  say(connection, text ? "not up to date" : live.connected ? "up to date" : "connecting");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-inside]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (link.href !== location.href) history.pushState(null, "", link.href);
  show(true);
});
addEventListener("popstate", () => show(true));
submit.addEventListener("click", askSubmit);
live.addEventListener("connection", tell);
live.addEventListener("change", tell);
show(false);
tell();

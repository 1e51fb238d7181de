// A convenience over pages that work without: a submission's page keeps itself up to date. The server
// renders everything; we only exchange parts of the page.
"use strict";

const html = globalThis.trustedTypes
  ? trustedTypes.createPolicy("autodl", { createHTML: (text) => text }) // our own pages only
  : { createHTML: (text) => text };
const parse = (text) => new DOMParser().parseFromString(html.createHTML(text), "text/html");

function exchange(fresh) {
  document.title = fresh.title;
  for (const old of document.querySelectorAll("[data-optional]")) {
    if (!fresh.getElementById(old.id)) old.remove();
  }
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now) {
      old.remove();
    } else if (now.outerHTML !== old.outerHTML) {
      const open = [...old.querySelectorAll("details")].map((d) => d.open);
      now.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? false; });
      const atEnd = old.scrollTop + old.clientHeight >= old.scrollHeight - 4;
      old.replaceWith(document.adoptNode(now));
      if (now.tagName === "PRE" && atEnd) now.scrollTop = now.scrollHeight;
    }
  }
}

function follow(address) {
  let wanted = false;
  let busy = false;
  async function refresh() {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
      if (answer && answer.ok) exchange(parse(await answer.text()));
      await new Promise((done) => setTimeout(done, 400)); // a burst of events is one refresh
    }
    busy = false;
  }
  const source = new EventSource(address);
  for (const kind of ["state", "queue", "point", "log"]) source.addEventListener(kind, refresh);
  source.addEventListener("done", () => { source.close(); refresh(); });
}

const followed = document.querySelector("[data-events]");
if (followed) follow(followed.dataset.events);

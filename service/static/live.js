// What others do meanwhile: counts, who holds which item, and that this one is lost.

import { find, findAll, onPage } from "./page.js";

const HIDDEN_FOR = 30000;

// One stream for the page that is shown. What it cannot tell, loading the page tells.
onPage((main, leaving) => {
  const item = find("[data-live-item]:not([data-live-item=''])", main);
  const lines = findAll("[data-item]", main);
  if (!window.EventSource || !(item || find("[data-count]", main))) return;
  const ids = item ? [item.dataset.liveItem] : lines.map((line) => line.dataset.item);
  const listen = { signal: leaving };
  let stream = null;
  let timer = 0;

  function open() {
    clearTimeout(timer);
    if (leaving.aborted || (stream && stream.readyState !== EventSource.CLOSED)) return;
    stream = new EventSource(`/live?items=${ids.join()}`);
    stream.addEventListener("changed", (event) => {
      const told = JSON.parse(event.data);
      showCounts(told.counts || {});
      for (const line of lines) if (told.items && told.items[line.dataset.item]) showLine(line, told.items[line.dataset.item]);
      if (item && told.items && told.items[item.dataset.liveItem]) showItem(item, told.items[item.dataset.liveItem]);
    });
  }

  function close() {
    clearTimeout(timer);
    if (stream) stream.close();
    stream = null;
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(close, HIDDEN_FOR);
    else open();
  }, listen);
  addEventListener("pagehide", close, listen);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); }, listen);
  leaving.addEventListener("abort", close);
  // Not before the page has all that it shows.
  if (document.readyState !== "complete") addEventListener("load", () => setTimeout(() => { if (!document.hidden) open(); }), listen);
  else if (!document.hidden) open();
});

function showCounts(counts) {
  for (const [name, count] of Object.entries(counts)) {
    for (const place of findAll(`[data-count=${name}]`)) {
      place.textContent = count.toLocaleString("en-GB");
      if (name === "overdue") place.parentElement.hidden = !count;
      if (name !== "unread") continue;
      place.parentElement.hidden = !count;
      place.closest("a").classList.toggle("quiet", !count);
    }
  }
}

function named(name) {
  const told = document.createElement("span");
  told.dir = "auto";
  told.textContent = name;
  return told;
}

function showLine(line, now) {
  const cell = find(".holder", line);
  const dot = document.createElement("span");
  dot.className = "dot";
  dot.ariaHidden = "true";
  const free = document.createElement("span");
  free.className = "muted";
  free.textContent = now.gone ? "no longer open" : "free";
  line.classList.toggle("held", Boolean(now.by));
  line.classList.toggle("gone", now.gone);
  cell.replaceChildren(...(now.by ? [dot, named(now.by)] : [free]));
}

function showItem(item, now) {
  const form = find("#decision-form", item);
  if (form) {
    if (now.gone || (now.by && !now.mine)) form.dispatchEvent(new CustomEvent("taken", { detail: now }));
    return;
  }
  const told = find("#live", item);
  const before = item.dataset.heldBy;
  const after = now.by || "";
  if (!told || now.mine || (!now.gone && before === after && !told.textContent)) return;
  const again = document.createElement("a");
  again.href = location.href;
  again.textContent = "Load the page again";
  if (now.gone) told.replaceChildren("This item is no longer open. ", again, " to see what became of it.");
  else if (after) told.replaceChildren(named(after), " has taken this item.");
  else told.replaceChildren("Nobody holds this item any more. ", again, " to take it.");
}

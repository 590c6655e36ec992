// The next item, ready before it is asked for.

import { lastPressed } from "./keys.js";
import { begin, find, findAll, pageOf, postForHtml, say } from "./page.js";

let ahead = null; // { path, fence, mark, page }
let shown = location.pathname + location.search;
const assets = (page) => findAll("link[rel=stylesheet], script[src]", page).map((one) => one.getAttribute("href") || one.getAttribute("src")).join();

export async function prepare(form, leaving) {
  if (ahead) return;
  try {
    const body = new URLSearchParams({ fence: form.elements.fence.value });
    const answer = await postForHtml(form.dataset.next, body, leaving);
    if (answer.status !== 200) return;
    const at = new URL(answer.headers.get("Content-Location"), location.href);
    const page = pageOf(await answer.text());
    if (leaving.aborted || assets(page) !== assets(document)) return;
    ahead = { path: at.pathname, fence: at.searchParams.get("fence"), mark: answer.headers.get("ETag"), page };
    form.dataset.prepared = ahead.path;
  } catch { /* the next item comes the slow way */ }
}

function letGo() {
  if (ahead) navigator.sendBeacon(`${ahead.path}/unreserve`, new URLSearchParams({ fence: ahead.fence }));
  ahead = null;
}
addEventListener("pagehide", letGo);

function complete(page, { until, settled }) {
  const held = find("#held-until time", page);
  if (held) held.dateTime = until;
  const link = settled && find(".done p a", page);
  if (link) link.before(`${settled} `);
  return page;
}

async function anew(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    const page = pageOf(await answer.text());
    return answer.ok && assets(page) === assets(document) ? page : null;
  } catch { return null; }
}

// To the next item as the answer to a decision tells it: `next`, its address; `mark`, by which the page made earlier is known to
// show what is there; and what that page cannot know: `until` when the item is ours, and what the decision `settled`.
export async function go(told) {
  const at = new URL(told.next, location.href);
  const ready = ahead && ahead.path === at.pathname && ahead.fence === at.searchParams.get("fence") ? ahead : null;
  const page = ready && (ready.mark === `"${told.mark}"` ? complete(ready.page, told) : await anew(told.next));
  if (!page) { location.assign(told.next); return; }
  ahead = null;
  find("#main").replaceWith(document.adoptNode(find("#main", page)));
  document.title = page.title;
  document.body.className = page.body.className;
  history.pushState(null, "", told.next);
  shown = location.pathname + location.search;
  begin();
  const notice = find(".done p");
  say(notice ? notice.textContent : "");
  const flagged = find("#flagged") || find("#main");
  flagged.focus({ preventScroll: true });
  flagged.scrollIntoView({ behavior: "instant" });
  const start = lastPressed();
  requestAnimationFrame(() => setTimeout(() => performance.measure("next item on screen", { start, end: performance.now() })));
}
// Back and forward load the page anew: what was decided is shown as decided.
addEventListener("popstate", () => { if (location.pathname + location.search !== shown) location.reload(); });

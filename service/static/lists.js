// Lists and notices: going through lines by keys, filters, the search, the offer to undo.

import { focusOn, onKey, submit } from "./keys.js";
import { begin, find, findAll, onPage, pageOf } from "./page.js";

onKey("n", () => submit("#next-form"));
onKey("u", () => submit("#undo-form"));

onKey("/", () => {
  const field = find(".top [role=search] input:not([type=hidden])") || find("main [role=search] input[type=search]");
  if (!field) { location.assign("/search"); return true; }
  field.focus();
  field.select();
  return true;
});

// --- from one to the next ---------------------------------------------------------------------------------------------

const READ = ".note, .second-look"; // what is read where it stands
const OPENED = "main a[data-walk]"; // a line's link: Enter opens it

function walk(step, stops) {
  const all = findAll(stops);
  const here = all.indexOf(document.activeElement.closest(stops));
  const next = all[here < 0 && step < 0 ? all.length - 1 : here + step];
  if (!next) return false;
  const folded = next.closest("details.fold");
  if (folded) folded.open = true;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: next.matches(READ) ? "center" : "nearest" });
  return true;
}
onKey("j", () => walk(1, READ) || walk(1, OPENED));
onKey("k", () => walk(-1, READ) || walk(-1, OPENED));
// In a list arrows scroll, as they do where no evidence is left in their direction.
onKey(["ArrowDown"], () => walk(1, READ));
onKey(["ArrowUp"], () => walk(-1, READ));

// --- filters, the offer to undo, the search ---------------------------------------------------------------------------

onPage((main) => {
  const filters = find("form[data-auto-submit]", main);
  if (filters) filters.addEventListener("change", () => filters.requestSubmit());
});

onPage((main, leaving) => {
  const undo = find("#undo-form[data-seconds]", main);
  if (!undo) return;
  const timer = setTimeout(() => undo.remove(), Number(undo.dataset.seconds) * 1000);
  leaving.addEventListener("abort", () => clearTimeout(timer));
});

// A search by meaning waits for a worker: ask again until the finds are there.
onPage((main, leaving) => {
  if (!find("#results[data-waiting]", main)) return;
  const timer = setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: leaving });
      const page = pageOf(await answer.text());
      find("#results").replaceWith(document.adoptNode(find("#results", page)));
      begin();
    } catch { if (!leaving.aborted) location.reload(); }
  }, 500);
  leaving.addEventListener("abort", () => clearTimeout(timer));
});

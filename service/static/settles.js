// What saving would do: to the look-alikes, and to recent traffic.

import { find, findAll, onPage, post, showTimes } from "./page.js";

onPage((main, leaving) => {
  const form = find("#decision-form", main);
  if (!form || !find("#settles", main)) return;
  let timer = 0;
  let asking = new AbortController();

  function ask(address) {
    clearTimeout(timer);
    asking.abort();
    asking = new AbortController();
    return post(address, new URLSearchParams(new FormData(form)), { signal: asking.signal });
  }

  async function look() {
    try {
      const preview = find("#preview");
      const got = await ask(preview.dataset.preview);
      if (got.ok && !leaving.aborted) preview.innerHTML = await got.text();
    } catch { /* the next change asks again */ }
  }

  function lookSoon() {
    clearTimeout(timer);
    timer = setTimeout(look, 350);
  }

  // What is ticked by now goes along and comes back; the focus goes on to the first that is new.
  async function showMore(button) {
    const before = findAll("#settles .alike").length;
    button.setAttribute("aria-disabled", "true");
    try {
      const got = await ask(button.formAction);
      if (!got.ok) throw new Error(got.statusText);
      find("#settles").outerHTML = await got.text();
      begun();
      const first = findAll("#settles .alike")[before] || find("#rest");
      if (first) first.focus();
    } catch {
      if (leaving.aborted) return;
      button.removeAttribute("aria-disabled");
      find("#rest").textContent = "No connection to the server; ask again.";
    }
  }

  function tick(all) {
    for (const box of findAll("#settles input[type=checkbox]:not(:disabled)")) box.checked = all;
    form.dispatchEvent(new Event("input"));
  }

  function begun() {
    showTimes(find("#settles"));
    for (const one of findAll("#settles [data-script-shows]")) one.hidden = false;
  }

  form.addEventListener("input", (event) => {
    if (event.target.name !== "comment" && event.target.name !== "causes") lookSoon();
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("#settles button");
    if (!button || !(button.dataset.tick || "more" in button.dataset)) return;
    event.preventDefault();
    if (button.dataset.tick) tick(button.dataset.tick === "all");
    else if (!button.ariaDisabled) showMore(button);
  });
  begun();
  leaving.addEventListener("abort", () => { clearTimeout(timer); asking.abort(); });
});

// --- the impact of an answer: asked for, then waited for ---------------------------------------------------------------

const PATIENCE = [300, 500, 1000, 1000, 2000, 2000, 4000, 4000, 8000, 8000];

onPage((main, leaving) => {
  const button = find("[data-impact]", main);
  if (!button) return;
  const place = document.getElementById(button.dataset.impact);
  let turn = 0;

  async function wait(address, mine) {
    for (const pause of PATIENCE) {
      await new Promise((done) => setTimeout(done, pause));
      if (leaving.aborted || mine !== turn) return;
      const got = await fetch(address, { credentials: "same-origin", signal: leaving });
      if (!got.ok) return;
      place.innerHTML = await got.text();
      showTimes(place);
      if (!find("[data-waiting]", place)) return;
    }
    place.textContent = "Still being computed: press the button again in a while.";
  }

  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const mine = ++turn;
    place.textContent = "Asking…";
    try {
      const got = await post(button.formAction, new URLSearchParams(new FormData(button.form)));
      const told = await got.json();
      if (mine !== turn) return;
      place.textContent = got.ok ? "Being computed over recent traffic." : String(told.detail);
      if (got.ok) await wait(told.impact, mine);
    } catch {
      if (!leaving.aborted && mine === turn) place.textContent = "No connection to the server; ask again.";
    }
  });
  const waiting = find("[data-waiting]", place);
  if (waiting) wait(waiting.dataset.waiting, turn).catch(() => {});
});

// The decision: keep the item, keep the words, save.

import { go, prepare } from "./ahead.js";
import { focusOn, onKey, submit } from "./keys.js";
import { clock, find, findAll, onPage, post, showTime } from "./page.js";

onKey("123456", (key) => {
  const chosen = findAll("#decision-form input[name=label]")[Number(key) - 1];
  if (!chosen) return false;
  chosen.focus({ preventScroll: true }); // Enter saves from here
  if (!chosen.checked) chosen.click();
  return true;
});
onKey("s", () => submit("#skip-form"));
onKey("a", () => focusOn("#decision-form [name=answer]"));
onKey("i", () => focusOn("#decision-form [name=intent]"));
onKey("c", () => focusOn("#decision-form [name=comment]"));
onKey("f", () => {
  const flagged = find("#flagged");
  if (flagged) flagged.scrollIntoView();
  return Boolean(flagged);
});

onPage((main, leaving) => {
  const form = find("#decision-form", main);
  if (!form) return;
  const lost = find("#lost");
  const until = find("#held-until time");
  const status = find("#draft-status");
  const save = find("#save");
  const lease = Number(form.dataset.lease) * 1000;
  const listen = { signal: leaving };
  let active = Date.now();
  let saved = false;
  let over = false; // saved, or the item is no longer ours
  let sending = false;
  let timer = 0;
  let saving = null;

  function tell(text) {
    if (lost.textContent !== text) lost.textContent = text;
    lost.hidden = !text;
  }

  async function heartbeat() {
    // A page left open must not hold the item for ever: without a sign of life from the person it comes back to the queue.
    if (over || sending || Date.now() - active > lease) return;
    try {
      const answer = await post(form.dataset.heartbeat, new URLSearchParams({ fence: form.elements.fence.value }), listen);
      if (answer.ok) {
        if (!sending) tell("");
        const held = await answer.json();
        if (until) { until.dateTime = held.until; showTime(until); }
        prepare(form, leaving);
      } else if (answer.status === 410 && !sending) {
        tell((await answer.json()).detail);
        over = true;
      } else if (answer.status === 409 && !sending) {
        tell("This item is no longer yours: somebody else took it, or it is decided. What you typed stays here and in your draft.");
        saveDraft();
        over = true;
      } else if (answer.status === 401) {
        tell("You are signed out. Sign in again in another tab; what you typed stays here.");
      }
    } catch {
      if (leaving.aborted) return;
      tell("No connection to the server. What you typed stays here; it is saved once the connection is back.");
      plan();
    }
  }

  async function saveDraft(more = {}) {
    clearTimeout(timer);
    timer = 0;
    if (saving) saving.abort();
    const mine = (saving = new AbortController());
    try {
      const answer = await post(form.dataset.draft, new URLSearchParams(new FormData(form)), { signal: mine.signal, ...more });
      if (mine.signal.aborted || leaving.aborted) return;
      status.textContent = answer.ok ? `Draft saved ${clock.format(new Date())}` : "The draft could not be saved";
    } catch {
      if (mine.signal.aborted || leaving.aborted) return;
      status.textContent = "The draft could not be saved; trying again";
      plan(10000);
    }
  }

  function plan(after = 2000) {
    if (saved || sending) return;
    clearTimeout(timer);
    timer = setTimeout(() => saveDraft(), after);
  }

  function busy(now) {
    sending = now;
    save.setAttribute("aria-disabled", now);
    save.textContent = now ? "Saving…" : "Save and next";
  }

  async function decide() {
    busy(true);
    tell("");
    clearTimeout(timer); // a draft saved after the decision would come back as if it had not been made
    if (saving) saving.abort();
    status.textContent = "";
    let trouble = "";
    try {
      const answer = await post(form.action, new URLSearchParams(new FormData(form)));
      const told = await answer.json();
      if (answer.ok) {
        saved = over = true;
        go(told);
        return;
      }
      trouble = answer.status === 401 ? "You are signed out. Sign in again in another tab, then save again." : told.detail;
      if (typeof trouble !== "string") trouble = "The form holds something that does not fit. Load the page again; your draft stays.";
    } catch {
      trouble = "Not saved: no connection to the server. What you typed stays here; save again.";
    }
    busy(false);
    tell(trouble.charAt(0).toUpperCase() + trouble.slice(1));
    saveDraft();
  }

  form.addEventListener("submit", (event) => {
    const elsewhere = event.submitter && event.submitter.getAttribute("formaction");
    if (elsewhere && elsewhere !== form.dataset.draft) return;
    event.preventDefault();
    if (sending || saved) return; // a double click decides once
    if (elsewhere) saveDraft();
    else decide();
  });
  form.addEventListener("input", () => plan());
  form.addEventListener("taken", (event) => {
    if (over || sending) return;
    const why = event.detail.gone ? "This item is no longer open: it is decided, or was taken out of the queue" : `Your time is over: ${event.detail.by} has it now`;
    tell(`${why}. What you typed stays here and in your draft.`);
    saveDraft();
    over = true;
  });
  // Back to this page from the browser's memory: look at once whether the item is still ours.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    saved = over = false;
    active = Date.now();
    heartbeat();
  }, listen);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && timer && !saved && !sending) saveDraft({ keepalive: true });
  }, listen);
  for (const name of ["pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(name, () => { active = Date.now(); }, { passive: true, capture: true, signal: leaving });
  }
  const beat = setInterval(heartbeat, Math.min(60000, lease / 3));
  const soon = setTimeout(() => prepare(form, leaving), 150);
  leaving.addEventListener("abort", () => { clearInterval(beat); clearTimeout(soon); clearTimeout(timer); });
});

// Keys, drafts, leases and local times. Every page works without this file.
"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const form = find("#decision-form");
  const editing = form || find("form[data-submit-keys]");
  document.documentElement.classList.add("scripted");

  // --- times in the reviewer's zone ---------------------------------------------------------------------------------

  const full = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const zoned = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

  function showTime(element) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) return;
    element.textContent = (element.dataset.show === "clock" ? clock : full).format(at);
    element.title = zoned.format(at);
  }
  document.querySelectorAll("time[data-show]").forEach(showTime);

  // --- keys ---------------------------------------------------------------------------------------------------------

  const KEYS_OFF = "triage-keys-off";
  const help = find("#keys");
  const toggle = find("[data-keys-on]");
  let keysOn = true;
  try { keysOn = !localStorage.getItem(KEYS_OFF); } catch { /* no storage: keys stay on */ }
  if (toggle) {
    toggle.checked = keysOn;
    toggle.addEventListener("change", () => {
      keysOn = toggle.checked;
      try { keysOn ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"); } catch { /* for this page only */ }
    });
  }
  const helpButton = find("[data-keys-help]");
  if (help && helpButton) {
    helpButton.hidden = false;
    helpButton.addEventListener("click", () => help.showModal());
  }

  function isTyping(target) {
    if (target.isContentEditable || target.matches("textarea, select")) return true;
    return target.matches("input") && !["radio", "checkbox", "button", "submit"].includes(target.type);
  }

  function choose(number) {
    const choices = form ? form.querySelectorAll("input[name=label]") : [];
    const chosen = choices[number - 1];
    if (!chosen) return false;
    chosen.checked = true;
    chosen.focus({ preventScroll: true }); // Enter saves from here
    chosen.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }

  const single = {
    n: () => { const next = find("#next-form"); if (!next) return false; next.requestSubmit(); return true; },
    a: () => { const answer = form && form.elements.answer; if (!answer) return false; answer.focus(); return true; },
    f: () => { const flagged = find("#flagged"); if (!flagged) return false; flagged.scrollIntoView(); return true; },
    "?": () => { if (!help) return false; help.showModal(); return true; },
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.repeat || (help && help.open)) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && editing) {
      event.preventDefault();
      editing.requestSubmit();
      return;
    }
    if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const done = /^[1-6]$/.test(event.key) ? choose(Number(event.key)) : single[event.key] && single[event.key]();
    if (done) event.preventDefault();
  });

  // --- lists --------------------------------------------------------------------------------------------------------

  const filters = find("form[data-auto-submit]");
  if (filters) filters.addEventListener("change", () => filters.requestSubmit());

  if (!form) return;

  // --- the decision: keep the item, keep the words --------------------------------------------------------------------

  const lost = find("#lost");
  const until = find("#held-until time");
  const status = find("#draft-status");
  const lease = Number(form.dataset.lease) * 1000;
  let active = Date.now();
  let over = false; // submitted, or the item is no longer ours
  let timer = 0;
  let saving = null;

  function tell(text) {
    if (lost.textContent !== text) lost.textContent = text;
    lost.hidden = !text;
  }

  function post(address, body, more) {
    return fetch(address, { method: "POST", body, headers: { Accept: "application/json" }, credentials: "same-origin", ...more });
  }

  async function heartbeat() {
    // A page left open must not hold the item for ever: without a sign of life from the person it comes back to the queue.
    if (over || Date.now() - active > lease) return;
    try {
      const answer = await post(form.dataset.heartbeat, new URLSearchParams({ fence: form.elements.fence.value }));
      if (answer.ok) {
        tell("");
        const held = await answer.json();
        if (until) { until.dateTime = held.until; showTime(until); }
      } else if (answer.status === 409) {
        tell("This item is no longer yours: somebody else took it, or it is decided. What you typed stays here and in your draft.");
        saveDraft();
        over = true;
      } else if (answer.status === 401) {
        tell("You are signed out. Sign in again in another tab; what you typed stays here.");
      }
    } catch {
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
      if (mine.signal.aborted) return;
      status.textContent = answer.ok ? `Draft saved ${clock.format(new Date())}` : "The draft could not be saved";
    } catch {
      if (mine.signal.aborted) return;
      status.textContent = "The draft could not be saved; trying again";
      plan(10000);
    }
  }

  function plan(after = 2000) {
    if (over) return;
    clearTimeout(timer);
    timer = setTimeout(() => saveDraft(), after);
  }

  form.addEventListener("input", () => plan());
  form.addEventListener("submit", () => {
    over = true; // a draft saved after the decision would come back as if it had not been made
    clearTimeout(timer);
    if (saving) saving.abort();
  });
  // Back to this page from the browser's memory: look at once whether the item is still ours.
  addEventListener("pageshow", (event) => { if (event.persisted) { over = false; active = Date.now(); heartbeat(); } });
  document.addEventListener("visibilitychange", () => { if (document.hidden && timer && !over) saveDraft({ keepalive: true }); });
  for (const name of ["pointermove", "keydown", "scroll", "touchstart"]) {
    addEventListener(name, () => { active = Date.now(); }, { passive: true, capture: true });
  }
  setInterval(heartbeat, Math.min(60000, lease / 3));

  // "Change article K" begins with that article's answer, unless something is written already.
  let filled = "";
  form.addEventListener("change", (event) => {
    if (event.target.name !== "article") return;
    const answer = form.elements.answer;
    if (answer.value.trim() && answer.value !== filled) return;
    const source = event.target.dataset.answer;
    filled = source ? document.getElementById(source).textContent : "";
    answer.value = filled;
  });
})();

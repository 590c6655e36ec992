// Keys, drafts, leases, the next item and local times. Every page works without this file.
"use strict";

(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // What a page needs, for each page that is shown: with the first one, and with each that takes its place without loading.
  // `leaving` is aborted when the page goes: give it to listeners, requests and timers.
  const starts = [];
  let leaving = new AbortController();

  function begin() {
    leaving.abort();
    leaving = new AbortController();
    for (const start of starts) start(find("#main"), leaving.signal);
  }

  function post(address, body, more = {}) {
    return fetch(address, { method: "POST", body, credentials: "same-origin", headers: { Accept: "application/json" }, ...more });
  }

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
  starts.push((main) => findAll("time[data-show]", main).forEach(showTime));

  // --- keys ---------------------------------------------------------------------------------------------------------

  const KEYS_OFF = "triage-keys-off";
  const help = find("#keys");
  const toggle = find("[data-keys-on]");
  let keysOn = true;
  let pressed = 0; // when the person last did something: the start of what we measure
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
    const chosen = findAll("#decision-form input[name=label]")[number - 1];
    if (!chosen) return false;
    chosen.focus({ preventScroll: true }); // Enter saves from here
    if (!chosen.checked) chosen.click();
    return true;
  }

  function focusOn(selector) {
    const field = find(selector);
    if (field) field.focus();
    return Boolean(field);
  }

  function submit(selector) {
    const form = find(selector);
    if (form) form.requestSubmit();
    return Boolean(form);
  }

  function search() {
    const field = find(".top [role=search] input:not([type=hidden])") || find("main [role=search] input[type=search]");
    if (!field) { location.assign("/search"); return true; }
    field.focus();
    field.select();
    return true;
  }

  // On the page of labels a key answers the label that has the focus, never another.
  function answer(number) {
    const button = find(`.second-look:focus-within [data-answer="${number}"]`);
    if (button) button.form.requestSubmit(button);
    return Boolean(button);
  }

  function anotherIntent() {
    const field = find(".second-look:focus-within [list]");
    if (!field) return false;
    field.closest("details").open = true;
    field.focus();
    return true;
  }

  function evidence(step) {
    const notes = findAll(".note, .second-look");
    const here = notes.indexOf(document.activeElement.closest(".note, .second-look"));
    const next = notes[here < 0 && step < 0 ? notes.length - 1 : here + step];
    if (!next) return false;
    const folded = next.closest("details.fold");
    if (folded) folded.open = true;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "center" });
    return true;
  }

  const single = {
    n: () => submit("#next-form"),
    u: () => submit("#undo-form"),
    s: () => submit("#skip-form"),
    a: () => focusOn("#decision-form [name=answer]"),
    i: () => focusOn("#decision-form [name=intent]") || anotherIntent(),
    c: () => focusOn("#decision-form [name=comment]"),
    f: () => { const flagged = find("#flagged"); if (flagged) flagged.scrollIntoView(); return Boolean(flagged); },
    j: () => evidence(1),
    k: () => evidence(-1),
    "/": search,
    "?": () => { if (help) help.showModal(); return Boolean(help); },
  };
  // Arrows keep their own meaning in fields, and scroll where no evidence is left in their direction.
  const arrows = { ArrowDown: () => evidence(1), ArrowUp: () => evidence(-1) };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.defaultPrevented || event.isComposing || event.repeat || (help && help.open)) return;
    pressed = event.timeStamp;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const editing = find("#decision-form") || find("form[data-submit-keys]");
      if (!editing) return;
      event.preventDefault();
      editing.requestSubmit();
      return;
    }
    if (event.key === "Escape" && isTyping(target)) { target.blur(); return; }
    if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    let done = false;
    if (/^[1-6]$/.test(key)) done = choose(Number(key)) || answer(Number(key));
    else if (arrows[key]) done = !event.shiftKey && !target.closest("input, .told-rest, .panel, [role=region]") && arrows[key]();
    else if (Object.hasOwn(single, key)) done = single[key]();
    if (done) event.preventDefault();
  });
  document.addEventListener("click", (event) => { pressed = event.timeStamp; }, { capture: true });

  // --- lists and notices --------------------------------------------------------------------------------------------

  starts.push((main) => {
    const filters = find("form[data-auto-submit]", main);
    if (filters) filters.addEventListener("change", () => filters.requestSubmit());
  });

  starts.push((main, leaving) => {
    const undo = find("#undo-form[data-seconds]", main);
    if (!undo) return;
    const timer = setTimeout(() => undo.remove(), Number(undo.dataset.seconds) * 1000);
    leaving.addEventListener("abort", () => clearTimeout(timer));
  });

  // A search by meaning waits for a worker: ask again until the finds are there.
  starts.push((main, leaving) => {
    if (!find("#results[data-waiting]", main)) return;
    const timer = setTimeout(async () => {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: leaving });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        find("#results").replaceWith(document.adoptNode(find("#results", page)));
        begin();
      } catch { if (!leaving.aborted) location.reload(); }
    }, 500);
    leaving.addEventListener("abort", () => clearTimeout(timer));
  });

  // --- what others do meanwhile -----------------------------------------------------------------------------------------

  const HIDDEN_FOR = 30000;

  // One stream for the page that is shown. What it cannot tell, loading the page tells.
  starts.push((main, leaving) => {
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

  // --- the next item, ready before it is asked for --------------------------------------------------------------------

  let ahead = null; // { address, item, fence, main, title, looks }
  let shown = location.pathname + location.search;
  const assets = (page) => findAll("link[rel=stylesheet], script[src]", page).map((one) => one.getAttribute("href") || one.getAttribute("src")).join();

  async function prepare(form, leaving) {
    if (ahead) return;
    try {
      const body = new URLSearchParams({ fence: form.elements.fence.value });
      const answer = await post(form.dataset.next, body, { headers: { Accept: "text/html" }, signal: leaving });
      if (answer.status !== 200) return;
      const address = answer.headers.get("Content-Location");
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (leaving.aborted || assets(page) !== assets(document)) return;
      const at = new URL(address, location.href);
      ahead = { address, path: at.pathname, fence: at.searchParams.get("fence"), page };
      form.dataset.prepared = ahead.path;
    } catch { /* the next item comes the slow way */ }
  }

  function letGo() {
    if (ahead) navigator.sendBeacon(`${ahead.path}/unreserve`, new URLSearchParams({ fence: ahead.fence }));
    ahead = null;
  }
  addEventListener("pagehide", letGo);

  function go(address, until) {
    const at = new URL(address, location.href);
    const ready = ahead && ahead.path === at.pathname && ahead.fence === at.searchParams.get("fence") ? ahead : null;
    if (!ready) { location.assign(address); return; }
    ahead = null;
    const held = find("#held-until time", ready.page);
    if (held) held.dateTime = until;
    find("#main").replaceWith(document.adoptNode(find("#main", ready.page)));
    document.title = ready.page.title;
    document.body.className = ready.page.body.className;
    history.pushState(null, "", address);
    shown = location.pathname + location.search;
    begin();
    const flagged = find("#flagged") || find("#main");
    flagged.focus({ preventScroll: true });
    flagged.scrollIntoView({ behavior: "instant" });
    const start = pressed;
    requestAnimationFrame(() => setTimeout(() => performance.measure("next item on screen", { start, end: performance.now() })));
  }
  // Back and forward load the page anew: what was decided is shown as decided.
  addEventListener("popstate", () => { if (location.pathname + location.search !== shown) location.reload(); });

  // --- the decision: keep the item, keep the words, save ----------------------------------------------------------------

  starts.push((main, leaving) => {
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
          go(told.next, told.until);
          const notice = told.settled && find("#main .done p");
          if (notice) notice.prepend(`${told.settled} `);
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

  // --- the corrected answer: where it starts from, and what it changes ----------------------------------------------------

  const FAILED = ["wrong", "incomplete", "unsafe", "unclear"];

  starts.push((main, leaving) => {
    const form = find("#decision-form", main);
    if (!form) return;
    const answer = form.elements.answer;
    const note = find("#suggested");
    const offered = note ? find("#suggested-text").textContent : "";
    const difference = find("#difference");
    let declined = false;
    let filled = offered;
    let timer = 0;
    let asking = new AbortController();

    function goesTo(article) {
      const choice = form.querySelector(`input[name=article][value="${article}"]`);
      if (choice) choice.checked = true;
    }

    // A bad answer's correction begins with the best text there is; what is typed is never replaced.
    function suggest() {
      const failed = FAILED.includes(form.elements.label.value);
      if (!note || declined || !failed || answer.value.trim()) return;
      answer.value = offered;
      goesTo(note.dataset.article);
      note.hidden = false;
    }

    function takeAway() {
      if (!note || answer.value !== offered) return;
      answer.value = "";
      goesTo("");
      note.hidden = true;
    }

    async function compare() {
      asking.abort();
      asking = new AbortController();
      try {
        const body = new URLSearchParams(new FormData(form));
        const got = await post(form.dataset.difference, body, { headers: { Accept: "text/html" }, signal: asking.signal });
        if (got.ok && !leaving.aborted) difference.innerHTML = await got.text();
      } catch { /* the next change asks again */ }
    }

    function compareSoon() {
      clearTimeout(timer);
      timer = setTimeout(compare, 350);
    }

    form.addEventListener("change", (event) => {
      if (event.target.name === "label") {
        if (FAILED.includes(event.target.value)) suggest();
        else takeAway();
        compareSoon();
      }
      if (event.target.name !== "article") return;
      // "Change article K" begins with that article's answer, unless something is written already.
      if (!answer.value.trim() || answer.value === filled) {
        const source = event.target.dataset.answer;
        filled = source ? document.getElementById(source).textContent : "";
        answer.value = filled;
        if (note) note.hidden = true;
      }
      compareSoon();
    });
    answer.addEventListener("input", () => {
      if (note && answer.value !== offered) note.hidden = true;
      compareSoon();
    });
    if (note) {
      note.hidden = !answer.value || answer.value !== offered;
      find("#suggested-clear").addEventListener("click", () => {
        declined = true;
        takeAway();
        answer.focus();
        compareSoon();
      });
    }
    // What is typed as an intent goes before what is picked, and says so.
    form.elements.intent.addEventListener("input", () => {
      const leave = form.querySelector("input[name=picked][value='']");
      if (form.elements.intent.value.trim() && leave) leave.checked = true;
    });
    for (const choice of form.querySelectorAll("input[name=picked]")) {
      choice.addEventListener("change", () => { if (choice.value) form.elements.intent.value = ""; });
    }
    leaving.addEventListener("abort", () => { clearTimeout(timer); asking.abort(); });
  });

  // --- look-alikes and impact: what saving would do -----------------------------------------------------------------------

  starts.push((main, leaving) => {
    const form = find("#decision-form", main);
    const preview = find("#preview", main);
    if (!form || !preview) return;
    let timer = 0;
    let asking = new AbortController();

    async function look() {
      asking.abort();
      asking = new AbortController();
      try {
        const body = new URLSearchParams(new FormData(form));
        const got = await post(preview.dataset.preview, body, { signal: asking.signal });
        if (got.ok && !leaving.aborted) preview.innerHTML = await got.text();
      } catch { /* the next change asks again */ }
    }

    form.addEventListener("input", (event) => {
      if (event.target.name === "comment" || event.target.name === "causes") return;
      clearTimeout(timer);
      timer = setTimeout(look, 350);
    });
    leaving.addEventListener("abort", () => { clearTimeout(timer); asking.abort(); });
  });

  const PATIENCE = [300, 500, 1000, 1000, 2000, 2000, 4000, 4000, 8000, 8000];

  starts.push((main, leaving) => {
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
        findAll("time[data-show]", place).forEach(showTime);
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

  begin();
})();

// The corrected answer: where it starts from, and what it changes.

import { find, onPage, postForHtml } from "./page.js";

const FAILED = ["wrong", "incomplete", "unsafe", "unclear"];

onPage((main, leaving) => {
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
      const got = await postForHtml(form.dataset.difference, body, asking.signal);
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

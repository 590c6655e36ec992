// What every part of the script needs: finding, asking the server, times, and the beginning and end of a page.

export const find = (selector, within = document) => within.querySelector(selector);
export const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];

const starts = [];
let leaving = new AbortController();

// `start(main, leaving)` runs for each page that is shown: the first one, and each that takes its place without loading.
// `leaving` is aborted when the page goes: give it to listeners, requests and timers.
export function onPage(start) {
  starts.push(start);
}

export function begin() {
  leaving.abort();
  leaving = new AbortController();
  for (const start of starts) start(find("#main"), leaving.signal);
}

export function post(address, body, more = {}) {
  return fetch(address, { method: "POST", body, credentials: "same-origin", headers: { Accept: "application/json" }, ...more });
}

// A part of a page, or a whole one.
export function postForHtml(address, body, signal) {
  return post(address, body, { headers: { Accept: "text/html" }, signal });
}

export function pageOf(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// For those who hear the page: what a page that took another's place has to say, which is no change within it.
export function say(text) {
  find("#said").textContent = text;
}

// --- times in the reviewer's zone -------------------------------------------------------------------------------------

const full = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const zoned = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
export const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export function showTime(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  element.textContent = (element.dataset.show === "clock" ? clock : full).format(at);
  element.title = zoned.format(at);
}

export function showTimes(within) {
  findAll("time[data-show]", within).forEach(showTime);
}
onPage(showTimes);

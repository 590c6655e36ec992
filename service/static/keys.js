// Single keys: who answers them, when they count, and the list of them.

import { find } from "./page.js";

const KEYS_OFF = "triage-keys-off";
const answers = new Map(); // by key: functions, of which the first that has something to do does it
const help = find("#keys");
let keysOn = true;
let pressed = 0;

// `action(key, target)` says whether it had something to do on this page.
export function onKey(keys, action) {
  for (const key of keys) answers.set(key, [...(answers.get(key) || []), action]);
}

// When the person last did something: the start of what we measure.
export function lastPressed() {
  return pressed;
}

export function focusOn(selector) {
  const field = find(selector);
  if (field) field.focus();
  return Boolean(field);
}

export function submit(selector) {
  const form = find(selector);
  if (form) form.requestSubmit();
  return Boolean(form);
}

function isTyping(target) {
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target.matches("input") && !["radio", "checkbox", "button", "submit"].includes(target.type);
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.defaultPrevented || event.isComposing || event.repeat || (help && help.open)) return;
  pressed = event.timeStamp;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (submit("#decision-form") || submit("form[data-submit-keys]")) event.preventDefault();
    return;
  }
  if (event.key === "Escape" && isTyping(target)) { target.blur(); return; }
  if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || isTyping(target)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // Arrows keep their own meaning in fields and in what scrolls by itself.
  if (key.startsWith("Arrow") && (event.shiftKey || target.closest("input, .told-rest, .panel, [role=region]"))) return;
  if ((answers.get(key) || []).some((action) => action(key, target))) event.preventDefault();
});
document.addEventListener("click", (event) => { pressed = event.timeStamp; }, { capture: true });

// --- the list of keys -------------------------------------------------------------------------------------------------

function showKeys() {
  if (help) help.showModal();
  return Boolean(help);
}
onKey("?", showKeys);

const toggle = find("[data-keys-on]");
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
  helpButton.addEventListener("click", showKeys);
}

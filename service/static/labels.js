// Second looks at labels: a key answers the label that has the focus, never another.

import { onKey } from "./keys.js";
import { find } from "./page.js";

onKey("123456", (key) => {
  const button = find(`.second-look:focus-within [data-answer="${key}"]`);
  if (button) button.form.requestSubmit(button);
  return Boolean(button);
});

onKey("i", () => {
  const field = find(".second-look:focus-within [list]");
  if (!field) return false;
  field.closest("details").open = true;
  field.focus();
  return true;
});

// Keys, drafts, leases, the next item and local times. Every page works without this script. Each file is one subject and
// begins by itself on each page that is shown; page.js has what they share.

import { begin } from "./page.js";
import "./lists.js";
import "./labels.js";
import "./live.js";
import "./decision.js";
import "./answer.js";
import "./settles.js";

document.documentElement.classList.add("scripted");
begin();

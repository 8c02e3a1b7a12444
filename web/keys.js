// What keys do on a page that lists them: the list itself says which key moves, presses, focuses, opens or changes what.
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const list = one("[data-keys]");
const active = one("[data-keys-on]", list);
const said = one("[data-keys-said]");
const done = one("[data-keys-done]");
const rows = () => all("[data-row]");
const row = () => document.activeElement?.closest("[data-row]");

// A browser that keeps nothing has its keys until the page is left.
const kept = (value) => {
  try {
    if (value) localStorage.setItem("keys", value);
    return localStorage.getItem("keys");
  } catch {
    return null;
  }
};
active.checked = kept() !== "off";
active.addEventListener("change", () => kept(active.checked ? "on" : "off"));
list.hidden = false;
// Not every browser focuses the field that an address names.
one(":is(input, textarea):target")?.focus();

const move = (step) => {
  const every = rows();
  const next = every[Math.min(every.length - 1, Math.max(0, every.indexOf(row()) + step))];
  if (next) one("a", next).focus();
};

let undo;
const tell = (words, back) => {
  undo = back;
  said.textContent = words;
  if (!done) return;
  one("p", done).textContent = words;
  one("button", done).hidden = !back;
  done.hidden = false;
};

// The server answers with the list as it is now; what was picked stays so, and the focus where it was.
const show = (fresh, id) => {
  const at = rows().findIndex(({ dataset }) => dataset.row === id);
  const picked = all("[data-row] :checked").map((box) => box.id);
  all("[data-inbox]").forEach((part, index) => part.replaceWith(fresh[index]));
  for (const box of picked.map((name) => document.getElementById(name))) if (box) box.checked = true;
  const left = rows();
  const next = left.find(({ dataset }) => dataset.row === id) ?? left[Math.min(at, left.length - 1)];
  one("a", next ?? one(".tabs [aria-current]").parentElement).focus();
};

let busy = false;
const change = async (id, path, fields) => {
  if (busy) return false;
  busy = true;
  try {
    const body = new URLSearchParams({ form_token: one("[name=form_token]").value, next: list.dataset.here, ...fields });
    const answer = await fetch(`/observations/${id}/${path}`, { method: "POST", body, headers: { accept: "text/html" }, signal: AbortSignal.timeout(10_000) });
    const fresh = answer.ok ? all("[data-inbox]", new DOMParser().parseFromString(await answer.text(), "text/html")) : [];
    if (fresh.length) show(fresh, id);
    else tell("Det gick inte. Ladda om sidan och försök igen.");
    return fresh.length > 0;
  } catch {
    tell("Ingen kontakt med servern. Försök igen.");
    return false;
  } finally {
    busy = false;
  }
};

// What is so becomes not so, and the other way; what somebody has becomes one's own.
const act = async (within, { path, tag, yes, no }) => {
  const { row: id, [path]: state } = within.dataset;
  const was = tag ? (state.split(" ").includes(tag) ? "yes" : "no") : state;
  const becomes = { yes: "no", no: "yes" }[was] ?? "me";
  const from = one("a", within).textContent;
  const fields = (as) => (tag ? { tag, as } : { as });
  if (!(await change(id, path, fields(becomes)))) return;
  tell(`${from}: ${becomes === "no" ? no : yes}.`, async () => (await change(id, path, fields(was))) && tell(`${from}: ångrat.`));
};
if (done) one("button", done).addEventListener("click", () => undo?.());

const press = (target) => {
  target.click();
  if (target.type === "checkbox") tell(`${target.labels[0].textContent} ${target.checked ? "vald" : "bortvald"}.`);
  if (target.matches("summary")) target.focus();
};

addEventListener("keydown", (event) => {
  if (!active.checked || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const entry = all("[data-key]", list).find(({ dataset }) => dataset.key === event.key)?.dataset;
  if (!entry) return;
  event.preventDefault();
  if (entry.move) return move(Number(entry.move));
  if (event.repeat) return;
  const within = row();
  const target = one(entry.press ?? entry.focus ?? "nothing");
  if (entry.press) target && press(target);
  else if (entry.focus) target?.focus();
  else if (!within) tell("Gå till ett svar först, med j eller k.");
  else if (entry.opens) location.assign(one("a", within).href + entry.opens);
  else act(within, entry);
});

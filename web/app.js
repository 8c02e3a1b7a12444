// What pages gain when scripts run: nothing here is needed to get work done.
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const on = (type, react, where = document) => where?.addEventListener(type, react);
const page = document.body.dataset;
// The server's clock is the one that counts; a workstation's may be wrong.
const ahead = page.now - Date.now();
const now = () => Date.now() + ahead;
const clock = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium", timeZone: page.zone });
const ago = (ms) => {
  const seconds = Math.max(0, Math.round((now() - ms) / 1000));
  return seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
};
const quietButton = (text, react) => {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button button--quiet button--small", textContent: text });
  on("click", () => react(button), button);
  return button;
};

const warning = one("[data-session-warning]");
const tick = () => {
  for (const element of all("[data-clock]")) element.textContent = clock.format(now());
  for (const element of all("[data-ago]")) element.textContent = ago(element.dataset.ago);
  if (warning) warning.hidden = page.ends - now() > 120_000 || page.ends < now();
};
tick();
setInterval(tick, 1000);

// Asking for any page keeps a session alive.
on("click", async () => {
  const answer = await fetch("/session/keep", { headers: { accept: "text/html" }, redirect: "manual" });
  if (answer.ok) location.reload();
  else location.assign("/sign-in");
}, warning && one("button", warning));

// After a mistake the list of mistakes is read first.
one(".fault-summary")?.focus();

// Urgent answers are told in the title too, for who looks at another page.
const urgent = one("[data-urgent]");
const title = document.title;
const tellUrgent = () => {
  const count = one("[data-count]", urgent)?.dataset.count;
  document.title = count ? `(${count}) ${title}` : title;
};
if (urgent) {
  on("htmx:after:swap", tellUrgent, urgent);
  tellUrgent();
}

// A form is sent once; the button comes back when the page is shown again from the browser's memory.
on("submit", (event) => {
  // What is downloaded leaves the page as it is.
  if (event.defaultPrevented || event.target.method !== "post" || "again" in event.target.dataset) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
on("pageshow", () => all("form[data-sent]").forEach((sent) => delete sent.dataset.sent), window);

// A password can be looked at.
for (const input of all("input[data-can-show]")) {
  const show = quietButton("Visa", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    show.textContent = shown ? "Visa" : "Dölj";
    show.ariaLabel = `${show.textContent} lösenordet`;
  });
  show.ariaLabel = "Visa lösenordet";
  const both = document.createElement("div");
  both.className = "with-button";
  input.replaceWith(both);
  both.append(input, show);
}

for (const button of all("[data-print]")) {
  button.hidden = false;
  on("click", () => print(), button);
}

// Three shortcuts: / searches, Ctrl+Enter does what the page is for, Esc undoes what can be undone or closes what is open.
on("keydown", (event) => {
  const field = event.target.closest("input, textarea, select");
  const undo = one("[data-undo]");
  const open = event.target.closest("details[open]");
  if (event.key === "/" && !field && one("input[type=search]")) {
    event.preventDefault();
    one("input[type=search]").focus();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const primary = field?.form ?? one("form[data-primary]");
    if (primary?.dataset.primary !== undefined) primary.requestSubmit();
  } else if (event.key === "Escape" && undo) {
    undo.form.requestSubmit(undo);
  } else if (event.key === "Escape" && open) {
    open.open = false;
    one("summary", open)?.focus();
  }
});

// What htmx fetches takes its place only when it is what was asked for, not a page of faults or of sign-in.
on("htmx:before:swap", (event) => {
  const { raw } = event.detail.ctx.response;
  if (raw.ok && !raw.redirected) return;
  event.preventDefault();
  event.target.dispatchEvent(new Event("htmx:error", { bubbles: true }));
});

// What a text would become is seen while it is typed, and said when it takes one SMS more or less.
const effect = one("[data-effect]");
const again = one("[data-recount]");
if (again) again.hidden = true;
let parts;
on("htmx:after:swap", () => {
  delete effect.dataset.stale;
  const counter = one("[data-counter]");
  if (!counter) return;
  counter.textContent = one(".phone__counter", effect)?.textContent ?? "";
  const count = counter.textContent.split("·")[1];
  if (parts !== undefined && count && count !== parts) one("[data-counter-said]").textContent = `Nu${count}`;
  parts = count ?? "";
}, effect);
on("htmx:error", () => {
  effect.dataset.stale = "Ingen kontakt med servern. Siffrorna kan vara gamla.";
}, effect);

// A message that is written: areas in list and map, and what it would become.
const form = one("form[data-compose]");
if (form) {
  const boxes = all("input[data-area]", form);
  // One text, or the slots of a situation.
  const texts = all("textarea[name=text], input[name=slot]", form);
  const whole = one("[data-whole] input", form);
  const recount = () => window.htmx?.trigger(effect, "recount");

  // A municipality takes in all its areas: theirs are shown as chosen and cannot be chosen apart.
  const settle = () => {
    const covered = whole?.checked ?? false;
    for (const group of all("[data-municipality]", form)) {
      const own = one("input", group);
      const parts = all(".area__parts input", group);
      own.disabled = covered;
      const chosen = parts.filter((part) => part.checked && !part.disabled).length;
      const taken = own.checked || covered;
      for (const part of parts) part.disabled = taken;
      own.indeterminate = !taken && chosen > 0;
      const count = one("[data-part-count]", group);
      if (count) count.textContent = `${taken || !chosen ? "" : `${chosen} av `}${parts.length} områden`;
      const drawn = one(`[data-map="${own.value}"]`, form);
      if (drawn) drawn.dataset.chosen = taken ? "all" : chosen ? "part" : "";
    }
  };

  // What is typed is kept as a draft; whoever comes back here, or takes over the shift, comes to it.
  const kept = one("[data-draft]", form);
  const keep = one("[data-keep]", form);
  if (keep) keep.hidden = true;
  if (kept) on("htmx:after:swap", () => {
    const id = one("[data-draft-id]", kept)?.value;
    const here = `/alerts/new?draft=${id}`;
    if (!id || location.search === `?draft=${id}`) return;
    history.replaceState(null, "", here);
    for (const next of all("input[name=next]")) next.value = here;
  }, kept);

  const toggle = (box) => {
    if (box && !box.disabled) box.click();
  };
  on("input", ({ target }) => {
    const { chooses } = target.dataset;
    if (chooses) document.getElementById(chooses).checked = true;
  }, form);
  on("change", settle, form);
  on("click", (event) => {
    const code = event.target.closest("[data-map]")?.dataset.map;
    const button = event.target.closest("button[name]");
    const box = boxes.find((area) => area.value === (code ?? button?.value));
    if (code) return toggle(box);
    // One click replaces a character or adds an area without leaving the page.
    if (button?.name === "replace") {
      for (const text of texts) text.value = text.value.normalize("NFC").replaceAll(button.value, button.dataset.replacement);
      texts[0].focus();
    } else if (button?.name === "add_area" && box) {
      if (!box.checked) toggle(box);
    } else return;
    event.preventDefault();
    recount();
  }, form);

  // Type-ahead: what does not fit is hidden, Enter ticks the first that does, and the first of each where commas stand between.
  const field = one("[data-filter]", form);
  const filter = one("input", field);
  const found = one("[role=status]", field);
  const named = (box) => one(".area__name", box.labels[0]).textContent;
  const plain = (name) => name.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  field.hidden = false;
  const hits = () => {
    const names = plain(filter.value).split(",").map((name) => name.trim()).filter(Boolean);
    const fits = (name) => (box) => box !== whole && ` ${plain(named(box))}`.includes(` ${name}`);
    const fitting = boxes.filter((box) => names.some((name) => fits(name)(box)));
    const wanted = names.length > 0;
    for (const group of all("[data-municipality], [data-whole]", form)) {
      group.hidden = wanted && !fitting.some((box) => group.contains(box));
      const list = one("details", group);
      if (!list) continue;
      const within = fitting.some((box) => list.contains(box));
      list.open = wanted ? within : one("input", group).indeterminate;
      for (const box of all("input", list)) box.parentElement.hidden = within && !fitting.includes(box);
    }
    found.textContent = wanted ? `${fitting.length} träffar${fitting.length ? ". Enter väljer den första." : ""}` : "";
    return [...new Set(names.map((name) => boxes.find(fits(name))).filter(Boolean))];
  };
  on("input", (event) => {
    event.stopPropagation();
    hits();
  }, filter);
  on("keydown", (event) => {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const chosen = hits();
    if (!chosen.length) return;
    chosen.forEach(toggle);
    filter.value = "";
    hits();
    found.textContent = chosen.map((box) => `${named(box)} ${box.checked ? "vald" : "bortvald"}.`).join(" ");
  }, filter);
  on("pageshow", () => {
    settle();
    setTimeout(recount);
  }, window);
  settle();
  // Where it goes is the first thought, and those who begin can type it at once.
  if (texts.length && !boxes.some((box) => box.checked) && !one(".fault-summary")) filter.focus();
}

// The register answers while one types, once there is something to ask for.
const list = one("[data-found]");
if (list) {
  const said = one("[data-found-said]");
  const asked = () => all("#search input[type=search], #search select").some((field) => field.value.trim());
  on("htmx:before:request", (event) => asked() || event.preventDefault(), list);
  on("htmx:after:swap", () => {
    said.textContent = one("[data-total]", list)?.textContent ?? "";
  }, list);
  on("htmx:error", () => {
    said.textContent = "Ingen kontakt med servern. Listan kan vara gammal.";
  }, list);
}

// One answer for all questions of a kind is put into each of them, so that it is seen before it is sent.
for (const choice of all("select[data-answers-all]")) {
  on("change", () => {
    for (const answer of all(`input[type=radio][data-kind="${choice.dataset.answersAll}"]`)) {
      if (answer.value === (choice.value || "later")) answer.checked = true;
    }
  }, choice);
}

// A message on its way: figures that come by themselves, and silence that is never taken for rest.
const live = one("[data-live]");
if (live) {
  const lost = one("[data-lost]");
  const say = one("[data-say]");
  const place = one("[data-pause-place]");
  const figures = () => one("[data-part=figures]", live).dataset;
  const look = () => window.htmx?.trigger(live, "look");
  const silence = () => Date.now() - heard;
  const isOpen = () => figures().open === "true";
  let heard = Date.now();
  let paused = false;
  let spoken = { at: 0 };

  // The push shortens the wait; htmx asks every five seconds besides, which is enough when nothing can change any more.
  on("message", ({ detail }) => JSON.parse(detail.data).id === live.dataset.id && look(), lost);
  // Where nothing is heard, knocking twice a second would not help: htmx connects anew every ten seconds.
  on("htmx:sse:before:connection", (event) => lost.hidden || event.preventDefault(), lost);
  on("htmx:before:request", (event) => {
    const isRest = event.detail.ctx.sourceEvent?.type === "every" && !isOpen() && silence() < 30_000;
    if (paused || isRest) event.preventDefault();
  }, live);
  on("htmx:after:swap", () => {
    const { state, percent, sentence } = figures();
    const quarter = Math.floor(percent / 25);
    const since = Date.now() - spoken.at;
    heard = Date.now();
    lost.hidden = true;
    if (state === spoken.state && (quarter === spoken.quarter || since < 1000) && since < 15_000) return;
    if (say.textContent !== sentence) say.textContent = sentence;
    spoken = { at: heard, state, quarter };
  }, live);
  setInterval(() => {
    if (!paused && silence() > (isOpen() ? 12_000 : 45_000) && lost.hidden) {
      lost.textContent = `Ingen kontakt med servern sedan ${clock.format(heard + ahead)}. Siffrorna kan vara gamla. Utskicket stoppas inte av att sidan har tappat kontakten.`;
      lost.hidden = false;
    }
    const down = one("[data-countdown]", live);
    if (!down) return;
    const left = Math.ceil((down.dataset.countdown - now()) / 1000);
    down.textContent = Math.max(0, left);
    if (left === 3) say.textContent = "Går i väg om 3 sekunder.";
    if (left <= 0) look();
  }, 500);
  // What people answer is counted as it comes, and taken in when somebody asks for it, so that nothing jumps.
  on("observation", ({ detail }) => {
    const counter = one("[data-answers-new]");
    if (counter && JSON.parse(detail.data).alert_id === live.dataset.id) window.htmx?.trigger(counter, "look");
  }, lost);
  place?.replaceChildren(quietButton("Pausa uppdateringar", (button) => {
    paused = !paused;
    button.textContent = paused ? "Fortsätt uppdatera" : "Pausa uppdateringar";
    if (!paused) look();
  }));
}
// Parts of a page with a script of their own name it.
for (const { dataset } of all("[data-module]")) import(dataset.module);
document.documentElement.dataset.scripts = "on";

// What the pages about alerts and letters gain when scripts run: live counts, the map, the filter, and figures that come by themselves.
const form = document.querySelector("form[data-compose]");
const live = document.querySelector("[data-live]");

const post = (url) => {
  const fields = new URLSearchParams(new FormData(form));
  return fetch(url, { method: "POST", body: fields, headers: { accept: "text/html" }, redirect: "error" });
};

if (form) {
  const boxes = [...form.querySelectorAll("input[data-area]")];
  const effect = form.querySelector("[data-effect]");
  const counter = form.querySelector("[data-counter]");
  const said = form.querySelector("[data-counter-said]");
  // One text, or the slots of a situation.
  const texts = [...form.querySelectorAll("textarea[name=text], input[name=slot]")];
  const whole = form.querySelector("[data-whole] input");
  const again = form.querySelector("[data-recount]");
  if (again) again.hidden = true;

  // A municipality takes in all its areas: theirs are shown as chosen and cannot be chosen apart.
  const settle = () => {
    for (const group of form.querySelectorAll("[data-municipality]")) {
      const own = group.querySelector("input");
      const parts = [...group.querySelectorAll(".area__parts input")];
      const covered = whole?.checked ?? false;
      own.disabled = covered;
      const chosen = parts.filter((part) => part.checked && !part.disabled).length;
      const all = own.checked || covered;
      for (const part of parts) part.disabled = all;
      own.indeterminate = !all && chosen > 0;
      const count = group.querySelector("[data-part-count]");
      if (count) count.textContent = all || !chosen ? `${parts.length} områden` : `${chosen} av ${parts.length} områden`;
      group.toggleAttribute("data-covered", all);
      const drawn = form.querySelector(`[data-map="${own.value}"]`);
      if (drawn) drawn.dataset.chosen = all ? "all" : chosen ? "part" : "";
    }
  };

  let asked = 0;
  let timer;
  let parts = "";
  const recount = async () => {
    const mine = ++asked;
    try {
      const answer = await post(form.dataset.compose);
      const html = await answer.text();
      if (mine !== asked || !answer.ok) return;
      effect.innerHTML = html;
      effect.removeAttribute("data-stale");
      if (!counter) return;
      const counted = effect.querySelector(".phone__counter")?.textContent ?? "";
      counter.textContent = counted;
      const now = counted.split("·")[1] ?? "";
      if (now !== parts && texts.some((text) => text.value)) said.textContent = `Nu${now}`;
      parts = now;
    } catch {
      effect.dataset.stale = "Ingen kontakt med servern. Siffrorna kan vara gamla.";
    }
  };
  const soon = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(recount, ms);
  };

  form.addEventListener("input", (event) => {
    const chooses = event.target.dataset?.chooses;
    if (chooses) document.getElementById(chooses).checked = true;
    if (texts.length) soon(texts.includes(event.target) ? 200 : 60);
  });
  form.addEventListener("change", (event) => {
    if (event.target.dataset?.area !== undefined) settle();
    soon(30);
  });
  const toggle = (box) => {
    if (box && !box.disabled) box.click();
  };
  form.querySelector(".map")?.addEventListener("click", (event) => {
    const code = event.target.closest("[data-map]")?.dataset.map;
    toggle(boxes.find((box) => box.value === code));
  });
  // One click replaces a character or adds an area without leaving the page.
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name]");
    if (button?.name === "replace") {
      for (const text of texts) text.value = text.value.normalize("NFC").replaceAll(button.value, button.dataset.replacement);
      texts[0].focus();
    } else if (button?.name === "add_area" && boxes.some((box) => box.value === button.value)) {
      const box = boxes.find((one) => one.value === button.value);
      if (!box.checked) box.click();
    } else return;
    event.preventDefault();
    soon(0);
  });

  // Type-ahead: what does not fit is hidden, Enter ticks the first that does.
  const field = form.querySelector("[data-filter]");
  const filter = field.querySelector("input");
  const found = field.querySelector("[role=status]");
  field.hidden = false;
  const plain = (name) => name.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  const hits = () => {
    const wanted = plain(filter.value.trim());
    const fits = (box) => plain(box.labels[0].querySelector(".area__name").textContent).startsWith(wanted)
      || plain(box.labels[0].querySelector(".area__name").textContent).includes(` ${wanted}`);
    const fitting = boxes.filter((box) => box !== whole && wanted && fits(box));
    for (const group of form.querySelectorAll("[data-municipality], [data-whole]")) {
      group.hidden = Boolean(wanted) && !fitting.some((box) => group.contains(box));
      const list = group.querySelector("details");
      const within = fitting.some((box) => list?.contains(box));
      if (list && (wanted || !filter.value)) list.open = wanted ? within : group.querySelector("input").indeterminate;
      for (const part of group.querySelectorAll(".area__parts .choice")) {
        part.hidden = Boolean(wanted) && within && !fitting.includes(part.querySelector("input"));
      }
    }
    found.textContent = wanted ? `${fitting.length} träffar${fitting.length ? ". Enter väljer den första." : ""}` : "";
    return fitting;
  };
  filter.addEventListener("input", (event) => {
    event.stopPropagation();
    hits();
  });
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const first = hits()[0];
    if (!first) return;
    toggle(first);
    filter.value = "";
    hits();
    found.textContent = `${first.labels[0].querySelector(".area__name").textContent} ${first.checked ? "vald" : "bortvald"}.`;
  });
  addEventListener("pageshow", () => {
    settle();
    soon(0);
  });
  settle();
}

if (live) {
  const lost = document.querySelector("[data-lost]");
  const say = document.querySelector("[data-say]");
  const clock = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium", timeZone: document.body.dataset.zone });
  const ahead = Number(document.body.dataset.now) - Date.now();
  let heard = Date.now();
  let paused = false;
  let under = false;
  let again = false;
  let quarter = -1;
  let spoken = 0;
  let state = "";

  const speak = (figures) => {
    const now = Math.floor(Number(figures.dataset.percent) / 25);
    const turned = figures.dataset.state !== state;
    if (turned || (now !== quarter && Date.now() - spoken > 1000) || Date.now() - spoken > 15_000) {
      if (say.textContent !== figures.dataset.sentence) say.textContent = figures.dataset.sentence;
      quarter = now;
      spoken = Date.now();
      state = figures.dataset.state;
    }
  };

  const take = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of live.querySelectorAll("[data-part]")) {
      const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!next || next.innerHTML === part.innerHTML) continue;
      // What somebody is writing in stays as it is.
      if (part.contains(document.activeElement) && document.activeElement.matches("input")) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
      const open = [...part.querySelectorAll("details")].map((details) => details.open);
      part.replaceWith(next);
      [...next.querySelectorAll("details")].forEach((details, place) => { details.open = open[place] ?? details.open; });
      if (focused) document.getElementById(focused)?.focus();
    }
    const figures = live.querySelector('[data-part="figures"]');
    speak(figures);
    return figures.dataset.open === "true";
  };

  let open = live.querySelector('[data-part="figures"]').dataset.open === "true";
  const look = async () => {
    if (paused) return;
    if (under) {
      again = true;
      return;
    }
    under = true;
    try {
      const answer = await fetch(live.dataset.live, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(5000) });
      if (answer.ok && !answer.redirected) {
        open = take(await answer.text());
        heard = Date.now();
        lost.hidden = true;
      }
    } catch { /* said below when it goes on */ }
    under = false;
    if (again) {
      again = false;
      setTimeout(look, 250);
    }
  };

  // The push shortens the wait; a look every five seconds makes sure that silence is not taken for rest.
  const events = new EventSource(live.dataset.events);
  events.addEventListener("message", (event) => {
    if (JSON.parse(event.data).id === live.dataset.id) look();
  });
  setInterval(() => {
    if (open || Date.now() - heard > 30_000) look();
  }, 5000);
  setInterval(() => {
    if (!paused && Date.now() - heard > (open ? 12_000 : 45_000) && lost.hidden) {
      lost.textContent = `Ingen kontakt med servern sedan ${clock.format(heard)}. Siffrorna kan vara gamla. Utskicket stoppas inte av att sidan har tappat kontakten.`;
      lost.hidden = false;
    }
    const down = live.querySelector("[data-countdown]");
    if (down) {
      const left = Math.ceil((Number(down.dataset.countdown) - Date.now() - ahead) / 1000);
      down.textContent = Math.max(0, left);
      if (left === 3) say.textContent = "Går i väg om 3 sekunder.";
      if (left <= 0) look();
    }
  }, 500);

  const place = document.querySelector("[data-pause-place]");
  if (place) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button--quiet button--small";
    button.textContent = "Pausa uppdateringar";
    button.addEventListener("click", () => {
      paused = !paused;
      button.textContent = paused ? "Fortsätt uppdatera" : "Pausa uppdateringar";
      if (!paused) look();
    });
    place.replaceChildren(button);
  }
  // Esc undoes while it can be undone.
  document.addEventListener("keydown", (event) => {
    const undo = live.querySelector("[data-undo]");
    if (event.key === "Escape" && undo) undo.form.requestSubmit(undo);
  });
}

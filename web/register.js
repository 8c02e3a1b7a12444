// What the register gains when scripts run: it answers while one types.
const form = document.querySelector("form[data-search]");
const found = document.querySelector("[data-found]");
const said = document.querySelector("[data-found-said]");

if (form && found) {
  let asked = 0;
  let timer;
  const look = async () => {
    const mine = ++asked;
    const fields = new URLSearchParams(new FormData(form));
    if (!fields.get("q").trim() && !["area", "who", "language"].some((name) => fields.get(name))) return;
    fields.set("part", "found");
    try {
      const answer = await fetch(form.action, { method: "POST", body: fields, headers: { accept: "text/html" }, redirect: "error" });
      const html = await answer.text();
      if (mine !== asked || !answer.ok) return;
      found.innerHTML = html;
      said.textContent = found.querySelector("[data-total]")?.textContent ?? "";
    } catch {
      said.textContent = "Ingen kontakt med servern. Listan kan vara gammal.";
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });
}

// One answer for all questions of a kind is put into each of them, so that it is seen before it is sent.
for (const all of document.querySelectorAll("select[data-answers-all]")) {
  all.addEventListener("change", () => {
    for (const one of document.querySelectorAll(`input[type=radio][data-kind="${all.dataset.answersAll}"]`)) {
      if (one.value === (all.value || "later")) one.checked = true;
    }
  });
}

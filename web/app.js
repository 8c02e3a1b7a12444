// What pages gain when scripts run: nothing here is needed to get work done.
const root = document.documentElement;
const at = (name) => Number(document.body.dataset[name]) || 0;
// The server's clock is the one that counts; a workstation's may be wrong.
const ahead = at("now") - Date.now();
const now = () => Date.now() + ahead;

const zone = document.body.dataset.zone;
const clock = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium", timeZone: zone });
const ago = (ms) => {
  const seconds = Math.max(0, Math.round((now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
};

const endsAt = at("ends");
const warning = document.querySelector("[data-session-warning]");

const tick = () => {
  for (const element of document.querySelectorAll("[data-clock]")) element.textContent = clock.format(now());
  for (const element of document.querySelectorAll("[data-ago]")) element.textContent = ago(Number(element.dataset.ago));
  if (warning && endsAt) warning.hidden = endsAt - now() > 120_000 || endsAt < now();
};
if (at("now")) {
  tick();
  setInterval(tick, 1000);
}

// Asking for any page keeps a session alive.
warning?.querySelector("button")?.addEventListener("click", async () => {
  const answer = await fetch("/session/keep", { headers: { accept: "text/html" }, redirect: "manual" });
  if (answer.ok) location.reload();
  else location.assign("/sign-in");
});

// After a mistake the list of mistakes is read first.
const summary = document.querySelector(".fault-summary");
if (summary) summary.focus();

// A form is sent once; the button comes back when the page is shown again from the browser's memory.
document.addEventListener("submit", (event) => {
  // What is downloaded leaves the page as it is.
  if (event.defaultPrevented || event.target.method !== "post" || "again" in event.target.dataset) return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A password can be looked at.
for (const input of document.querySelectorAll("input[data-can-show]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--quiet button--small";
  button.textContent = "Visa";
  button.setAttribute("aria-label", "Visa lösenordet");
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? "Visa" : "Dölj";
    button.setAttribute("aria-label", shown ? "Visa lösenordet" : "Dölj lösenordet");
  });
  const both = document.createElement("div");
  both.className = "with-button";
  input.replaceWith(both);
  both.append(input, button);
}

// A passkey answers a question that the server asks; the answer goes with an ordinary form.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const answerOf = (credential) => {
  const { response } = credential;
  const answer = { id: credential.id, rawId: text(credential.rawId), type: credential.type, extensions: {}, response: {} };
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) answer.response[name] = text(response[name]);
  }
  return JSON.stringify(answer);
};

const askPasskey = async (form) => {
  const question = await fetch(form.dataset.question, {
    method: "POST",
    body: new URLSearchParams({ form_token: form.elements.form_token.value }),
  });
  if (!question.ok) throw new Error(question.status === 401 ? "proof" : "question");
  const { handle, options } = await question.json();
  const key = options.publicKey;
  key.challenge = bytes(key.challenge);
  for (const known of [...(key.excludeCredentials ?? []), ...(key.allowCredentials ?? [])]) known.id = bytes(known.id);
  let credential;
  if (form.dataset.passkey === "create") {
    key.user.id = bytes(key.user.id);
    // The key must be able to say by itself whose it is: nobody types an address first.
    key.authenticatorSelection = { ...key.authenticatorSelection, residentKey: "required", requireResidentKey: true };
    credential = await navigator.credentials.create({ publicKey: key });
  } else {
    credential = await navigator.credentials.get({ publicKey: key });
  }
  form.elements.handle.value = handle;
  form.elements.answer.value = answerOf(credential);
  form.submit();
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askPasskey(form).catch((error) => {
      const fault = form.querySelector("[data-passkey-fault]");
      fault.textContent =
        error.message === "proof"
          ? "Det är ett tag sedan du visade vem du är. Ladda om sidan och försök igen."
          : "Ingen passkey användes. Försök igen, eller använd lösenord och kod.";
      fault.hidden = false;
      if (error.message === "proof") location.assign("/prove?next=/account");
    });
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// Three shortcuts: / searches, Ctrl+Enter does what the page is for, Esc closes what is open.
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping) {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = isTyping?.form ?? document.querySelector("form[data-primary]");
    if (form?.dataset.primary !== undefined) form.requestSubmit();
  } else if (event.key === "Escape") {
    const open = event.target.closest?.("details[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary")?.focus();
    }
  }
});
// Pages that can do more name the script that does it.
for (const element of document.querySelectorAll("[data-module]")) import(element.dataset.module);
root.dataset.scripts = "on";

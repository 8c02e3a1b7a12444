// A passkey answers a question that the server asks; the answer goes with an ordinary form.
const passkeys = window.PublicKeyCredential;

const ask = async (asking) => {
  const { form_token, handle, answer } = asking.elements;
  const question = await fetch(asking.dataset.question, {
    method: "POST",
    body: new URLSearchParams({ form_token: form_token.value }),
  });
  if (question.status === 401) return location.assign("/prove?next=/account");
  const { handle: given, options } = await question.json();
  const wanted = options.publicKey;
  let credential;
  if (asking.dataset.passkey === "create") {
    // The key must be able to say by itself whose it is: nobody types an address first.
    wanted.authenticatorSelection = { ...wanted.authenticatorSelection, residentKey: "required", requireResidentKey: true };
    credential = await navigator.credentials.create({ publicKey: passkeys.parseCreationOptionsFromJSON(wanted) });
  } else {
    credential = await navigator.credentials.get({ publicKey: passkeys.parseRequestOptionsFromJSON(wanted) });
  }
  handle.value = given;
  answer.value = JSON.stringify(credential);
  asking.submit();
};

for (const asking of passkeys?.parseRequestOptionsFromJSON ? document.querySelectorAll("form[data-passkey]") : []) {
  asking.hidden = false;
  asking.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(asking).catch(() => {
      const fault = asking.querySelector("[data-passkey-fault]");
      fault.textContent = "Ingen passkey användes. Försök igen, eller använd lösenord och kod.";
      fault.hidden = false;
    });
  });
}

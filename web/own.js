// What a contact person's own page gains when scripts run: nothing here is needed.
const all = (selector) => [...document.querySelectorAll(selector)];
document.querySelector(".fault-summary")?.focus();

// A text can be copied or handed to another app of the telephone.
for (const button of all("[data-copies], [data-shares]")) {
  const { copies, shares } = button.dataset;
  const source = document.getElementById(copies ?? shares);
  const said = document.getElementById(`${source.id}-said`);
  const act = copies
    ? navigator.clipboard && (() => navigator.clipboard.writeText(source.value))
    : navigator.share && (() => navigator.share({ text: source.value }));
  if (!act) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await act();
      if (copies) said.textContent = "Texten är kopierad.";
    } catch (error) {
      // Who closes the list of apps has not failed.
      if (error.name === "AbortError") return;
      source.select();
      said.textContent = "Det gick inte. Markera texten och kopiera den.";
    }
  });
}

for (const button of all("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// A form is sent once; the button comes back when the page is shown again from the browser's memory.
addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => delete form.dataset.sent));

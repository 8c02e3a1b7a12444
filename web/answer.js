// A ready answer is put into the field without leaving the page: instead of another such, after what somebody has written.
const field = document.querySelector("#text");
const buttons = [...document.querySelectorAll("button[data-ready]")];
for (const button of buttons) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    const { ready } = button.dataset;
    const written = field.value.trim();
    const isReady = buttons.some(({ dataset }) => dataset.ready.trim() === written);
    field.value = !written || isReady ? ready : `${written}\n${ready}`;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  });
}

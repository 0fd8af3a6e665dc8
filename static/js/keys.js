// Keys: parts of the form that only matter for one choice.
for (const part of document.querySelectorAll("[data-shown-if]")) {
  const [name, value] = part.dataset.shownIf.split("=");
  const inputs = part.closest("form").querySelectorAll(`[name="${name}"]`);
  const look = () => {
    const chosen = [...inputs].find((input) => input.type !== "radio" || input.checked)?.value;
    part.hidden = chosen !== value;
  };
  for (const input of inputs) input.addEventListener("change", look);
  look();
}

// The live tail of the requests page: new rows on top while the box is ticked.
const box = document.getElementById("tail");
const body = document.querySelector("[data-calls]");
let timer = null;

async function look() {
  if (document.hidden) return;
  const newest = body.querySelector("tr")?.dataset.id ?? "0";
  const url = new URL(box.dataset.url, location.href);
  url.searchParams.set("than", newest);
  const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const { rows } = await answer.json();
  if (!rows.trim()) return;
  // Rows are made and escaped by the server, as in the first page.
  const template = document.createElement("template");
  template.innerHTML = rows;
  body.prepend(template.content);
  while (body.children.length > 200) body.lastElementChild.remove();
}

box?.addEventListener("change", () => {
  clearInterval(timer);
  if (box.checked && body) {
    look();
    timer = setInterval(look, 1500);
  }
});

// Downloads and loads: the page is read anew once one of them has ended, for what else it changed.
const SEEN_MS = 600; // until the gateway has asked the server what is in its memory
const box = document.querySelector('[data-live="jobs"]');
const running = () => [...box.querySelectorAll("[data-open]")].map(({ id }) => id);
let before = box && running();

box?.addEventListener("live", () => {
  const now = running();
  for (const id of before.filter((one) => !now.includes(one))) {
    const isLoad = "load" in (document.getElementById(id)?.dataset ?? {});
    setTimeout(() => location.reload(), isLoad ? SEEN_MS : 0);
  }
  before = now;
});

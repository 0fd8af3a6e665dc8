// Images that go along with a message: chosen, pasted or dropped, shown small, and removed again.
import { copyOf } from "../gateway.js";

const box = document.getElementById("previews");
const input = document.getElementById("images");
const zone = document.getElementById("composer");

/** Return the images that are shown beside the message. */
export const images = () => [...box.querySelectorAll("img")];

/** Show an image beside the message; return it. */
export function addImage(url) {
  const shown = copyOf("picture");
  const image = shown.querySelector("img");
  image.src = url;
  shown.querySelector("button").addEventListener("click", () => shown.remove());
  box.append(shown);
  return image;
}

function addFiles(files) {
  for (const file of files) {
    if (!file.type.startsWith("image/")) continue;
    const image = addImage("");
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      image.src = reader.result;
    });
    reader.readAsDataURL(file);
  }
}

document.getElementById("attach").addEventListener("click", () => input.click());
input.addEventListener("change", () => {
  addFiles(input.files);
  input.value = "";
});
zone.addEventListener("paste", (event) => addFiles(event.clipboardData.files));
zone.addEventListener("dragover", (event) => event.preventDefault());
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  addFiles(event.dataTransfer.files);
});

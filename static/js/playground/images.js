// Images that go along with a message: chosen, pasted or dropped, shown small, and removed again.
import { element, icon } from "../gateway.js";
import { words } from "./words.js";

const SIZE = "72";

const read = (file) =>
  new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(file);
  });

/** Return an image as it is shown beside a message. */
export const thumbnail = (url) =>
  element("img", { src: url, alt: "", width: SIZE, height: SIZE, class: "rounded border object-fit-cover" });

export class Images {
  /** `input` is the field for files, `button` opens it, `box` shows the images, `zone` takes what is dropped. */
  constructor(input, button, box, zone) {
    this.urls = [];
    this.box = box;
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", async () => {
      await this.add(input.files);
      input.value = "";
    });
    zone.addEventListener("paste", (event) => this.add(event.clipboardData?.files ?? []));
    zone.addEventListener("dragover", (event) => event.preventDefault());
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }

  async add(files) {
    const images = [...files].filter((file) => file.type.startsWith("image/"));
    this.set([...this.urls, ...(await Promise.all(images.map(read)))]);
  }

  set(urls) {
    this.urls = urls;
    this.box.replaceChildren(...urls.map((url) => this.shown(url)));
  }

  shown(url) {
    const button = element(
      "button",
      {
        type: "button",
        class: "btn btn-outline-secondary btn-sm",
        title: words.remove,
        "aria-label": words.remove,
      },
      icon("x-lg"),
    );
    button.addEventListener("click", () => this.set(this.urls.filter((other) => other !== url)));
    return element("div", { class: "d-flex align-items-start gap-1" }, thumbnail(url), button);
  }
}

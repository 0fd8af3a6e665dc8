// The words of the playground, in the visitor's language.
export const words = JSON.parse(document.getElementById("play-words")?.textContent ?? "{}");

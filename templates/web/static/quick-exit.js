// Leaves this page at once: the button, or Esc twice. What was seen here cannot be gone back to in this tab.
(() => {
  "use strict";
  const within = 1500;
  const exit = document.getElementById("exit");
  let escapes = 0;
  let last = 0;

  const leave = () => {
    document.documentElement.hidden = true;
    document.title = "";
    window.location.replace(exit.href);
  };

  exit.addEventListener("click", (event) => {
    event.preventDefault();
    leave();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") {
      escapes = 0;
      return;
    }
    escapes = event.timeStamp - last < within ? escapes + 1 : 1;
    last = event.timeStamp;
    if (escapes === 2) leave();
  });
  // The page that asks would stay one step back, with its link; the empty home page takes its place.
  for (const form of document.forms) {
    form.addEventListener("submit", () => {
      form.action = window.location.href;
      window.history.replaceState(null, "", "/");
    });
  }
  // A page that comes back from the browser's memory would still be hidden.
  window.addEventListener("pageshow", () => { document.documentElement.hidden = false; });
  document.getElementById("exit-hint").hidden = false;
})();

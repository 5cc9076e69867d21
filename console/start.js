// Reloads the page if one of its files could not be loaded, for example because the API refused it at its limit of
// requests. The browser never requests a module again that failed, so without a reload the page stays empty.
// A classic script: it runs before the modules, and depends on none of them. For that reason it has texts of its own.
{
  const PAUSES_MS = [500, 1000, 2000, 4000];
  const KEY = "roadmap.reloads";
  let failed = false;

  /** @param {EventTarget | null} target */
  const isNeeded = (target) =>
    target instanceof HTMLScriptElement || (target instanceof HTMLLinkElement && target.rel === "stylesheet");

  const offerReload = () => {
    const heading = document.createElement("h1");
    heading.textContent = document.title;
    const note = document.createElement("div");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    const texts = /** @type {const} */ ([
      ["en", "The page could not be loaded completely. The server refused some of its files, or cannot be reached."],
      ["zh-CN", "页面无法完整加载：服务器拒绝了部分文件，或无法连接。"],
    ]);
    for (const [language, text] of texts) {
      const paragraph = document.createElement("p");
      paragraph.lang = language;
      paragraph.textContent = text;
      note.append(paragraph);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Try again · 重试";
    button.addEventListener("click", () => window.location.reload());
    note.append(button);
    document.querySelector("#app main")?.replaceChildren(heading, note);
  };

  // Capture, because the errors of elements do not bubble.
  window.addEventListener(
    "error",
    (event) => {
      if (failed || !isNeeded(event.target)) return;
      failed = true;
      const reloads = Number(window.sessionStorage.getItem(KEY));
      const pause = PAUSES_MS[reloads];
      if (pause === undefined) {
        window.sessionStorage.removeItem(KEY);
        window.addEventListener("load", offerReload);
        if (document.readyState === "complete") offerReload();
        return;
      }
      window.sessionStorage.setItem(KEY, String(reloads + 1));
      window.setTimeout(() => window.location.reload(), pause * (0.5 + Math.random()));
    },
    { capture: true },
  );
  window.addEventListener("load", () => {
    if (!failed) window.sessionStorage.removeItem(KEY);
  });
}

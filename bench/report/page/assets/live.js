// In the page that `bench report --watch` serves: loads it anew when its file has changed, at the same scroll position.
history.scrollRestoration = "manual";
scrollTo(0, sessionStorage.getItem("bench-report-scroll"));
addEventListener("scroll", () => sessionStorage.setItem("bench-report-scroll", scrollY), { passive: true });
setInterval(async () => {
  const answer = await fetch("/", { method: "HEAD", cache: "no-store" }).catch(() => null);
  if (answer?.ok && Date.parse(answer.headers.get("Last-Modified")) > Date.parse(document.lastModified)) location.reload();
}, 1000);

// Tells the terminal where its socket is: by whatever name and scheme the page was reached.
document.addEventListener("DOMContentLoaded", () => {
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  document.getElementById("terminal").dataset.sessionWebsocketUrl = `${scheme}://${window.location.host}/ws`;
});

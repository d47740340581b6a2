// Frames the page on which a client connects WhatsApp, and tells what became of it.
//   const it = ChakraWhatsappConnect.init({connectToken, container: "#id" or an element, baseUrl?,
//                                          onReady?, onSuccess?, onError?, onMessage?});  it.destroy();
(function () {
  "use strict";
  var script = document.currentScript;
  var home = script && script.src ? new URL(script.src).origin : window.location.origin;
  function call(deed) { if (typeof deed === "function") deed.apply(null, Array.prototype.slice.call(arguments, 1)); }
  function init(options) {
    var base = String(options.baseUrl || home).replace(/\/$/, "");
    var origin = new URL(base, window.location.href).origin;
    var place = typeof options.container === "string" ? document.querySelector(options.container) : options.container;
    if (!options.connectToken || !place) {
      var error = new Error(place ? "connectToken is missing" : "container was not found");
      call(options.onError, error);
      return { destroy: function () {} };
    }
    var ready = false;
    var frame = document.createElement("iframe");
    frame.title = "Connect WhatsApp";
    frame.style.cssText = "border:0;inline-size:100%;min-block-size:640px";
    function hear(message) {
      if (message.source !== frame.contentWindow || message.origin !== origin) return;
      var said = message.data;
      if (!said || said.source !== "samvad-connect") return;
      call(options.onMessage, said.event, said.data);
      if (said.event === "ready" && !ready) { ready = true; call(options.onReady); }
      if (said.event === "success") call(options.onSuccess, said.data);
      if (said.event === "error") call(options.onError, said.data);
    }
    window.addEventListener("message", hear);
    frame.src = base + "/v1/ext/whatsapp-partner/connect?connectToken=" + encodeURIComponent(options.connectToken);
    place.appendChild(frame);
    return { destroy: function () { window.removeEventListener("message", hear); frame.remove(); } };
  }
  window.ChakraWhatsappConnect = { init: init };
})();

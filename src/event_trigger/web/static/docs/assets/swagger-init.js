// Apart from the page, because its Content-Security-Policy allows no inline script.
"use strict";

// Relative to the page, so that a prefix set by a reverse proxy is kept.
const root = new URL("..", document.baseURI);

// Swagger UI takes a relative tokenUrl from the page's folder, the description means it from here.
const tokenUrlFromRoot = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeRequest: (request) => (login) =>
          request({ ...login, url: new URL(login.url, root).href }),
      },
    },
  },
};

// Each form of the dialog takes the focus when it is made, so that it would open at the last one.
const dialogFromTop = {
  statePlugins: {
    auth: {
      wrapActions: {
        showDefinitions: (show) => (definitions) => {
          requestAnimationFrame(() => {
            const dialog = document.querySelector(".dialog-ux .modal-ux-content");
            dialog?.querySelector("input")?.focus();
            dialog?.scrollTo(0, 0);
          });
          return show(definitions);
        },
      },
    },
  },
};

SwaggerUIBundle({
  url: new URL("openapi.json", root).href,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [tokenUrlFromRoot, dialogFromTop],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  persistAuthorization: false, // a token stays in this tab's memory and is gone with it
  validatorUrl: null, // the validator's badge would send the description to its makers
});

// Swagger UI over the gateway's own document. Nothing is fetched from elsewhere, and no token outlives the page.
"use strict";

window.addEventListener("load", async () => {
  const spec = await (await fetch("/openapi.json")).json();
  // This page holds no client of the identity provider: here one pastes a token (`dui token ACCOUNT`).
  delete spec.components.securitySchemes.login;
  spec.security = spec.security.filter((way) => !("login" in way));
  SwaggerUIBundle({
    spec,
    dom_id: "#docs",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayOperationId: true,
    filter: true,
    persistAuthorization: false,
    tryItOutEnabled: false,
    validatorUrl: null,
  });
});

// The same document as at /docs, only to read: no requests, no tokens, and every operation's schema before its example.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  supportedSubmitMethods: [],
  defaultModelRendering: "model",
  defaultModelExpandDepth: 3,
  filter: true,
  plugins: [() => ({ wrapComponents: { authorizeBtn: () => () => null, authorizeOperationBtn: () => () => null } })],
});

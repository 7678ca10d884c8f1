const TOKENS = "swagger-ui-tokens";

// Swagger UI can keep the tokens only in localStorage, which has no end. sessionStorage ends with the tab.
const KeepTokensUntilTheTabCloses = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        persistAuthorizationIfNeeded: (_, { authSelectors }) => () =>
          sessionStorage.setItem(TOKENS, JSON.stringify(authSelectors.authorized())),
      },
    },
  },
});

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  plugins: [KeepTokensUntilTheTabCloses],
  onComplete: () => {
    const tokens = sessionStorage.getItem(TOKENS);
    if (tokens) ui.authActions.restoreAuthorization({ authorized: JSON.parse(tokens) });
  },
});

# One image for both commands. Built in one stage, run in another, which has neither compiler nor sources.
#
#   docker build -t holdfast .
#   docker run -v node1:/data holdfast node_server 5001 --host 0.0.0.0 --insecure …
#   docker run -v one:/data holdfast runtime serve --host 0.0.0.0 --insecure …
#
# A container's loopback is its own, so a process has to listen beyond it: that asks for a token and TLS, or --insecure (SECURITY.md).
ARG NODE=node:22-bookworm-slim

FROM ${NODE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json runtime node_server ./
COPY shared shared
COPY storage-node storage-node
COPY coordinator coordinator
COPY test/support/run.mjs test/support/run.mjs
RUN npm run build && npm prune --omit=dev && find dist -name "*.map" -delete

FROM ${NODE}
ENV NODE_ENV=production HOLDFAST_SKIP_BUILD=1 PATH=/app:$PATH
WORKDIR /app
COPY --from=build /app/package.json /app/runtime /app/node_server ./
COPY --from=build /app/shared/bootstrap shared/bootstrap
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY deploy/healthcheck.mjs deploy/healthcheck.mjs
COPY LICENSE README.md SECURITY.md ./
# What `data/…` means by default, owned by the user that runs everything.
RUN mkdir /data && chown node:node /data
USER node
WORKDIR /data
VOLUME /data
# Nodes say where they listen: HOLDFAST_HEALTHCHECK="5001", with the TLS flags where there are some.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "/app/deploy/healthcheck.mjs"]
STOPSIGNAL SIGTERM
CMD ["runtime", "serve", "--no-http"]

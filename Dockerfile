# One node of Sluice.
#
#     docker build -t sluice .
#     docker run --rm -p 127.0.0.1:7450:7450/udp -p 127.0.0.1:7450:7450/tcp -v sluice-data:/data sluice serve --quic 0.0.0.0:7450 --allow-anonymous
#
# The build takes packages from the npm registry and nothing else; no git, no secrets.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY .config/tsconfig.build.json .config/
COPY src src
RUN node node_modules/typescript/bin/tsc -p .config/tsconfig.build.json --sourceMap false --declaration false

FROM ${NODE_IMAGE} AS packages
WORKDIR /packages
COPY package.json package-lock.json ./
# Of the native parts those for other machines are left out by npm; what is only for people and compilers is removed.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.md' \) -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    SLUICE_DATA_DIR=/data \
    NODE_COMPILE_CACHE=/tmp/sluice-compile-cache \
    XDG_STATE_HOME=/tmp/sluice-state
WORKDIR /opt/sluice
COPY --from=packages /packages/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY deploy/healthcheck.js deploy/healthcheck.js
RUN ln -s /opt/sluice/bin/sluice.js /usr/local/bin/sluice \
 && mkdir /data && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 7450/udp 7450/tcp 7451/tcp 7452/tcp
# Ready, and not only alive: a node that has lost its etcd says so here.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 CMD ["node", "/opt/sluice/deploy/healthcheck.js"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/opt/sluice/bin/sluice.js"]
CMD ["serve"]

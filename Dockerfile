# The image of operator and router: Node.js, its libraries and the bundle on an empty root (docs/container-image.md).
# Any Debian with a Node.js that can run npm will do to build; the Node.js inside the image is the one that
# package-lock.json pins.
ARG BUILD_IMAGE=node:24-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY build/use-node.mjs build/
RUN npm ci --no-audit --no-fund && node build/use-node.mjs
ENV PATH=/src/node_modules/.bin:${PATH}
COPY src src
COPY build build
RUN node build/bundle.ts /bundle && node build/image-root.ts /image /bundle

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/bin NODE_ENV=production
LABEL org.opencontainers.image.title=satellites \
  org.opencontainers.image.description="VMs as Kubernetes resources: they sleep when idle and wake for the next gRPC request" \
  org.opencontainers.image.licenses=Apache-2.0 \
  org.opencontainers.image.version=0.1.0
USER 65532:65532
EXPOSE 8372 8081 8082
# In a container of 512 MiB Node.js would leave new objects 1 MiB, and collect garbage all the time.
ENTRYPOINT ["/usr/bin/node", "--max-semi-space-size=8", "/app/satellites.mjs"]
CMD ["--help"]

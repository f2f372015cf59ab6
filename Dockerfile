# The operator's image: one static binary and the roots of trust. `docker build -t understudy .`
FROM docker.io/library/rust:1-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p understudy --bin understudy

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/understudy /understudy
USER 65532:65532
ENTRYPOINT ["/understudy"]

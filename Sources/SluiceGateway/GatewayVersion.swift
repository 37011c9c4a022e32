/// The version `sluice-gateway --version` prints and `GET /v1/status` tells.
package let gatewayVersion = "0.1.0"

import SluiceModel

/// Reads a Gateway.
enum GatewayReader {
  /// Reads the document's `spec`.
  static func read(_ document: MappingReader, name: GatewayName) -> Gateway {
    let form = Form<Gateway>.object { spec in
      spec.notBuilt("tls", "certificates", "limits", "proxyProtocol", "accessLog", "metrics")
      let gateway = Gateway(
        name: name, fleet: FleetName(spec.required("fleet", .text, example: "fleet: prod") ?? ""),
        driver: spec.optional(
          "driver", .oneOf(GatewayDriverName.self, notBuilt: ["haproxy", "envoy", "nginx", "caddy"]), default: .sluice),
        hosts: (spec.required("hosts", .list(of: .text, atLeast: 1, expected: "a list of host names"), example: "hosts: [g1]") ?? []).map {
          HostName($0)
        },
        listen: spec.required(
          "listen", .list(of: .listen, atLeast: 1, expected: "a list of addresses and ports"),
          example: "listen: [{ address: 0.0.0.0, port: 80 }]") ?? [],
        trustedProxies: spec.optional("trustedProxies", .list(of: .cidr, expected: "a list of address blocks"), default: []),
        health: spec.optional("health", .listen))
      checkDuplicates(gateway, spec.cursor)
      return gateway
    }
    return document.required("spec", form, example: "spec: { fleet: prod, hosts: [ … ], listen: [ … ] }")
      ?? Gateway(name: name, fleet: "", hosts: [], listen: [])
  }

  private static func checkDuplicates(_ gateway: Gateway, _ cursor: Cursor) {
    let document = cursor.document
    guard !document.hasErrors else { return }
    for (index, host) in gateway.hosts.enumerated() where gateway.hosts[..<index].contains(host) {
      cursor.error(
        .duplicateName, "`hosts` names `\(host)` twice", at: document.place("spec.hosts[\(index)]"),
        suggestion: "one gateway process runs on a host; name it once")
    }
    for (index, listen) in gateway.listen.enumerated() {
      if gateway.listen[..<index].contains(where: { clash($0, listen) }) {
        cursor.error(
          .duplicateAddress, "`listen` has the port \(listen.port) of that address twice", at: document.place("spec.listen[\(index)].port"),
          suggestion: "a process can listen once on an address and port; `0.0.0.0` and `::` stand for all addresses")
      }
    }
    if let health = gateway.health, gateway.listen.contains(where: { clash($0, health) }) {
      cursor.error(
        .duplicateAddress, "`health` and `listen` have the same port \(health.port)", at: document.place("spec.health.port"),
        suggestion: "give `health` a port of its own, such as 8081")
    }
  }

  /// Whether a process could not listen on both: the same port, and one address covers the other.
  private static func clash(_ left: ListenAddress, _ right: ListenAddress) -> Bool {
    guard left.port == right.port else { return false }
    if left.address == right.address { return true }
    let sameFamily = left.address.contains(":") == right.address.contains(":")
    return sameFamily && ([left.address, right.address].contains("0.0.0.0") || [left.address, right.address].contains("::"))
  }
}

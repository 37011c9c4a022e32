import SluiceModel

extension Form where Output == Route {
  /// The `route` mapping.
  static var route: Form {
    object { reader in
      reader.notBuilt(
        "retries", "circuitBreaker", "rateLimit", "fallback", "outlierDetection", "health", "headers", "rewrite", "tcp", "limits",
        "queue")
      let gateway = reader.required("gateway", .text, example: "gateway: edge") ?? ""
      let defaults = Route(gateway: GatewayName(gateway))
      return Route(
        gateway: defaults.gateway,
        hosts: reader.optional("hosts", .list(of: .routeHost, expected: "a list of host names"), default: defaults.hosts),
        path: reader.optional("path", .routePath, default: defaults.path),
        balance: reader.optional(
          "balance", .oneOf(Balance.self, notBuilt: ["weighted", "randomTwo", "consistentHash"]), default: defaults.balance),
        timeouts: reader.optional("timeouts", .timeouts, default: defaults.timeouts),
        user: reader.optional("user", .user))
    }
  }
}

extension Form where Output == RouteTimeouts {
  /// The `timeouts` mapping of a route.
  static var timeouts: Form {
    object { reader in
      let defaults = RouteTimeouts()
      return RouteTimeouts(
        connect: reader.optional("connect", .positiveDuration, default: defaults.connect),
        response: reader.optional("response", .positiveDuration, default: defaults.response),
        idle: reader.optional("idle", .positiveDuration, default: defaults.idle))
    }
  }
}

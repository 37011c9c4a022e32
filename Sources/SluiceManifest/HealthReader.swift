import SluiceModel
import SluiceTraffic

/// What `health` says, with the model's defaults.
struct HealthPart {
  var readiness = ReadinessCheck(probe: .tcp)
  var startTimeout = ServicePolicy(name: "", fleet: "", replicas: 0).startTimeout
  var minHealthyTime = ServicePolicy(name: "", fleet: "", replicas: 0).minHealthyTime
}

/// What `drain` says, with the model's defaults.
struct DrainPart {
  var policy = DrainPolicy()
  var stop = StopSpec()
}

extension Form where Output == HealthPart {
  /// The `health` mapping.
  static var health: Form {
    object { reader in
      reader.notBuilt("liveness", "outlier", "passive")
      let defaults = HealthPart()
      return HealthPart(
        readiness: reader.optional("readiness", .readiness, default: defaults.readiness),
        startTimeout: reader.optional("startTimeout", .positiveDuration, default: defaults.startTimeout),
        minHealthyTime: reader.optional("minHealthyTime", .duration(), default: defaults.minHealthyTime))
    }
  }
}

extension Form where Output == ReadinessCheck {
  /// The `readiness` mapping. Without a probe of its own it is a TCP connection.
  static var readiness: Form {
    object { reader in
      reader.notBuilt("grpc", "udp")
      let defaults = ReadinessCheck(probe: .tcp)
      _ = reader.exactlyOne(of: ["http", "tcp", "exec"], notBuilt: ["grpc", "udp"], optional: true)
      let http = reader.optional("http", httpProbe)
      let tcp = reader.optional("tcp", .object(acceptsNothing: true) { _ in ReadinessCheck.Probe.tcp })
      let exec = reader.optional("exec", .object { $0.required("command", .command, example: "command: [bin/check]") })
      return ReadinessCheck(
        probe: http ?? tcp ?? exec.map { .exec(command: $0) } ?? defaults.probe,
        interval: reader.optional("interval", .duration(RouteRules.interval), default: defaults.interval),
        timeout: reader.optional("timeout", .duration(RouteRules.timeout), default: defaults.timeout),
        rise: reader.optional("rise", .number(1...100), default: defaults.rise),
        fall: reader.optional("fall", .number(1...100), default: defaults.fall))
    }
  }

  private static var httpProbe: Form<ReadinessCheck.Probe> {
    .object { reader in
      reader.notBuilt("body", "port", "scheme", "method")
      let path = reader.required("path", .probePath, example: "path: /healthz")
      let status = reader.optional("status", .number(100...599), default: 200)
      let host = reader.optional("host", .probeHost)
      let headers = reader.optional("headers", .table(keys: .probeHeader, values: .probeValue)) ?? [:]
      checkHeaders(headers, reader.cursor.key("headers"))
      return path.map { .http(path: $0, status: status, host: host, headers: headers.isEmpty ? nil : headers) }
    }
  }
}

extension Form where Output == ReadinessCheck {
  /// Names that differ in case only are one header; and what a check sends is kept in records.
  private static func checkHeaders(_ headers: [String: String], _ cursor: Cursor) {
    var seen: Set<String> = []
    for name in headers.keys.sorted() {
      let place = cursor.document.place(cursor.key(name).path)
      if !seen.insert(name.lowercased()).inserted {
        cursor.error(.duplicateKey, "`\(cursor.shown)` names `\(name)` twice", at: place, suggestion: "keep one of them")
      }
      let isSecret = name.lowercased() == "cookie" || SecretMask.isSecret(key: name)
      if isSecret || SecretMask.isSecret(value: headers[name] ?? "") {
        cursor.warning(
          .secretInEnv, "`\(cursor.key(name).shown)` looks like a secret, and a check is kept in records and sent in clear", at: place,
          suggestion: "let the path that says whether it is ready be asked without one")
      }
    }
    if headers.count > RouteRules.headerLimit {
      cursor.error(
        .outOfRange, "`\(cursor.shown)` has \(headers.count) headers", at: cursor.document.place(cursor.path),
        suggestion: "at most \(RouteRules.headerLimit)")
    }
  }
}

extension Form where Output == DrainPart {
  /// The `drain` mapping.
  static var drain: Form {
    object { reader in
      let defaults = DrainPart()
      let command = Form<[String]>.object { $0.required("command", .command, example: "command: [bin/leave]") }
      return DrainPart(
        policy: DrainPolicy(
          timeout: reader.optional("timeout", .duration(), default: defaults.policy.timeout),
          longLived: reader.optional("longLived", .duration(), default: defaults.policy.longLived)),
        stop: StopSpec(
          preStop: reader.optional("preStop", command), signal: reader.optional("signal", .signal, default: defaults.stop.signal),
          killAfter: reader.optional("killAfter", .duration(), default: defaults.stop.killAfter)))
    }
  }
}

import SluiceModel

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
        interval: reader.optional("interval", .duration(Milliseconds(100) ... .minutes(60)), default: defaults.interval),
        timeout: reader.optional("timeout", .duration(Milliseconds(10) ... .minutes(60)), default: defaults.timeout),
        rise: reader.optional("rise", .number(1...100), default: defaults.rise),
        fall: reader.optional("fall", .number(1...100), default: defaults.fall))
    }
  }

  private static var httpProbe: Form<ReadinessCheck.Probe> {
    .object { reader in
      reader.notBuilt("headers", "host", "body", "port", "scheme", "method")
      let path = reader.required("path", .urlPath, example: "path: /healthz")
      let status = reader.optional("status", .number(100...599), default: 200)
      return path.map { .http(path: $0, status: status) }
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

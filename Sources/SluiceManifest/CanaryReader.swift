import SluiceModel
import SluiceTraffic

extension Form where Output == Canary {
  /// The `canary` mapping.
  static var canary: Form {
    object { reader in
      let steps = reader.required(
        "steps", .list(of: .canaryStep, atLeast: 1, expected: "a list of steps such as `{ users: 10%, hold: 5m }`"),
        example: "steps: [{ users: 10%, hold: 5m }]")
      let canary = Canary(
        steps: steps ?? [], allow: reader.optional("allow", .users, default: []), deny: reader.optional("deny", .users, default: []),
        override: reader.optional("override", .testerHeader),
        controllerLost: reader.optional("controllerLost", .controllerLost, default: ControllerLost()),
        analysis: reader.optional("analysis", .analysis),
        maxSurge: reader.optional("maxSurge", .amount, default: Canary(steps: []).maxSurge))
      if !reader.cursor.document.hasErrors {
        checkShares(canary, reader.cursor)
        reader.cursor.report { () throws(RouteFault) in try RouteRules.users(allow: canary.allow, deny: canary.deny) }
      }
      return canary
    }
  }

  /// A share that falls would move users back and forth.
  private static func checkShares(_ canary: Canary, _ cursor: Cursor) {
    for (index, step) in canary.steps.enumerated().dropFirst() where step.users < canary.steps[index - 1].users {
      let before = canary.steps[index - 1].users
      cursor.error(
        .outOfRange, "step \(index + 1) of `\(cursor.shown)` has fewer users (\(step.users)) than the one before it (\(before))",
        at: cursor.document.place(cursor.key("steps").element(index).key("users").path),
        suggestion: "write at least `\(before)`: users only join while a canary grows")
    }
  }
}

extension Form where Output == CanaryStep {
  /// One of a canary's `steps`.
  static var canaryStep: Form {
    object { reader in
      let users = reader.required("users", .share, example: "users: 10%") ?? .zero
      let hold = reader.optional("hold", .duration(), default: .zero)
      let maxHold = reader.optional("maxHold", .duration())
      if let maxHold, maxHold < hold {
        reader.cursor.error(
          .outOfRange, "`maxHold` (\(maxHold)) is shorter than `hold` (\(hold))",
          at: reader.cursor.document.place(reader.cursor.key("maxHold").path), suggestion: "write `maxHold: \(hold * 6)`")
      }
      return CanaryStep(
        users: users, instances: reader.optional("instances", .amount), hold: hold, maxHold: maxHold,
        approve: reader.optional("approve", .flag, default: false), analysis: reader.optional("analysis", .analysis))
    }
  }
}

extension Form where Output == [String] {
  /// User keys of an allow or deny list.
  static var users: Form {
    object(acceptsNothing: true) { reader in reader.optional("users", .list(of: .userKey, expected: "a list of user keys"), default: []) }
  }
}

extension Form where Output == TesterHeader {
  /// The `override` mapping.
  static var testerHeader: Form {
    object { reader in
      let header = reader.required("header", .overrideHeader, example: "header: X-Sluice-Pool")
      let secret = reader.required("secret", .secretSource, example: "secret: { fromEnv: CANARY_SECRET }")
      guard let header, let secret else { return nil }
      return TesterHeader(header: header, secret: secret)
    }
  }
}

extension Form where Output == ControllerLost {
  /// The `controllerLost` mapping.
  static var controllerLost: Form {
    object { reader in
      let defaults = ControllerLost()
      return ControllerLost(
        after: reader.optional("after", .duration(RouteRules.controllerLost), default: defaults.after),
        then: reader.optional("then", .oneOf(ControllerLost.Then.self), default: defaults.then))
    }
  }
}

extension Form where Output == Analysis {
  /// An `analysis` mapping.
  static var analysis: Form {
    object { reader in
      reader.notBuilt("prometheus")
      let defaults = Analysis()
      return Analysis(
        minRequests: reader.optional("minRequests", .number(0...1_000_000_000), default: defaults.minRequests),
        maxErrorRate: reader.optional("maxErrorRate", .share), versusStable: reader.optional("versusStable", .errorComparison),
        p99: reader.optional("p99", .latencyLimit),
        userWindow: reader.optional("userWindow", .userWindow, default: defaults.userWindow),
        checks: reader.optional("checks", .checks, default: []))
    }
  }
}

extension Form where Output == Analysis.ErrorComparison {
  /// The `versusStable` mapping.
  static var errorComparison: Form {
    object(acceptsNothing: true) { reader in
      let defaults = Analysis.ErrorComparison()
      let confidence = reader.optional("confidence", .share, default: defaults.confidence)
      if !(5_000...9_999).contains(confidence.value) {
        reader.cursor.error(
          .outOfRange, "`confidence: \(confidence)` is out of range",
          at: reader.cursor.document.place(reader.cursor.key("confidence").path),
          suggestion: "write `99%`: one canary in a hundred that is no worse is then aborted")
      }
      return Analysis.ErrorComparison(
        errorRatio: reader.optional("errorRatio", .ratio(1...100), default: defaults.errorRatio), confidence: confidence)
    }
  }
}

extension Form where Output == Analysis.LatencyLimit {
  /// The `p99` mapping.
  static var latencyLimit: Form {
    object { reader in
      let limit = Analysis.LatencyLimit(
        max: reader.optional("max", .positiveDuration), versusStable: reader.optional("versusStable", .ratio(1...100)),
        leastDifference: reader.optional("leastDifference", .duration()))
      if limit.leastDifference != nil, !reader.has("versusStable") {
        reader.cursor.error(
          .missingKey, "`leastDifference` needs `versusStable`: it is a difference from the stable release", at: reader.place,
          suggestion: "write `versusStable: 1.3`")
      }
      if !reader.has("max"), !reader.has("versusStable") {
        reader.cursor.error(
          .missingKey, "`\(reader.cursor.shown)` needs `max` or `versusStable`", at: reader.place, suggestion: "write `max: 400ms`")
      }
      return limit
    }
  }
}

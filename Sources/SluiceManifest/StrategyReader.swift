import SluiceModel

extension Form where Output == Strategy {
  /// The `strategy` mapping: one key, with the strategy's own settings below it.
  static var strategy: Form {
    object { reader in
      reader.notBuilt("analysis")
      let rolling = reader.optional("rolling", .rolling).map { Strategy.rolling($0) }
      let blueGreen = reader.optional("blueGreen", .blueGreen).map { Strategy.blueGreen($0) }
      let canary = reader.optional("canary", .canary).map { Strategy.canary($0) }
      let recreate = reader.optional("recreate", .recreate).map { Strategy.recreate($0) }
      _ = reader.exactlyOne(of: ["rolling", "blueGreen", "canary", "recreate"])
      return rolling ?? blueGreen ?? canary ?? recreate
    }
  }
}

extension Form where Output == Rolling {
  /// The `rolling` mapping.
  static var rolling: Form {
    object(acceptsNothing: true) { reader in
      let defaults = Rolling()
      return Rolling(
        maxUnavailable: reader.optional("maxUnavailable", .amount, default: defaults.maxUnavailable),
        maxSurge: reader.optional("maxSurge", .amount, default: defaults.maxSurge),
        rackOrder: reader.optional("order", .choice([("rack", true)]), default: defaults.rackOrder),
        rackLossFloor: reader.optional("rackLossFloor", .amount) ?? defaults.rackLossFloor,
        pauseBetween: reader.optional("pauseBetween", .duration(), default: defaults.pauseBetween))
    }
  }
}

extension Form where Output == Recreate {
  /// The `recreate` mapping.
  static var recreate: Form {
    object(acceptsNothing: true) { reader in Recreate(queue: reader.optional("queue", .duration(), default: Recreate().queue)) }
  }
}

extension Form where Output == BlueGreen {
  /// The `blueGreen` mapping.
  static var blueGreen: Form {
    object(acceptsNothing: true) { reader in
      reader.notBuilt("analysis")
      let defaults = BlueGreen()
      let preview = Form<[String]>.object { reader in
        reader.required(
          "hosts", .list(of: .routeHost, atLeast: 1, expected: "a list of host names"), example: "hosts: [preview.example.com]")
      }
      return BlueGreen(
        preview: reader.optional("preview", preview, default: defaults.preview),
        approve: reader.optional("approve", .flag, default: defaults.approve),
        keepOld: reader.optional("keepOld", .duration(), default: defaults.keepOld),
        checks: reader.optional("checks", .checks, default: []))
    }
  }
}

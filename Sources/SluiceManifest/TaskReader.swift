import SluiceModel

extension Form where Output == ReleaseTask {
  /// The `task` mapping.
  static var task: Form {
    object { reader in
      reader.notBuilt("hosts", "env", "user")
      let defaults = ReleaseTask(command: [])
      return ReleaseTask(
        command: reader.required("command", .command, example: "command: [bin/shop, migrate]") ?? [],
        onInterrupted: reader.optional("onInterrupted", .oneOf(ReleaseTask.Interruption.self), default: defaults.onInterrupted),
        irreversible: reader.optional("irreversible", .flag, default: defaults.irreversible),
        timeout: reader.optional("timeout", .positiveDuration, default: defaults.timeout))
    }
  }
}

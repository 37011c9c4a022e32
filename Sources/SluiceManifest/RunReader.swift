import SluiceModel

/// What `run` says: the part that belongs to the release, and where its secrets come from.
struct RunPart {
  var run: RunSpec
  var secretSources: [String: SecretSource] = [:]
}

extension Form where Output == RunPart {
  /// The `run` mapping.
  static var run: Form {
    object { reader in
      reader.notBuilt("workingDirectory", "umask", "capabilities", "network", "volumes", "image")
      let secrets = reader.optional("secrets", .table(keys: .environmentName, values: Form<SecretSource>.secretSource), default: [:])
      let run = RunSpec(
        runtime: reader.optional("runtime", .oneOf(RuntimeKind.self, notBuilt: ["podman", "docker"]), default: .auto),
        command: reader.required("command", .command, example: "command: [bin/shop]") ?? [],
        env: reader.optional("env", .table(keys: .environmentName, values: .environmentValue), default: [:]),
        secrets: secrets.keys.sorted(), limits: reader.optional("limits", .limits, default: Limits()),
        user: reader.optional("user", .userName))
      RunChecks.check(run, reader.cursor)
      return RunPart(run: run, secretSources: secrets)
    }
  }
}

extension Form where Output == Limits {
  /// The `limits` mapping.
  static var limits: Form {
    object { reader in
      reader.notBuilt("tasks", "files", "io", "swap")
      return Limits(memoryBytes: reader.optional("memory", .size), cpuBasisPoints: reader.optional("cpu", .cpu))
    }
  }
}

extension Form where Output == SecretSource {
  /// Where a secret's value is read.
  static var secretSource: Form {
    Form { value, cursor in
      guard case .mapping = value.content else {
        cursor.error(
          .wrongType, "`\(cursor.shown)` takes where the secret is read, never the secret itself", at: value.place,
          suggestion: "write `{ fromEnv: NAME }`, `{ fromFile: path }` or `{ fromCommand: [ … ] }`")
        return nil
      }
      return sources.read(value, cursor)
    }
  }

  private static var sources: Form {
    object { reader in
      reader.notBuilt("fromVault", "fromKeyring")
      let variable = reader.optional("fromEnv", .environmentName).map { SecretSource.env($0) }
      let file = reader.optional("fromFile", .localPath).map { SecretSource.file($0) }
      let command = reader.optional("fromCommand", .localCommand).map { SecretSource.command($0) }
      _ = reader.exactlyOne(of: ["fromEnv", "fromFile", "fromCommand"], notBuilt: ["fromVault", "fromKeyring"])
      return variable ?? file ?? command
    }
  }
}

/// What is wrong or doubtful in `run` once its keys have been read.
private enum RunChecks {
  private static let placeholders = ["ADDRESS", "PORT", "INSTANCE", "RELEASE"]

  static func check(_ run: RunSpec, _ cursor: Cursor) {
    for name in run.env.keys.sorted() {
      let place = cursor.document.place(cursor.key("env").key(name).path)
      if run.secrets.contains(name) {
        cursor.error(
          .conflictingKeys, "`\(name)` is in `run.env` and in `run.secrets`", at: place, suggestion: "keep it in `run.secrets` only")
      } else if SecretMask.isSecret(key: name) || SecretMask.isSecret(value: run.env[name] ?? "") {
        cursor.warning(
          .secretInEnv, "`run.env.\(name)` looks like a secret, and `env` is kept in records and unit files", at: place,
          suggestion: "write `secrets: { \(name): { fromEnv: \(name) } }`")
      }
    }
    for (index, word) in run.command.enumerated() {
      for name in unknownPlaceholders(in: word) {
        cursor.warning(
          .unknownPlaceholder, "`${\(name)}` is not replaced", at: cursor.document.place(cursor.key("command").element(index).path),
          suggestion: NearestName.of(name, in: placeholders).map { "did you mean `${\($0)}`?" }
            ?? "known: \(placeholders.map { "`${\($0)}`" }.joined(separator: ", "))")
      }
    }
  }

  private static func unknownPlaceholders(in word: String) -> [String] {
    word.split(separator: "${", omittingEmptySubsequences: false).dropFirst().compactMap { rest in
      guard let end = rest.firstIndex(of: "}") else { return nil }
      let name = String(rest[..<end])
      let isName = !name.isEmpty && Letters.areAll(name, also: "_")
      return isName && !placeholders.contains(name) ? name : nil
    }
  }
}

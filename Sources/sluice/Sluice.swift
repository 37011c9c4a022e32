import ArgumentParser
import SluiceManifest

/// `sluice`: releases services to plain Linux hosts over SSH without losing a request.
@main
struct Sluice: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "Release services to plain Linux hosts over SSH without losing a request.",
    discussion: """
      Begin with `sluice init`, then `sluice validate -f .`, `sluice hosts trust -f .`, `sluice plan -f .` and `sluice apply -f .`.
      Exit status: 0 done, 1 failed, 2 changes pending (plan), 3 waits for you at a gate, 4 failed and rolled back whole,
      5 ended degraded, 64 bad usage, 75 held by another, 130 interrupted and resumable.
      """,
    version: "0.1.0",
    groupedSubcommands: [
      CommandGroup(name: "Manifests", subcommands: [Init.self, Validate.self, PlanCommand.self, Apply.self]),
      CommandGroup(
        name: "Services",
        subcommands: [
          Status.self, RolloutCommand.self, Rollback.self, Split.self, SwitchCommand.self, Stop.self, Start.self, Restart.self, Scale.self,
          Remove.self,
          FreezeCommand.self, Unfreeze.self, Logs.self,
        ]),
      CommandGroup(name: "Fleet", subcommands: [HostsCommand.self, Drain.self, Undrain.self, GatewayCommand.self, Adopt.self]),
      CommandGroup(name: "History", subcommands: [History.self, Events.self]),
    ])

  static func main() async {
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
    } catch {
      if exitCode(for: error) == .validationFailure, let (message, remedy) = mistake(Array(CommandLine.arguments.dropFirst())) {
        Console().complain(message, remedy: remedy)
        exit(withError: ExitStatus.usage)
      }
      exit(withError: error)
    }
  }

  /// What a person meant whom the parser did not understand; nil where its own words say enough.
  private static func mistake(_ words: [String]) -> (message: String, remedy: String)? {
    guard let first = words.first, !first.hasPrefix("-") else { return nil }
    let names = configuration.groupedSubcommands.flatMap(\.subcommands).map { name(of: $0) }
    if first == "scale", let number = words.first(where: { Int($0).map { $0 < 0 } ?? false }) {
      return ("\(number) is no number of replicas", "give one from 0 to 10000")
    }
    if names.contains(first) || first == "help" { return nil }
    let near = NearestName.of(first, in: names)
    return ("sluice has no command \(first)", near.map { "did you mean sluice \($0)?" } ?? "sluice --help lists them")
  }

  private static func name(of command: any ParsableCommand.Type) -> String {
    command.configuration.commandName ?? "\(command)".lowercased()
  }
}

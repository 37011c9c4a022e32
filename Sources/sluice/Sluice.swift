import ArgumentParser

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
          Status.self, RolloutCommand.self, Rollback.self, SwitchCommand.self, Stop.self, Start.self, Restart.self, Scale.self, Logs.self,
        ]),
      CommandGroup(name: "Fleet", subcommands: [HostsCommand.self, Drain.self, Undrain.self, GatewayCommand.self, Adopt.self]),
      CommandGroup(name: "History", subcommands: [History.self, Events.self]),
    ])
}

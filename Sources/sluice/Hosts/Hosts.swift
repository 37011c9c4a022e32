import ArgumentParser

/// `sluice hosts list|check|trust`
struct HostsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hosts", abstract: "The fleet's hosts.", subcommands: [HostsList.self, HostsCheck.self, HostsTrust.self])
}

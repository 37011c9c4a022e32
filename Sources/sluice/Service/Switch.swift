import ArgumentParser

/// `sluice switch open|close|queue SERVICE`
struct SwitchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "switch", abstract: "Open, close or queue a service at its gateways: what was admitted is served to the end.",
    subcommands: [SwitchOpen.self, SwitchClose.self, SwitchQueue.self])
}

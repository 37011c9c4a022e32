import ArgumentParser
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceModel

/// `sluice gateway status|drain|undrain|exclude|include|upgrade`
struct GatewayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gateway", abstract: "The fleet's gateways.",
    subcommands: [
      GatewayStatusCommand.self, GatewayDrain.self, GatewayUndrain.self, GatewayExclude.self, GatewayInclude.self,
      GatewayUpgrade.self,
    ])
}

/// Finds gateway processes by what people call them: the gateway's name, its host, or both.
struct GatewayChooser {
  let workspace: Workspace

  var all: [GatewayID] { workspace.gateways.flatMap(\.processes) }

  /// Throws the usage code when nothing is called so.
  func choose(_ word: String?, _ console: Console) throws -> [GatewayID] {
    guard let word else { return all }
    let chosen = all.filter { $0.host.rawValue == word || $0.gateway.rawValue == word || $0.description == word }
    if chosen.isEmpty {
      console.complain(
        "no gateway of fleet \(workspace.fleet.name) is called \(word)",
        remedy: "there are \(all.map(\.description).joined(separator: ", "))")
      throw ExitStatus.usage
    }
    return chosen
  }
}

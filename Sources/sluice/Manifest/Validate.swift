import ArgumentParser
import SluiceManifest
import SluiceModel

/// `sluice validate -f PATH…`
struct Validate: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Check manifests offline; every problem in one go.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if common.files.isEmpty { throw ValidationError("Say which manifests: -f PATH…") }
  }

  func run() throws {
    let console = Console()
    if output.output == .json {
      let result = ManifestReader.read(paths: common.files)
      try output.printJSON(result.diagnostics)
      if result.manifests == nil { throw ExitStatus.failed }
      return
    }
    let manifests = try Workspace.read(common.files, console, onError: ExitStatus.failed, asResult: true)
    let counts = [
      "\(manifests.fleets.count) fleet(s)", "\(manifests.fleets.flatMap(\.hosts).count) host(s)", "\(manifests.gateways.count) gateway(s)",
      "\(manifests.services.count) service(s)",
    ]
    console.result("valid: \(counts.joined(separator: ", "))")
  }
}

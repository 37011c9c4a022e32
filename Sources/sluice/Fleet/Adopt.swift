import ArgumentParser
import SluiceEngine
import SluiceModel
import SluiceRollout

/// `sluice adopt -f PATH…`
struct Adopt: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read back what runs from the copies on hosts and gateways: on another machine, or when the state was lost.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var change: ChangeOptions

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp("Believe copies that this key has signed, from now on; may be said more than once.", valueName: "SHA256:…"))
  var acceptSigner: [String] = []

  @Flag(help: "Believe, this once, copies that Sluice 0.1 has left: it signed nothing.")
  var acceptUnsigned = false

  @Option(help: ArgumentHelp("Show what each place says of this service's fence, ask, and set it anew.", valueName: "service"))
  var resetFence: String?

  func validate() throws {
    if common.files.isEmpty { throw ValidationError("Say which manifests: -f PATH…") }
    for key in acceptSigner where !key.hasPrefix("SHA256:") || key.utf8.count != 50 {
      throw ValidationError("--accept-signer takes a fingerprint as ssh-keygen -l shows it: SHA256: and 43 characters")
    }
  }

  func run() async throws {
    let console = Console()
    let workspace = try Workspace.load(common, console)
    if let resetFence {
      try KnownNames(workspace).refuseMistaken(service: resetFence, console)
      return try await reset(ServiceName(resetFence), workspace, console)
    }
    try change.confirm("Take over the services of fleet \(workspace.fleet.name) on this machine?", console)
    let accepts = AcceptedCopies(signers: acceptSigner, unsigned: acceptUnsigned)
    let services = workspace.services.map(\.policy.name)
    try await FleetSession.with(workspace, change, command: "adopt", services: services, console: console, accepts: accepts) { session in
      try await session.adopt(workspace.services)
    }
  }

  /// The fence, and then the service with it, so that the newest record stands everywhere under the new epoch.
  private func reset(_ service: ServiceName, _ workspace: Workspace, _ console: Console) async throws {
    let accepts = AcceptedCopies(signers: acceptSigner, unsigned: acceptUnsigned)
    try await FleetSession.with(
      workspace, change, command: "adopt --reset-fence \(service)", services: [service], console: console, accepts: accepts
    ) {
      session in
      try await FenceResetting(service: service, session: session, console: console).run(change)
      try await session.adopt(workspace.services.filter { $0.policy.name == service })
    }
  }
}

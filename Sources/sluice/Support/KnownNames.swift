import ArgumentParser
import SluiceEngine
import SluiceManifest
import SluiceModel
import SluiceRollout
import SluiceStore

/// The services that this machine knows, from its state and from the manifests that were named, to tell what was meant by a wrong name.
struct KnownNames {
  private let fleet: FleetName
  private let records: [ServiceRecord]
  private let services: [String]

  init(_ workspace: Workspace) throws {
    fleet = workspace.fleet.name
    records = try workspace.reader()?.load(fleet).records ?? []
    let declared = workspace.services.map(\.policy.name)
    services = Set(records.map(\.service) + declared).sorted().map(\.rawValue)
  }

  /// A service and all that it was called before, the newest name first.
  static func former(of service: ServiceName, _ records: [ServiceRecord]) -> [ServiceName] {
    var names = [service]
    while let name = names.last, let before = records.first(where: { $0.service == name })?.policy.formerly, !names.contains(before) {
      names.append(before)
    }
    return names
  }

  /// Throws the usage code, having told why, for what cannot be the name of a service or is all but the name of one. Any other that is not known
  /// here may be a service that another machine has released.
  func refuseMistaken(service word: String, _ console: Console, elsewhere: Bool = true) throws {
    if services.contains(word) { return }
    if let slash = word.lastIndex(of: "/") {
      let service = String(word[..<slash])
      if services.contains(service) {
        guard let instance = InstanceID(word), instances(of: instance.service).contains(word) else {
          throw noInstance(word, of: ServiceName(service), console)
        }
        console.complain("\(word) is one instance, and this takes a service", remedy: "say \(service)")
        throw ExitStatus.usage
      }
    }
    guard let near = NearestName.of(word, in: services) else { return }
    console.complain(
      "there is no service \(word) in fleet \(fleet)",
      remedy: "did you mean \(near)?\(elsewhere ? " For a service that only another machine has released, say -f PATH too" : "")")
    throw ExitStatus.usage
  }

  /// As `refuseMistaken`, for commands that only look at what is known here: a name that is not is refused with the failed code.
  func require(service word: String, _ console: Console) throws {
    try refuseMistaken(service: word, console, elsewhere: false)
    if services.contains(word) { return }
    console.complain(
      "\(word) has never been released in fleet \(fleet)",
      remedy: "\(services.isEmpty ? "" : "known here: \(services.joined(separator: ", ")); ")sluice apply -f PATH")
    throw ExitStatus.failed
  }

  /// As `require`, for `shop` and `shop/3`.
  func require(target word: String, _ console: Console) throws {
    try require(service: InstanceID(word)?.service.rawValue ?? word, console)
  }

  /// Tells that there is no such instance, and which there are. The code to throw.
  func noInstance(_ word: String, of service: ServiceName, _ console: Console) -> ExitCode {
    let instances = instances(of: service)
    console.complain(
      "\(word) is no instance of \(service)",
      remedy: instances.isEmpty ? "\(service) has none now" : "there are \(instances.joined(separator: ", "))")
    return ExitStatus.usage
  }

  private func instances(of service: ServiceName) -> [String] {
    records.first { $0.service == service }?.instances.map { "\(service)/\($0.number)" } ?? []
  }
}

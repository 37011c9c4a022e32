import SluiceModel

/// Reads a Fleet: what the fleet says of SSH and the root directory is merged into each host.
enum FleetReader {
  /// Reads the document's `spec`.
  static func read(_ document: MappingReader, name: FleetName) -> Fleet {
    let form = Form<Fleet>.object { spec in
      spec.notBuilt("store", "notifications", "freeze", "windows")
      let defaults = HostDefaults(
        ssh: spec.optional("ssh", .ssh, default: PartialSSH()),
        root: spec.optional("root", .hostDirectory, default: Host(name: "", rack: "", address: "").root))
      let racks = spec.required(
        "racks", .list(of: rack(defaults), atLeast: 1, expected: "a list of racks"), example: "racks: [{ name: rack-a, hosts: [ … ] }]")
      let signers = spec.optional("signers", .list(of: .localPath, atLeast: 1, expected: "a list of files of public keys"))
      let fleet = Fleet(name: name, racks: racks ?? [], signers: signers)
      checkNames(fleet, spec.cursor)
      return fleet
    }
    return document.required("spec", form, example: "spec: { racks: [ … ] }") ?? Fleet(name: name, racks: [])
  }

  private struct HostDefaults {
    var ssh: PartialSSH
    var root: String
  }

  private static func rack(_ defaults: HostDefaults) -> Form<Rack> {
    .object { reader in
      let name = RackName(reader.required("name", .name, example: "name: rack-a") ?? "")
      let hosts = reader.required(
        "hosts", .list(of: host(defaults, rack: name), atLeast: 1, expected: "a list of hosts"),
        example: "hosts: [{ name: a1, address: 10.0.1.11 }]")
      return Rack(name: name, hosts: hosts ?? [])
    }
  }

  private static func host(_ defaults: HostDefaults, rack: RackName) -> Form<Host> {
    .object { reader in
      let name = reader.required("name", .name, example: "name: a1") ?? ""
      let address = reader.required("address", .sshAddress, example: "address: 10.0.1.11") ?? ""
      let serviceAddress = reader.optional("serviceAddress", .numericAddress)
      let ssh = reader.optional("ssh", .ssh, default: PartialSSH()).over(defaults.ssh)
      let host = Host(
        name: HostName(name), rack: rack, address: address, serviceAddress: serviceAddress,
        slots: reader.optional("slots", .number(0...10_000), default: Host(name: "", rack: "", address: "").slots),
        labels: reader.optional("labels", .table(keys: .label, values: .label), default: [:]), ssh: ssh.settings,
        root: reader.optional("root", .hostDirectory, default: defaults.root))
      if !reader.has("serviceAddress"), host.slots > 0, !address.isEmpty, NumericAddress.bits(address) == nil {
        reader.cursor.error(
          .addressNotNumeric, "host `\(name)` has no numeric address for its instances: `\(address)` is a name",
          at: reader.cursor.document.place(reader.cursor.key("address").path),
          suggestion: "add `serviceAddress: 10.0.1.11`, the address at which gateways reach it; or `slots: 0` if it runs no instances")
      }
      return host
    }
  }

  private static func checkNames(_ fleet: Fleet, _ cursor: Cursor) {
    var racks: [RackName: Place] = [:]
    var hosts: [HostName: Place] = [:]
    for (index, rack) in fleet.racks.enumerated() where !rack.name.rawValue.isEmpty {
      let rackCursor = cursor.key("racks").element(index)
      checkName(rack.name, kind: "rack", rackCursor, seen: &racks)
      for (index, host) in rack.hosts.enumerated() where !host.name.rawValue.isEmpty {
        checkName(host.name, kind: "host", rackCursor.key("hosts").element(index), seen: &hosts)
      }
    }
  }

  private static func checkName<Kind: Name>(_ name: Kind, kind: String, _ cursor: Cursor, seen: inout [Kind: Place]) {
    let place = cursor.document.place(cursor.key("name").path)
    if let first = seen[name] {
      cursor.error(
        .duplicateName, "two \(kind)s are called `\(name)`", at: place,
        suggestion: "the other is in \(cursor.document.report.describe(first, from: place)); names are unique in a fleet")
    } else {
      seen[name] = place
    }
  }
}

/// SSH settings as written: what is nil is taken from the fleet, then from OpenSSH's own configuration.
struct PartialSSH {
  var user: String?
  var port: Int?
  var identity: String?
  var knownHosts: String?
  var hostKeys: HostKeyPolicy?
  var jump: String?
  var become: Become?

  /// These settings, filled up from others.
  func over(_ other: PartialSSH) -> PartialSSH {
    PartialSSH(
      user: user ?? other.user, port: port ?? other.port, identity: identity ?? other.identity, knownHosts: knownHosts ?? other.knownHosts,
      hostKeys: hostKeys ?? other.hostKeys, jump: jump ?? other.jump, become: become ?? other.become)
  }

  /// With the model's defaults for what nobody said.
  var settings: SSHSettings {
    let defaults = SSHSettings()
    return SSHSettings(
      user: user, port: port, identity: identity, knownHosts: knownHosts, hostKeys: hostKeys ?? defaults.hostKeys, jump: jump,
      become: become ?? defaults.become)
  }
}

extension Form where Output == PartialSSH {
  /// The `ssh` mapping of a fleet or host.
  static var ssh: Form {
    object { reader in
      PartialSSH(
        user: reader.optional("user", .userName), port: reader.optional("port", .port), identity: reader.optional("identity", .localPath),
        knownHosts: reader.optional("knownHosts", .localPath), hostKeys: reader.optional("hostKeys", .oneOf(HostKeyPolicy.self)),
        jump: reader.optional("jump", .jumpHost), become: reader.optional("become", .oneOf(Become.self, notBuilt: ["doas", "su"])))
    }
  }
}

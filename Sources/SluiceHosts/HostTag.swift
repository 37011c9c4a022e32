internal import Crypto
package import SluiceModel

/// What tells one fleet's units from another's on a host that both use.
package enum HostTag {
  /// Eight hexadecimal digits made of the fleet's name and its root on the host: the first of their SHA-256.
  package static func of(_ fleet: FleetName, root: String) -> String {
    var path = root[...]
    while path.count > 1, path.last == "/" { path = path.dropLast() }
    return digits("\(fleet)\n\(path)")
  }

  /// The user as whom a gateway runs: one for each, since the kernel lets one user's processes share a port.
  static func account(of gateway: GatewayName, _ fleet: FleetName, root: String) -> String {
    "sluice-gateway-" + digits("\(of(fleet, root: root))\n\(gateway)")
  }

  private static func digits(_ text: String) -> String {
    SHA256.hash(data: Array(text.utf8)).prefix(4).map { Token.hexadecimal($0).lowercased() }.joined()
  }

  /// The unit of an instance that this version starts; one that runs already keeps the name it was started with.
  package static func unit(of instance: Int, _ service: ServiceName, _ fleet: FleetName, root: String) -> String {
    "sluice-\(service)-\(instance)-\(fleet)-\(of(fleet, root: root)).service"
  }

  /// The unit of a gateway that this version installs.
  package static func unit(of gateway: GatewayName, _ fleet: FleetName, root: String) -> String {
    "sluice-gateway-\(gateway)-\(fleet)-\(of(fleet, root: root)).service"
  }
}

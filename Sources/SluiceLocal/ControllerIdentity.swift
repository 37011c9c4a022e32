internal import Crypto
internal import Foundation
internal import Glibc

/// Who this run of Sluice is, for fences: `ann@laptop.3fa92c11:7d0e4c21:4711:9c3fe2a04b71d586`.
package struct ControllerIdentity: Hashable, Sendable {
  /// `ann`
  package let user: String
  /// `laptop.3fa92c11`: the host name, and eight digits that tell machines of the same name apart. The same for every run on this machine.
  package let machine: String
  /// `user@machine:boot:pid:random`, unique per run.
  package let owner: String

  package init(user: String, machine: String, boot: String, pid: Int32, random: UInt64) {
    self.user = user
    self.machine = machine
    let digits = String(random, radix: 16)
    owner = "\(user)@\(machine):\(boot):\(pid):" + String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// `ann@laptop.3fa92c11`, for people.
  package var who: String { "\(user)@\(machine)" }

  /// The machine part of an owner; the whole text where it has another form.
  package static func machine(of owner: String) -> String {
    guard let at = owner.lastIndex(of: "@") else { return owner }
    return String(owner[owner.index(after: at)...].prefix { $0 != ":" })
  }

  /// This process.
  package static func current() -> ControllerIdentity {
    let host = plain(hostName().split(separator: ".").first.map(String.init) ?? "localhost")
    // machine-id(5) is not to be shown to others as it is.
    let machineID = firstLine("/etc/machine-id") ?? host
    let hash = hexadecimal(SHA256.hash(data: Data("sluice \(machineID)".utf8))).prefix(8)
    return ControllerIdentity(
      user: plain(userName()), machine: "\(host).\(hash)", boot: String((firstLine("/proc/sys/kernel/random/boot_id") ?? "0").prefix(8)),
      pid: getpid(), random: .random(in: 0...UInt64.max))
  }

  /// Whether the run of Sluice with this owner, on this machine, is still there: the same boot, and a process of that number with this
  /// program's name. A number that another run of Sluice has got since is taken for it: then `--take-over` is needed.
  package static func isLive(owner: String) -> Bool {
    let parts = owner.split(separator: ":")
    guard parts.count == 4, let pid = Int32(parts[2]), let boot = firstLine("/proc/sys/kernel/random/boot_id"), boot.hasPrefix(parts[1]),
      let name = firstLine("/proc/\(pid)/comm")
    else { return false }
    return name == firstLine("/proc/self/comm")
  }

  private static func userName() -> String {
    if let entry = getpwuid(getuid()), let name = entry.pointee.pw_name { return String(cString: name) }
    return "uid\(getuid())"
  }

  /// Foundation's would ask the DNS.
  private static func hostName() -> String {
    var name = utsname()
    guard uname(&name) == 0 else { return "" }
    return withUnsafeBytes(of: &name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Without the characters that part an owner.
  private static func plain(_ text: String) -> String { String(text.map { "@: \n".contains($0) ? "-" : $0 }) }

  private static func firstLine(_ path: String) -> String? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8), let line = text.split(separator: "\n").first else { return nil }
    return String(line)
  }
}

import Foundation

extension Site {
  /// A release that is well on some hosts only: elsewhere it never gets ready. The program is a shell script that looks where it runs.
  func release(_ version: String, wellOn hosts: [String], fault: String = "fail-health") throws {
    try release(version)
    let folder = "\(directory)/releases/\(version)/bin"
    if !FileManager.default.fileExists(atPath: "\(folder)/sample") {
      try FileManager.default.moveItem(atPath: "\(folder)/sluice-sample", toPath: "\(folder)/sample")
    }
    let script = """
      #!/bin/sh
      case " \(hosts.joined(separator: " ")) " in
        *" $(hostname) "*) exec "${0%/*}/sample" "$@" ;;
        *) exec "${0%/*}/sample" "$@" --fault \(fault) ;;
      esac

      """
    try script.write(toFile: "\(folder)/sluice-sample", atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/sluice-sample")
  }

  /// `sluice plan --output json`, and its exit code.
  func plan() async throws -> (status: Int32, plans: [Plan]) {
    let output = try await sluice("plan", "-f", "manifests", "--output", "json")
    guard let plans = try? JSONDecoder().decode([Plan].self, from: Data(output.out.utf8)) else { throw ProgramError("plan: \(output.all)") }
    return (output.status, plans)
  }

  /// What is left on the hosts that the status does not tell of, and what is told and is not there: empty when all is as it is told.
  func strays(on hosts: [String], service: String = "shop") async throws -> [String] {
    let told = try await status().first { $0.service == service }?.instances ?? []
    var strays: [String] = []
    for host in hosts {
      let script = """
        cd /var/lib/sluice/\(service)/instances 2>/dev/null && for each in *; do [ -d "$each" ] && echo "directory $each"; done
        cd / && for each in /etc/systemd/system/sluice-\(service)-*.service; do
          [ -e "$each" ] || continue
          each=${each##*/sluice-\(service)-}
          echo "unit ${each%%-*}"
        done
        for each in /var/lib/sluice/ports/*; do [ -f "$each" ] && grep -q "^\(service) " "$each" && echo "port ${each##*/}"; done
        pgrep -xc 'sample|sluice-sample' | sed 's/^/processes /'
        """
      let seen = try await rig.run(on: host, "sh", "-c", script).out.split(separator: "\n").map(String.init)
      let here = told.filter { $0.host == host }
      var wanted: [String] = []
      for instance in here {
        let number = instance.instance.split(separator: "/").last.map(String.init) ?? ""
        wanted += ["directory \(number)", "unit \(number)", "port \(instance.port)"]
      }
      wanted.append("processes \(here.count)")
      strays += seen.filter { !wanted.contains($0) }.map { "\(host): \($0) is there" }
      strays += wanted.filter { !seen.contains($0) }.map { "\(host): \($0) is missing" }
    }
    return strays
  }
}

/// The part of `sluice plan --output json` that tests read.
struct Plan: Codable {
  struct Wave: Codable {
    struct Added: Codable {
      var instance: String
      var host: String
      var port: Int
    }
    var number: Int
    var text: String
    var added: [Added]
    var attempts: [String]
    var leastServing: Int
    var mostExisting: Int
  }
  var service: String
  /// What comes before the first wave: files to the hosts, mostly.
  var before: [String]
  var waves: [Wave]
  var floor: Int
  var cap: Int
  var obstacle: String?
}

/// Every line of a gateway's watch, and so every table, health and drain that it has had, from its admin socket.
final class GatewayWatch {
  private let program: Program
  private let rig: Rig
  private let host: String
  private let stop = "/run/watch-\(UUID().uuidString).stop"

  init(_ rig: Rig, on host: String, gateway: String = "edge") throws {
    self.rig = rig
    self.host = host
    // A signal to the rig's script does not reach into the host: a file there ends it.
    let script = """
      curl --silent --no-buffer --max-time 300 --unix-socket /var/lib/sluice/gateway/\(gateway)/admin.sock http://gateway/v1/watch &
      until [ -e \(stop) ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
      kill $!
      """
    program = try Program(["\(Place.top)/Tests/Rig/rig", "--name", rig.name, "exec", host, "--", "sh", "-c", script])
  }

  /// Ends the watch: the targets of the service in each line that told of them.
  func finish(service: String = "shop") async throws -> [[[String: Any]]] {
    _ = try await rig.run(on: host, "touch", stop)
    _ = try await program.wait(.seconds(20))
    var moments: [[[String: Any]]] = []
    for line in program.out.split(separator: "\n") {
      guard let value = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else { continue }
      var all: [[String: Any]] = []
      if let gateway = (value["snapshot"] as? [String: Any])?["gateway"] as? [String: Any] {
        all = gateway["services"] as? [[String: Any]] ?? []
      }
      if let status = (value["service"] as? [String: Any])?["status"] as? [String: Any] { all = [status] }
      for status in all where status["service"] as? String == service {
        moments.append(status["targets"] as? [[String: Any]] ?? [])
      }
    }
    return moments
  }
}

import Foundation
import Testing

extension EndToEnd {
  /// Each error says what happened, where, why and what to do next, has its exit code, and leaves what stood as it stood.
  @Suite(.serialized) struct Errors {
    /// Two hosts that run v1, and a v2 to be applied.
    private struct Stand {
      let site: Site
      let hosts = ["a1", "b1"]
      var shop = Site.Shop()

      init(_ name: String, flags: [String] = []) async throws {
        site = try Site(rig: try await Rig.up(name, racks: 2, hosts: 1, flags: flags))
        try site.gateway()
        for version in ["v1", "v2"] { try site.release(version) }
        shop.replicas = 2
        shop.startTimeout = "4s"
        shop.minHealthyTime = "100ms"
        shop.ports = "{ from: 20000, to: 20003 }"
        shop.strategy = "rolling: { maxUnavailable: 1, maxSurge: 0 }"
      }

      func begin() async throws {
        try site.service("v1", shop)
        let output = try await site.apply()
        try #require(output.status == 0, "\(output.all)")
      }

      func on(_ host: String, _ script: String) async throws {
        let output = try await site.rig.run(on: host, "sh", "-ec", script)
        try #require(output.status == 0, "\(script): \(output.all)")
      }

      /// Applies, and holds the error to what it has to say. v1 serves whole before and after.
      func refuses(_ output: Program.Output, code: Int32, says: [String], bad: [Int] = []) async throws {
        #expect(output.status == code, "\(output.all)")
        for words in says { #expect(output.error.contains(words), "it says \(words)\n\(output.all)") }
        #expect(output.error.contains("next:"), "it says what to do next\n\(output.all)")
        if ProcessInfo.processInfo.environment["SLUICE_SHOW"] != nil { print(output.error, "\n") }
        let status = try #require(try await site.status().first)
        #expect(status.release == 1 && status.serving == 2 && status.rollout == nil, "\(status)")
        #expect(status.instances.allSatisfy { $0.release == 1 && $0.serving }, "\(status)")
        #expect(status.badReleases == bad, "\(status)")
        #expect(try await site.strays(on: hosts) == [])
      }

      /// What was mended goes through.
      func goesThrough(_ version: String) async throws {
        try site.service(version, shop)
        let output = try await site.apply()
        #expect(output.status == 0, "\(output.all)")
        #expect(try await site.strays(on: hosts) == [])
      }
    }

    @Test("what the controller lacks: an artifact, a secret, a host's key")
    func controllerLacks() async throws {
      var stand = try await Stand("e2e-err-c")
      let site = stand.site
      try await stand.begin()

      try site.service("nowhere", stand.shop)
      try await stand.refuses(await site.apply(), code: 1, says: ["shop:", "releases/nowhere"])

      let usual = stand.shop
      stand.shop.run = "secrets: { TOKEN: { fromFile: ../token } }"
      try site.service("v2", stand.shop)
      try await stand.refuses(await site.apply(), code: 1, says: ["shop:", "secret TOKEN", "/token", "No such file"])
      stand.shop.run = "secrets: { TOKEN: { fromEnv: SHOP_TOKEN_THAT_IS_NOT_SET } }"
      try site.service("v2", stand.shop)
      try await stand.refuses(await site.apply(), code: 1, says: ["shop:", "secret TOKEN", "SHOP_TOKEN_THAT_IS_NOT_SET is not set"])
      stand.shop = usual

      let known = try String(contentsOfFile: try #require(Self.knownHosts(site)), encoding: .utf8)
      let address = try site.rig.address(of: "a1")
      func know(_ lines: [String]) throws {
        try site.write("known_hosts", lines.joined(separator: "\n") + "\n")
        try site.write(
          "manifests/fleet.yaml",
          site.rig.fleet.replacing(/knownHosts: .*/, with: "knownHosts: \(site.directory)/known_hosts"))
      }
      let lines = known.split(separator: "\n").map(String.init)
      try site.service("v2", stand.shop)
      try know(lines.filter { !$0.hasPrefix(address + " ") })
      try await stand.refuses(await site.apply(), code: 1, says: ["a1", "SHA256:", "sluice hosts trust"])

      let key = "\(site.directory)/other"
      try #require(try await Program.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]).status == 0)
      let other = try String(contentsOfFile: key + ".pub", encoding: .utf8).split(separator: " ").prefix(2).joined(separator: " ")
      try know(lines.filter { !$0.hasPrefix(address + " ") } + ["\(address) \(other)"])
      try await stand.refuses(await site.apply(), code: 1, says: ["a1", "SHA256:", "known_hosts"])

      try know(lines)
      try await stand.goesThrough("v2")
    }

    @Test("what a host lacks: sudo, a tool, room, free ports")
    func hostLacks() async throws {
      var stand = try await Stand("e2e-err-h", flags: ["--user", "deploy"])
      let site = stand.site
      try await stand.on("a1", "mkdir -p /var/lib/sluice && mount -t tmpfs -o size=400m,mode=755 small /var/lib/sluice")
      try await stand.begin()
      try site.service("v2", stand.shop)

      try await stand.on("a1", "sed -i.away '/^deploy/d' /etc/sudoers")
      try await stand.refuses(await site.apply(), code: 1, says: ["a1", "sudo", "deploy", "NOPASSWD"])
      try await stand.on("a1", "mv /etc/sudoers.away /etc/sudoers")

      try await stand.on("b1", "mv /usr/bin/flock /usr/bin/flock.away")
      try await stand.refuses(await site.apply(), code: 1, says: ["b1", "missing", "flock", "apt-get install"])
      try await stand.on("b1", "mv /usr/bin/flock.away /usr/bin/flock")

      try await stand.on("a1", "fallocate -l $(($(df --output=avail -k /var/lib/sluice | tail -1) - 3000))K /var/lib/sluice/full")
      try await stand.refuses(await site.apply(), code: 1, says: ["a1", "room", "/var/lib/sluice"])
      try await stand.on("a1", "rm /var/lib/sluice/full")

      // All ports of the range that v1 has not: on every host, or the instances would go to the other one.
      for host in stand.hosts {
        let taken = try await site.status()[0].instances.first { $0.host == host }?.port
        let others = (20_000...20_003).filter { $0 != taken }
        let listens = others.map { "--listen=0.0.0.0:\($0)" }.joined(separator: " ")
        try await stand.on(host, "systemd-run --quiet --unit=squatter systemd-socket-activate \(listens) cat")
        try await Program.until("the ports of \(host) are taken") {
          try await site.rig.run(on: host, "ss", "-Hltn", "sport = :\(others[2])").out.contains("LISTEN")
        }
      }
      stand.shop.strategy = "rolling: { maxUnavailable: 0, maxSurge: 1 }"
      stand.shop.more = ["progressDeadline: 20s"]
      try site.service("v2", stand.shop)
      try await stand.refuses(await site.apply(), code: 1, says: ["free port in 20000–20003", "widen ports"])
      for host in stand.hosts { try await stand.on(host, "systemctl stop squatter") }

      try await stand.goesThrough("v2")
    }

    @Test("what the release or the host's sshd does not allow: a command that is not there, forwarding")
    func cannotStart() async throws {
      let stand = try await Stand("e2e-err-s")
      let site = stand.site
      try await stand.begin()

      try site.release("v3")
      try FileManager.default.removeItem(atPath: "\(site.directory)/releases/v3/bin/sluice-sample")
      try site.service("v3", stand.shop)
      try await stand.refuses(await site.apply(), code: 1, says: ["the artifact has no bin/sluice-sample", "run.command"])

      // It ends at once: how, and its last words.
      try site.release("v4", fault: "exit=3")
      try site.service("v4", stand.shop)
      try await stand.refuses(
        await site.apply(), code: 4, says: ["exit status 3", "cannot start: told to end with status 3"], bad: [3])

      try await stand.on("a1", "echo 'AllowTcpForwarding no' >>/etc/ssh/sshd_config && systemctl reload ssh")
      try await stand.on("b1", "echo 'AllowTcpForwarding no' >>/etc/ssh/sshd_config && systemctl reload ssh")
      try site.service("v2", stand.shop)
      try await stand.refuses(
        await site.apply(), code: 1, says: ["forbids forwarding", "AllowTcpForwarding local", "health.readiness: { exec:"], bad: [3])
      for host in stand.hosts {
        try await stand.on(host, "sed -i '/^AllowTcpForwarding/d' /etc/ssh/sshd_config && systemctl reload ssh")
      }
      try await stand.goesThrough("v2")
    }

    @Test("a manifest with ten mistakes is told all ten, with places and suggestions, and nothing is done")
    func tenMistakes() async throws {
      let golden = "\(Place.top)/Tests/SluiceManifestTests/Golden/ten-different-mistakes/input.yaml"
      let output = try await Program.run([Place.program("sluice"), "validate", "-f", golden])
      #expect(output.status != 0)
      let places = output.out.matches(of: /input\.yaml:[0-9]+:[0-9]+: error/)
      #expect(places.count == 10, "\(output.all)")
      #expect(output.out.matches(of: /\n *\^/).count >= 1 || output.out.contains("^"), "\(output.all)")
      let applied = try await Program.run([
        Place.program("sluice"), "apply", "--yes", "-f", golden, "--state", "\(FileManager.default.temporaryDirectory.path)/none",
      ])
      #expect(applied.status == 64 && applied.error.contains("nothing was done"), "\(applied.all)")
    }

    private static func knownHosts(_ site: Site) -> String? {
      site.rig.fleet.firstMatch(of: /knownHosts: (.*)/).map { String($0.1) }
    }
  }
}

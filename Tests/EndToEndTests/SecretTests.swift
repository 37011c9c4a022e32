import Foundation
import Testing

extension EndToEnd {
  @Suite(.serialized) struct Secrets {
    @Test("a secret's value is nowhere but in its own file, a new value is its own restart, and a rollback keeps it")
    func secretsStaySecret() async throws {
      let rig = try await Rig.up("e2e-secret", racks: 2, hosts: 1, flags: ["--user", "deploy"])
      let site = try Site(rig: rig)
      try site.gateway()
      let hosts = ["a1", "b1"]
      for host in hosts {
        let made = try await rig.run(on: host, "useradd", "--system", "shop")
        try #require(made.status == 0, "\(made.all)")
      }
      var shop = Site.Shop()
      shop.replicas = 2
      shop.minHealthyTime = "100ms"
      shop.run =
        "user: shop, secrets: { TOKEN: { fromEnv: SHOP_TOKEN }, PASSWORD: { fromFile: ../password }, KEY: { fromCommand: [cat, ../key] } }"
      for version in ["v1", "v2"] { try site.release(version) }
      var secrets = Values()
      let first = secrets.all
      try secrets.write(site)

      let traces = try await hosts.asyncMap { try await Trace(rig, $0) }
      var said = ""
      func sluice(_ words: String...) async throws -> Program.Output {
        let output = try await Program.run(
          [Place.program("sluice")] + words + ["--state", "\(site.directory)/state"], environment: ["SHOP_TOKEN": secrets.token],
          in: site.directory)
        said += output.all
        return output
      }
      func apply() async throws {
        said += try await sluice("plan", "-f", "manifests", "--output", "json").all
        let output = try await sluice("apply", "-f", "manifests", "--yes", "--verbose")
        try #require(output.status == 0, "\(output.all)")
      }
      for version in ["v1", "v2"] {
        try site.service(version, shop)
        try await apply()
      }
      #expect(try await Self.seenByProcesses(rig, hosts) == secrets.token)

      // The same release with another value: every instance is replaced, one after another.
      let before = try await site.status()[0]
      secrets = Values()
      try secrets.write(site)
      let plan = try await sluice("plan", "-f", "manifests")
      #expect(plan.status == 2, "\(plan.all)")
      let changed = try await sluice("apply", "-f", "manifests", "--yes", "--verbose")
      #expect(changed.status == 0, "\(changed.all)")
      let after = try await site.status()[0]
      #expect(after.release == before.release && after.serving == 2)
      #expect(Set(after.instances.map(\.instance)).isDisjoint(with: before.instances.map(\.instance)), "\(after)")
      #expect(changed.error.contains("wave 2"), "a rolling one\n\(changed.error)")
      #expect(try await Self.seenByProcesses(rig, hosts) == secrets.token)

      let back = try await sluice("rollback", "shop", "--yes")
      #expect(back.status == 0, "\(back.all)")
      #expect(try await site.status()[0].release == 1)
      #expect(try await Self.seenByProcesses(rig, hosts) == secrets.token, "the release goes back, the secret does not")

      for words in [["status"], ["status", "--output", "json"], ["history"], ["events"], ["logs", "shop"]] {
        let output = try await Program.run(
          [Place.program("sluice")] + words + ["--state", "\(site.directory)/state"], in: site.directory, limit: .seconds(30))
        said += output.all
      }
      let values = first + secrets.all
      for value in values { #expect(!said.contains(value), "what sluice prints") }
      try Self.expectNone(of: values, below: "\(site.directory)/state")
      for (host, trace) in zip(hosts, traces) {
        let execs = try await trace.finish()
        #expect(
          execs.count > 50 && execs.contains { $0.contains("sluice-sample") }, "the trace of \(host) saw what was started: \(execs.count)")
        for value in values { #expect(!execs.contains { $0.contains(value) }, "an argument list on \(host)") }
        try await Self.expectOnlyInFiles(values, now: secrets.all, rig, host)
      }
      try await Self.expectOnlyInFiles(values, now: [], rig, "g1")
    }

    /// New values each time, so that nothing else can look like them.
    private struct Values {
      let token = "token-\(UUID().uuidString)"
      let password = "pass\"word '$HOME' \\ %n \(UUID().uuidString)"
      let key = "key-\(UUID().uuidString)"
      /// What is looked for: of the password, which may be quoted, the part that no quoting changes.
      var all: [String] { [token, String(password.suffix(36)), key] }

      func write(_ site: Site) throws {
        try site.write("password", password + "\n")
        try site.write("key", key)
      }
    }

    /// Every execve below sshd and systemd of one host, with whole argument lists.
    private struct Trace {
      let rig: Rig
      let host: String
      let program: Program

      init(_ rig: Rig, _ host: String) async throws {
        self.rig = rig
        self.host = host
        let script = """
          exec strace -I 1 -f -qq -s 1000000 -e trace=execve,execveat -e signal=none -o /run/trace -p 1 -p "$(pgrep -o -x sshd)"
          """
        let program = try Program(["\(Place.top)/Tests/Rig/rig", "--name", rig.name, "exec", host, "--", "sh", "-c", script])
        self.program = program
        try await Program.until("strace of \(host) has begun") {
          if !program.isRunning { throw ProgramError("strace: \(program.error)") }
          return try await rig.run(on: host, "sh", "-c", "grep -l TracerPid:.[1-9] /proc/1/status").status == 0
        }
      }

      func finish() async throws -> [String] {
        _ = try await rig.run(
          on: host, "sh", "-c", "pkill -x strace; for n in $(seq 50); do pgrep -x strace || exit; sleep 0.1; done; pkill -KILL -x strace")
        _ = try await program.wait(.seconds(20))
        let output = try await rig.run(on: host, "cat", "/run/trace")
        _ = try await rig.run(on: host, "rm", "/run/trace")
        return output.out.split(separator: "\n").map(String.init)
      }
    }

    /// The one value of TOKEN that all running instances have in their environment.
    private static func seenByProcesses(_ rig: Rig, _ hosts: [String]) async throws -> String? {
      var seen: Set<String> = []
      for host in hosts {
        let output = try await rig.run(
          on: host, "sh", "-c", "for p in $(pgrep -x sluice-sample); do tr '\\0' '\\n' </proc/$p/environ | grep ^TOKEN=; done")
        seen.formUnion(output.out.split(separator: "\n").map { String($0.dropFirst(6)) })
      }
      return seen.count == 1 ? seen.first : "\(seen.count) values"
    }

    private static func expectNone(of values: [String], below directory: String) throws {
      for case let path as String in FileManager.default.enumerator(atPath: directory) ?? FileManager.DirectoryEnumerator() {
        guard let data = FileManager.default.contents(atPath: "\(directory)/\(path)") else { continue }
        for value in values { #expect(data.range(of: Data(value.utf8)) == nil, "\(path)") }
      }
    }

    /// On a host's disk the values of now lie in one file of mode 0600 that is the service's user's, those of before nowhere; and nobody's
    /// argument list and no journal has one.
    private static func expectOnlyInFiles(_ values: [String], now: [String], _ rig: Rig, _ host: String) async throws {
      // What is looked for lies in memory, and is written there after everything else has ended.
      let patterns = values.joined(separator: "\n")
      let hidden = try await rig.run(on: host, "sh", "-c", "umask 077; cat >/dev/shm/search <<'X'\n\(patterns)\nX")
      try #require(hidden.status == 0)
      let found = try await rig.run(
        on: host, "sh", "-c",
        "grep -ralFf /dev/shm/search /etc /home /root /run /srv /tmp /var /opt 2>/dev/null; journalctl --quiet --no-pager -o export | grep -acFf /dev/shm/search; rm /dev/shm/search"
      )
      var lines = found.out.split(separator: "\n").map(String.init)
      #expect(lines.popLast() == "0", "no journal holds one")
      if now.isEmpty {
        #expect(lines == [])
      } else {
        #expect(lines.count == 1 && lines[0].hasPrefix("/var/lib/sluice/shop/secrets/"), "\(host): \(lines)")
        let mode = try await rig.run(on: host, "stat", "-c", "%a %U", lines.first ?? "/")
        #expect(mode.out == "600 shop\n", "\(mode.out)")
      }
    }
  }
}

extension Array {
  func asyncMap<Result>(_ body: (Element) async throws -> Result) async throws -> [Result] {
    var results: [Result] = []
    for element in self { results.append(try await body(element)) }
    return results
  }
}

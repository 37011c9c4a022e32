import Foundation
import Testing

@testable import SluiceSSH

@Suite("OpenSSH's configuration")
struct ConfigTests {
  @Test(
    "A process is only worth it where a file says something about the host that Sluice uses",
    arguments: [
      ("", false), ("# Host web\nHost *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n", false), ("Host web\n  User deploy\n", true),
      ("Host other\n  User deploy\n", false), ("Host w*b !web\n  Port=22\n", true), ("Host \"web\"\n  Port 22\n", true),
      ("User deploy\n", true), ("IdentityFile = ~/.ssh/x\n", true), ("Host other\nMatch exec \"true\"\n  User x\n", true),
      ("Match final all\n  GSSAPIAuthentication yes\n", false), ("Host x \"y\n", true), ("host WEB\n\tuser x # why\n", true),
      ("Include part\n", true), ("Host other\nInclude part\n", true), ("Host other\nInclude lead\n", false),
      ("Host w?b\nInclude lead\n", true), ("Include *.none\n", false), ("Include ~x/y\n", true), ("Include %d/y\n", true),
      ("Include round\n", true),
    ])
  func concern(text: String, expected: Bool) throws {
    let folder = NSTemporaryDirectory() + "sluice-config-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, content) in [("config", text), ("part", "Host w*\n  ProxyJump b\n"), ("lead", "User x\n"), ("round", "Include round\n")] {
      try content.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
    }
    var scan = SSHConfigScan()
    scan.read("\(folder)/config", folder: folder)
    scan.read("\(folder)/none", folder: folder)
    #expect(scan.concerns("web") == expected)
  }

  @Test(
    "Without any file the defaults are OpenSSH's own",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh"), "needs ssh"))
  func defaults() async throws {
    let asked = try #require(try await SSHConfig.resolve(host: "Web.Example", user: "deploy", port: 2022, configFile: "/dev/null"))
    let own = SSHConfig.defaults(host: "Web.Example", user: "deploy", port: 2022)
    #expect((own.hostname, own.user, own.port) == (asked.hostname, asked.user, asked.port))
    #expect(own.userKnownHostsFiles == asked.userKnownHostsFiles && own.globalKnownHostsFiles == asked.globalKnownHostsFiles)
    #expect(Set(asked.identityFiles).isSubset(of: own.identityFiles) && own.identitiesOnly == asked.identitiesOnly)
    #expect(
      try await SSHConfig.resolve(host: "a", configFile: "/dev/null")?.user == SSHConfig.defaults(host: "a", user: nil, port: nil).user)
  }

  @Test("The output of ssh -G is read, with tokens and tildes expanded")
  func parsing() {
    let config = SSHConfig.parse(
      """
      user deploy
      hostname 10.0.0.7
      port 2222
      identitiesonly yes
      identityfile ~/.ssh/%h_%r
      identityfile /keys/100%%
      identityagent none
      userknownhostsfile ~/.ssh/known_hosts /other
      globalknownhostsfile none
      stricthostkeychecking accept-new
      hostkeyalias web
      proxyjump ops@bastion:2200
      nonsense

      """, host: "web")
    let home = NSHomeDirectory()
    #expect(config.hostname == "10.0.0.7")
    #expect(config.user == "deploy")
    #expect(config.port == 2222)
    #expect(config.identitiesOnly)
    #expect(config.identityFiles == ["\(home)/.ssh/10.0.0.7_deploy", "/keys/100%"])
    #expect(config.agentSocket == nil)
    #expect(config.userKnownHostsFiles == ["\(home)/.ssh/known_hosts", "/other"])
    #expect(config.globalKnownHostsFiles.isEmpty)
    #expect(config.hostKeyAlias == "web")
    #expect(config.proxyJump == "ops@bastion:2200")
  }

  @Test(
    "OpenSSH resolves an alias, and jumps through jumps",
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh"), "needs ssh"))
  func resolving() async throws {
    let file = NSTemporaryDirectory() + "sluice-config-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: file) }
    try """
    Host web
      HostName 192.0.2.4
      User deploy
      Port 2022
      IdentityFile /keys/web
      ProxyJump first.example,ops@second.example:77
    Host broken
      Port many
    """.write(toFile: file, atomically: true, encoding: .utf8)
    try await refused(file)
    try """
    Host web
      HostName 192.0.2.4
      User deploy
      Port 2022
      IdentityFile /keys/web
      ProxyJump first.example,ops@second.example:77
    Host odd
      ProxyCommand nc %h %p
    """.write(toFile: file, atomically: true, encoding: .utf8)
    let config = try #require(try await SSHConfig.resolve(host: "web", configFile: file))
    let endpoint = try await config.endpoint(name: "a1")
    #expect(endpoint.name == "a1")
    #expect(endpoint.address == "192.0.2.4")
    #expect(endpoint.user == "deploy")
    #expect(endpoint.identityFiles == ["/keys/web"])
    #expect(endpoint.hostKeys == .strict)
    #expect(endpoint.jumps.map(\.address) == ["first.example", "second.example"])
    #expect(endpoint.jumps.last?.port == 77)
    #expect(endpoint.jumps.last?.user == "ops")
    #expect(try await SSHConfig.resolve(host: "web", user: "root", port: 1, configFile: file)?.user == "root")
    let odd = try #require(try await SSHConfig.resolve(host: "odd", configFile: file))
    #expect(await sshError { try await odd.endpoint(name: "odd") }?.code == .badConfiguration)
    #expect(try await SSHConfig.resolve(host: "web", configFile: file, program: "no-such-ssh") == nil)
    #expect(await sshError { try await SSHConfig.resolve(host: "-oProxyCommand=x") }?.code == .badConfiguration)
  }

  private func refused(_ file: String) async throws {
    let error = await sshError { try await SSHConfig.resolve(host: "broken", configFile: file) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.step == .resolve)
  }

  @Test("Jump hosts are read in all their spellings", arguments: ["host", "user@host", "host:22", "ssh://user@host:22", "[::1]:22", "::1"])
  func hops(text: String) async throws {
    let jumps = try await SSHConfig.jump(text, for: "a")
    #expect(jumps.count == 1)
    #expect(jumps[0].port == 22)
  }

  @Test("What is no jump host is refused", arguments: ["", "host:", "host:x", "user@", "[::1", "host:0", "host:99999"])
  func badHops(text: String) async {
    #expect(await sshError { try await SSHConfig.jump(text, for: "a") }?.code == .badConfiguration)
  }

  @Test("An error reads well: host, step, cause, doubt, remedy")
  func errorText() {
    let error = SSHError(
      .timeout, .silence, host: "a1", cause: "the command neither wrote nor read for 5 s", remedy: "Look at the host.", inDoubt: true)
    #expect(
      error.description == "a1: timeout: the command neither wrote nor read for 5 s; whether the command ran is in doubt. Look at the host."
    )
  }
}

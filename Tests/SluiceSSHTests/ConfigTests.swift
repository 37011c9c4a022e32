import Foundation
import Testing

@testable import SluiceSSH

@Suite("OpenSSH's configuration")
struct ConfigTests {
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
    #expect(try await SSHConfig.resolve(host: "web", program: "no-such-ssh") == nil)
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

internal import NIOCore
internal import SluiceModel
internal import SluiceSSH

/// One question to an instance, through its host's SSH connection.
struct ReadinessProbe: Sendable, CustomStringConvertible {
  enum Outcome: Sendable {
    case ready
    /// It may become ready: refused, another status, no answer in time.
    case notReady(String)
    case forbidden(SSHError)
    case lost(SSHError)
  }

  var probe: ReadinessCheck.Probe
  var address: String
  var port: Int
  var timeout: Duration

  private var authority: String { ListenAddress(address: address, port: port).description }

  var description: String {
    switch probe {
    case .http(let path, let status, let host, _):
      "GET http://\(authority)\(path) (\(host.map { "host \($0), " } ?? "")\(status) wanted)"
    case .tcp: "connecting to \(authority)"
    case .exec(let command): command.joined(separator: " ")
    }
  }

  func ask(through connection: SSHConnection) async -> Outcome {
    await withTaskGroup(of: Outcome.self) { group in
      group.addTask { await exchange(connection) }
      group.addTask {
        try? await Task.sleep(for: timeout)
        return .notReady("no answer within \(timeout)")
      }
      let first = await group.next()
      group.cancelAll()
      return first ?? .notReady("it was not asked")
    }
  }

  private func exchange(_ connection: SSHConnection) async -> Outcome {
    do {
      let channel = try await connection.openDirectTCPIP(host: address, port: port)
      let outcome: Outcome
      do { outcome = try await converse(channel) } catch {
        await channel.close()
        throw error
      }
      await channel.close()
      return outcome
    } catch let error as SSHError {
      switch error.code {
      case .forwardingForbidden: return .forbidden(error)
      case .forwardRefused: return .notReady("connection refused")
      default: return .lost(error)
      }
    } catch {
      return .notReady("\(error)")
    }
  }

  private func converse(_ channel: SSHByteChannel) async throws -> Outcome {
    guard case .http(let path, let wanted, let host, let headers) = probe else { return .ready }
    try await channel.write(
      ByteBuffer(string: ProbeRequest.text(path: path, host: host, headers: headers, authority: authority, agent: "sluice")))
    var answer = HTTPAnswer()
    while !answer.isEnough, let chunk = try await channel.read() { answer.append(chunk.bytes.readableBytesView) }
    guard let status = answer.status else {
      return .notReady(answer.isEmpty ? "the connection was closed without an answer" : "the answer is not HTTP: \(answer.excerpt)")
    }
    return status == wanted ? .ready : .notReady("status \(status): \(answer.excerpt)")
  }
}

/// The beginning of an HTTP/1 response: its status (RFC 9112 section 4) and an excerpt of its body.
struct HTTPAnswer: Equatable, Sendable {
  private static let limit = 4096
  private var bytes: [UInt8] = []

  init() {}

  mutating func append(_ more: some Sequence<UInt8>) { bytes += more.prefix(Self.limit + 1 - bytes.count) }

  var isEmpty: Bool { bytes.isEmpty }

  /// nil until the status line is whole, or where it is none.
  var status: Int? {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let words = bytes[..<end].split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count >= 2, words[0].starts(with: "HTTP/1.".utf8), words[0].count == 8 else { return nil }
    let digits = words[1].filter { $0 != UInt8(ascii: "\r") }
    guard digits.count == 3, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  /// A body's beginning is here, or more than anyone wants to read.
  var isEnough: Bool { bytes.count > Self.limit || (bodyStart.map { $0 < bytes.count } ?? false) }

  /// One line for people.
  var excerpt: String {
    let body = bodyStart.map { bytes[$0...] } ?? bytes[...]
    return String(decoding: body.prefix(200), as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
  }

  private var bodyStart: Int? {
    guard bytes.count >= 4 else { return nil }
    return (3..<bytes.count).first { bytes[($0 - 3)...$0].elementsEqual("\r\n\r\n".utf8) }.map { $0 + 1 }
  }
}

internal import NIOCore
internal import SluiceModel
internal import SluiceSSH
internal import Synchronization

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
    let heard = Heard()
    return await withTaskGroup(of: Outcome.self) { group in
      group.addTask { await exchange(connection, heard) }
      group.addTask {
        try? await Task.sleep(for: timeout)
        return heard.answer.withLock { judge($0) } ?? .notReady("no answer within \(timeout)")
      }
      let first = await group.next()
      group.cancelAll()
      return first ?? .notReady("it was not asked")
    }
  }

  /// What has come so far: who asks stops waiting for a body that does not come, and still knows the status.
  private final class Heard: Sendable {
    let answer = Mutex(HTTPAnswer())
  }

  /// Nil: the status is not known yet.
  private func judge(_ answer: HTTPAnswer) -> Outcome? {
    guard case .http(_, let wanted, _, _) = probe, let status = answer.status else { return nil }
    if status == wanted { return .ready }
    return .notReady("status \(status), expected \(wanted)" + (answer.excerpt.isEmpty ? "" : ": \(answer.excerpt)"))
  }

  private func exchange(_ connection: SSHConnection, _ heard: Heard) async -> Outcome {
    do {
      let channel = try await connection.openDirectTCPIP(host: address, port: port)
      let outcome: Outcome
      do { outcome = try await converse(channel, heard) } catch {
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

  private func converse(_ channel: SSHByteChannel, _ heard: Heard) async throws -> Outcome {
    guard case .http(let path, let wanted, let host, let headers) = probe else { return .ready }
    try await channel.write(
      ByteBuffer(string: ProbeRequest.text(path: path, host: host, headers: headers, authority: authority, agent: "sluice")))
    while let chunk = try await channel.read() {
      let isEnough = heard.answer.withLock { answer in
        answer.append(chunk.bytes.readableBytesView)
        return answer.isEnough || answer.status == wanted
      }
      if isEnough { break }
    }
    let answer = heard.answer.withLock { $0 }
    return judge(answer) ?? .notReady(answer.fault)
  }
}

/// The beginning of an HTTP/1 response: its status (RFC 9112 section 4) and an excerpt of its body. Interim answers before it are passed over
/// (RFC 9110 section 15.2).
struct HTTPAnswer: Equatable, Sendable {
  private static let limit = 4096
  /// More interim answers are none.
  private static let interimLimit = 16
  private var bytes: [UInt8] = []
  private var interims = 0

  init() {}

  mutating func append(_ more: some Sequence<UInt8>) {
    var rest = Array(more)[...]
    repeat {
      let part = rest.prefix(Self.limit + 1 - bytes.count)
      bytes += part
      rest = rest.dropFirst(part.count)
      while interims < Self.interimLimit, let status = firstStatus, status < 200, status != 101, let start = bodyStart {
        bytes.removeFirst(start)
        interims += 1
      }
    } while !rest.isEmpty && bytes.count <= Self.limit
  }

  var isEmpty: Bool { bytes.isEmpty && interims == 0 }

  /// Of the final answer; nil until its head is whole, or where it is none.
  var status: Int? {
    guard bodyStart != nil || bytes.count > Self.limit, let status = firstStatus, status >= 200 || status == 101 else { return nil }
    return status
  }

  /// Nil until the first line is whole, or where it is no status line.
  private var firstStatus: Int? {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let words = bytes[..<end].split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count >= 2, words[0].starts(with: "HTTP/1.".utf8), words[0].count == 8 else { return nil }
    let digits = words[1].filter { $0 != UInt8(ascii: "\r") }
    guard digits.count == 3, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  /// More can tell nothing: the body has begun, there is none, or it is no HTTP, or more than anyone wants to read.
  var isEnough: Bool {
    if bytes.count > Self.limit || interims >= Self.interimLimit { return true }
    guard let start = bodyStart else { return firstStatus == nil && bytes.contains(UInt8(ascii: "\n")) }
    return start < bytes.count || hasNoBody
  }

  private var hasNoBody: Bool {
    guard let status, let start = bodyStart else { return false }
    if status == 204 || status == 304 || status == 101 { return true }
    return String(decoding: bytes[..<start], as: UTF8.self).lowercased().split(whereSeparator: \.isNewline).contains { line in
      let parts = line.split(separator: ":", maxSplits: 1)
      return parts.count == 2 && parts[0] == "content-length" && parts[1].allSatisfy { $0 == " " || $0 == "0" }
    }
  }

  /// Why no status could be read from what came before the end.
  var fault: String {
    if isEmpty { return "the connection was closed without an answer" }
    if interims >= Self.interimLimit { return "more than \(Self.interimLimit) interim answers" }
    if bytes.isEmpty { return "the connection was closed after an interim answer" }
    let begun = firstStatus != nil || (!bytes.contains(UInt8(ascii: "\n")) && "HTTP/1.".utf8.starts(with: bytes.prefix(7)))
    return begun ? "the connection was closed in the middle of the answer's head" : "the answer is not HTTP: \(excerpt)"
  }

  /// One line for people, without what a terminal would obey.
  var excerpt: String {
    let body = bodyStart.map { bytes[$0...] } ?? bytes[...]
    let line = String(decoding: body.prefix(200), as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
    return String(line.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : Character($0) })
  }

  private var bodyStart: Int? {
    guard bytes.count >= 4 else { return nil }
    return (3..<bytes.count).first { bytes[($0 - 3)...$0].elementsEqual("\r\n\r\n".utf8) }.map { $0 + 1 }
  }
}

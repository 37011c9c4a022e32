import NIOCore
import NIOPosix

/// A connection on which a test writes octets and waits for octets, each wait bounded.
final class RawClient: @unchecked Sendable {
  /// What a wait ended with when it was not what was waited for.
  struct Unmet: Error, CustomStringConvertible {
    var description: String
  }

  private let channel: any Channel
  private let collector: Collector

  private init(_ channel: any Channel, _ collector: Collector) {
    self.channel = channel
    self.collector = collector
  }

  static func connect(_ port: Int, on group: any EventLoopGroup) async throws -> RawClient {
    try await connect(SocketAddress(ipAddress: "127.0.0.1", port: port), on: group)
  }

  static func connect(_ address: SocketAddress, on group: any EventLoopGroup) async throws -> RawClient {
    let loop = group.next()
    let collector = Collector(loop: loop)
    let channel = try await ClientBootstrap(group: loop)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
      }
      .connect(to: address).get()
    return RawClient(channel, collector)
  }

  func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  func send(_ octets: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: octets)).get() }

  func shutOutput() async throws { try await channel.close(mode: .output).get() }

  func close() async {
    channel.close(promise: nil)
    _ = try? await channel.closeFuture.get()
  }

  func setReading(_ reading: Bool) async throws { try await channel.setOption(.autoRead, value: reading).get() }

  /// Takes what has come, once `length` says how much of it belongs together.
  func take(
    within limit: TimeAmount = .seconds(10), _ what: String = "octets", length: @escaping @Sendable ([UInt8]) -> Int?
  ) async throws -> [UInt8] {
    try await collector.take(within: limit, what: what, length: length).get()
  }

  /// One whole response: head and body by Content-Length, chunks or none.
  func response(within limit: TimeAmount = .seconds(10), toHead: Bool = false) async throws -> Response {
    let octets = try await take(within: limit, "a response") { Response.length($0, toHead: toHead) }
    return Response(octets)
  }

  func expect(_ text: String, within limit: TimeAmount = .seconds(10)) async throws {
    let wanted = Array(text.utf8)
    let got = try await take(within: limit, text) { $0.count >= wanted.count ? wanted.count : nil }
    guard got == wanted else { throw Unmet(description: "\(String(decoding: got, as: UTF8.self)) instead of \(text)") }
  }

  /// Waits for the end of what is sent to us; everything not taken.
  func end(within limit: TimeAmount = .seconds(10)) async throws -> [UInt8] { try await collector.end(within: limit).get() }

  func request(_ text: String, toHead: Bool = false) async throws -> Response {
    try await send(text)
    return try await response(toHead: toHead)
  }
}

/// A response as text.
struct Response: Sendable {
  var status: Int
  var head: String
  var body: String

  init(_ octets: [UInt8]) {
    let end = Self.headEnd(octets) ?? octets.count
    head = String(decoding: octets[..<end], as: UTF8.self)
    body = String(decoding: octets[end...], as: UTF8.self)
    status = Int(head.split(separator: " ").dropFirst().first.map(String.init) ?? "") ?? 0
  }

  func field(_ name: String) -> String? {
    for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix(name.lowercased() + ":") {
      return line.dropFirst(name.count + 1).trimmingSpaces
    }
    return nil
  }

  static func headEnd(_ octets: [UInt8]) -> Int? {
    guard octets.count >= 4 else { return nil }
    for at in 0...(octets.count - 4) where octets[at] == 13 && octets[at + 1] == 10 && octets[at + 2] == 13 && octets[at + 3] == 10 {
      return at + 4
    }
    return nil
  }

  static func length(_ octets: [UInt8], toHead: Bool) -> Int? {
    guard let end = headEnd(octets) else { return nil }
    let head = Response(Array(octets[..<end]))
    if toHead || head.status < 200 || head.status == 204 || head.status == 304 { return end }
    if let length = head.field("Content-Length").flatMap({ Int($0) }) { return octets.count >= end + length ? end + length : nil }
    if head.field("Transfer-Encoding") != nil {
      let last = Array("0\r\n\r\n".utf8)
      guard octets.count >= end + 5 else { return nil }
      for at in end...(octets.count - 5) where Array(octets[at..<at + 5]) == last { return at + 5 }
    }
    return nil
  }
}

extension Substring {
  var trimmingSpaces: String {
    var text = self
    while text.first == " " { text.removeFirst() }
    while text.last == " " || text.last == "\r" { text.removeLast() }
    return String(text)
  }
}

private final class Collector: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer

  private struct Waiter {
    var length: @Sendable ([UInt8]) -> Int?
    var promise: EventLoopPromise<[UInt8]>
  }

  private let loop: any EventLoop
  private var octets: [UInt8] = []
  private var ended = false
  private var waiter: Waiter?
  private var endWaiter: EventLoopPromise<[UInt8]>?

  init(loop: any EventLoop) { self.loop = loop }

  func take(within limit: TimeAmount, what: String, length: @escaping @Sendable ([UInt8]) -> Int?) -> EventLoopFuture<[UInt8]> {
    let promise = loop.makePromise(of: [UInt8].self)
    loop.execute {
      self.waiter = Waiter(length: length, promise: promise)
      self.check()
      guard self.waiter != nil else { return }
      let late = self.loop.scheduleTask(in: limit) {
        let text = String(decoding: self.octets.prefix(500), as: UTF8.self)
        promise.fail(RawClient.Unmet(description: "no \(what) in time; there is \(self.octets.count) octets: \(text)"))
      }
      promise.futureResult.whenComplete { _ in late.cancel() }
    }
    return promise.futureResult
  }

  func end(within limit: TimeAmount) -> EventLoopFuture<[UInt8]> {
    let promise = loop.makePromise(of: [UInt8].self)
    loop.execute {
      self.endWaiter = promise
      self.check()
      let late = self.loop.scheduleTask(in: limit) {
        promise.fail(RawClient.Unmet(description: "it does not end; \(self.octets.count) octets"))
      }
      promise.futureResult.whenComplete { _ in late.cancel() }
    }
    return promise.futureResult
  }

  private func check() {
    if let waiter, let length = waiter.length(octets) {
      self.waiter = nil
      let taken = Array(octets[..<length])
      octets.removeFirst(length)
      waiter.promise.succeed(taken)
    }
    guard ended else { return }
    waiter?.promise.fail(
      RawClient.Unmet(description: "it ended after \(String(decoding: octets.prefix(500), as: UTF8.self).debugDescription)"))
    waiter = nil
    endWaiter?.succeed(octets)
    endWaiter = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    octets.append(contentsOf: unwrapInboundIn(data).readableBytesView)
    check()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else { return }
    ended = true
    check()
  }

  func channelInactive(context: ChannelHandlerContext) {
    ended = true
    check()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

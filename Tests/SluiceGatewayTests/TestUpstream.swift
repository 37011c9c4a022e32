import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// An instance for tests: answers by the path of the request, and counts what it got.
///
/// `/` echoes who answered; `/slow/MS` waits; `/upload` tells the body's size; `/raw/NAME` writes what a test gave it, and may then close.
final class TestUpstream: Sendable {
  /// A response written as it is.
  struct Script: Sendable {
    var text: String
    /// The connection ends after it.
    var closes = false
    /// It is written when the head is complete, not when the body is.
    var atHead = false
    /// Milliseconds between the parts that a `|` separates.
    var pause = 0
    /// The connection is reset instead of closed.
    var resets = false
  }

  let name: String
  let scripts: [String: Script]
  private let healthy = Atomic<Bool>(true)
  private let requests = Atomic<Int>(0)
  private let connections = Atomic<Int>(0)
  private let seen = Mutex<[String]>([])
  private let seenProbes = Mutex<[String]>([])
  private let channel = Mutex<(any Channel)?>(nil)
  private let children = Mutex<[ObjectIdentifier: any Channel]>([:])
  let port: Int

  init(_ name: String = "one", on group: any EventLoopGroup, port: Int = 0, scripts: [String: Script] = [:]) async throws {
    self.name = name
    self.scripts = scripts
    let box = Box()
    let server = try await ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: 1_024)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(UpstreamScript(owner: box))
        }
      }
      .bind(host: "127.0.0.1", port: port).get()
    self.port = server.localAddress!.port!
    channel.withLock { $0 = server }
    box.owner.withLock { $0 = self }
  }

  var requestCount: Int { requests.load(ordering: .relaxed) }
  var connectionCount: Int { connections.load(ordering: .relaxed) }
  /// Heads as they came.
  var heads: [String] { seen.withLock { $0 } }
  /// Heads of the gateway's probes.
  var probes: [String] { seenProbes.withLock { $0 } }

  func setHealthy(_ value: Bool) { healthy.store(value, ordering: .relaxed) }

  /// The port of one that was stopped, as a socket that does not listen; −1: none.
  private let held = Mutex<Int32>(-1)

  private static func hold(_ port: Int) -> Int32 {
    let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var yes: Int32 = 1
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
    _ = socketAddress([127, 0, 0, 1], port).asSocketAddress { bind(made, $0, $1) }
    return made
  }

  deinit { held.withLock { if $0 >= 0 { close($0) } } }

  /// Stops listening and closes everything, as a killed process would.
  func stop() async throws {
    let server = channel.withLock { channel in
      defer { channel = nil }
      return channel
    }
    try await server?.close().get()
    // Another test that runs beside this one is not to get the port: it would answer in this one's place.
    if server != nil { held.withLock { $0 = Self.hold(port) } }
    for child in children.withLock({ Array($0.values) }) { child.close(promise: nil) }
  }

  final class Box: Sendable {
    let owner = Mutex<TestUpstream?>(nil)
  }

  fileprivate func opened(_ channel: any Channel) {
    connections.add(1, ordering: .relaxed)
    children.withLock { $0[ObjectIdentifier(channel)] = channel }
  }

  fileprivate func closed(_ channel: any Channel) { children.withLock { $0[ObjectIdentifier(channel)] = nil } }

  fileprivate func probed(_ head: String) { seenProbes.withLock { if $0.count < 10_000 { $0.append(head) } } }

  fileprivate func got(_ head: String) {
    requests.add(1, ordering: .relaxed)
    seen.withLock { if $0.count < 1_000 { $0.append(head) } }
  }

  fileprivate func answer(_ path: String, body: Int) -> Script {
    if path == "/health" {
      let well = healthy.load(ordering: .relaxed)
      return Script(text: "HTTP/1.1 \(well ? "200 OK" : "503 No")\r\nContent-Length: 0\r\n\r\n")
    }
    let parts = path.split(separator: "/").map(String.init)
    if parts.first == "raw", parts.count > 1, let script = scripts[parts[1]] { return script }
    if parts.first == "slow", parts.count > 1, let wait = Int(parts[1]) {
      return Script(text: "|\(Self.plain("slow \(name)"))", pause: wait)
    }
    if parts.first == "big", parts.count > 1, let size = Int(parts[1]) {
      // By octets: character by character it would take the upstream's loop seconds.
      return Script(text: Self.plain(String(decoding: [UInt8](repeating: UInt8(ascii: "b"), count: size), as: UTF8.self)))
    }
    return Script(text: Self.plain(parts.first == "upload" ? "got \(body)" : name))
  }

  static func plain(_ body: String) -> String { "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)" }
}

/// One connection to a `TestUpstream`.
private final class UpstreamScript: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let box: TestUpstream.Box
  private var owner: TestUpstream?
  private var octets: [UInt8] = []
  private var head: String?
  private var answered = false
  private var tunnel = false

  init(owner: TestUpstream.Box) { box = owner }

  func channelActive(context: ChannelHandlerContext) {
    owner = box.owner.withLock { $0 }
    owner?.opened(context.channel)
  }

  func channelInactive(context: ChannelHandlerContext) {
    owner?.closed(context.channel)
    owner = nil
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    if tunnel { return context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
    octets.append(contentsOf: buffer.readableBytesView)
    serve(context)
  }

  private func serve(_ context: ChannelHandlerContext) {
    while !octets.isEmpty {
      if head == nil {
        guard let end = Response.headEnd(octets) else { return }
        let text = String(decoding: octets[..<end], as: UTF8.self)
        octets.removeFirst(end)
        head = text
        answered = false
        if text.contains("User-Agent: sluice-gateway") { owner?.probed(text) } else { owner?.got(text) }
        if script(0).atHead { answer(context, 0) }
      }
      if !takeBody(context) { return }
    }
    if head != nil { _ = takeBody(context) }
  }

  private func script(_ body: Int) -> TestUpstream.Script {
    let path = head!.split(separator: " ")[1]
    return owner?.answer(String(path), body: body) ?? TestUpstream.Script(text: "", closes: true)
  }

  private func takeBody(_ context: ChannelHandlerContext) -> Bool {
    guard let head else { return false }
    let response = Response(Array(head.utf8))
    var size = 0
    if let length = response.field("Content-Length").flatMap({ Int($0) }) {
      guard octets.count >= length else { return false }
      octets.removeFirst(length)
      size = length
    } else if response.field("Transfer-Encoding") != nil {
      let last = Array("0\r\n\r\n".utf8)
      guard octets.suffix(5).elementsEqual(last) else { return false }
      size = octets.count
      octets.removeAll()
    }
    if !answered { answer(context, size) }
    self.head = nil
    return true
  }

  private func answer(_ context: ChannelHandlerContext, _ body: Int) {
    answered = true
    let script = script(body)
    if script.text.hasPrefix("HTTP/1.1 101") { tunnel = true }
    let parts = script.text.utf8.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
    write(context, parts.map { String(Substring($0)) }[...], script)
  }

  private func write(_ context: ChannelHandlerContext, _ parts: ArraySlice<String>, _ script: TestUpstream.Script) {
    guard let first = parts.first else {
      if script.resets, let socket = context.channel as? any SocketOptionProvider {
        _ = socket.setSoLinger(linger(l_onoff: 1, l_linger: 0))
      }
      if script.closes || script.resets { context.close(promise: nil) }
      return
    }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: first)), promise: nil)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    let rest = parts.dropFirst()
    if rest.isEmpty {
      write(context, rest, script)
    } else {
      context.eventLoop.scheduleTask(in: .milliseconds(Int64(script.pause))) {
        let (this, context) = bound.value
        if context.channel.isActive { this.write(context, rest, script) }
      }
    }
  }
}

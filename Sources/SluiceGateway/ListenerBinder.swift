import Glibc
import NIOCore
import NIOPosix
import SluiceGatewayAPI

/// Opens the gateway's sockets.
struct ListenerBinder {
  var workers: [LoopWorker]
  var control: ControlPlane
  var controlLoop: any EventLoop
  var flag: HealthResponder.Flag

  /// One listener a loop on the same port: the kernel spreads connections, and no loop hands one to another.
  func listen(_ address: GatewayConfiguration.Address, into opened: inout [any Channel]) throws -> GatewayConfiguration.Address {
    var bound = address
    for worker in workers {
      let channel = try Self.server(worker.loop)
        .serverChannelOption(.socketOption(NIOBSDSocket.Option(rawValue: SO_REUSEPORT)), value: 1)
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(ClientConnection(worker: worker))
          }
        }
        .bind(to: try SocketAddress(ipAddress: bound.address, port: bound.port)).wait()
      opened.append(channel)
      bound.port = channel.localAddress?.port ?? bound.port
    }
    return bound
  }

  func listenForHealth(_ address: GatewayConfiguration.Address, into opened: inout [any Channel]) throws -> GatewayConfiguration.Address {
    let flag = self.flag
    let channel = try Self.server(controlLoop)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(HealthResponder(flag: flag)) }
      }
      .bind(to: try SocketAddress(ipAddress: address.address, port: address.port)).wait()
    opened.append(channel)
    return GatewayConfiguration.Address(address: address.address, port: channel.localAddress?.port ?? address.port)
  }

  /// The admin socket, for its owner only. The state's lock says that no other gateway uses it, so an old one is removed.
  func listenForAdmin(_ path: String, into opened: inout [any Channel]) throws {
    let control = self.control
    // The mode is right from the first moment: the mask holds while the loop binds.
    let mask = umask(0o177)
    defer { umask(mask) }
    let channel = try ServerBootstrap(group: controlLoop)
      .serverChannelOption(.backlog, value: 128)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(AdminConnection(api: AdminAPI(control: control)))
        }
      }
      .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).wait()
    opened.append(channel)
  }

  private static func server(_ loop: any EventLoop) -> ServerBootstrap {
    ServerBootstrap(group: loop)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: 4_096)
      .serverChannelOption(.maxMessagesPerRead, value: 16)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
  }
}

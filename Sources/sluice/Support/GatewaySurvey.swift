import NIOCore
import NIOPosix
import SluiceGatewayAPI
import SluiceGatewayControl
import SluiceHosts
import SluiceModel
import Synchronization

/// What a gateway said when it was asked, or why it said nothing.
enum GatewayAnswer: Sendable {
  case status(GatewayStatus)
  case silent(String)

  var status: GatewayStatus? { if case .status(let status) = self { status } else { nil } }
}

/// Asks gateways how they stand: all at once, and never for longer than it is told to.
final class GatewaySurvey: Sendable {
  private let driver: SluiceGatewayDriver
  /// A gateway that has not answered the last time is not asked again before that has ended.
  private let questions = Mutex<[GatewayID: Task<GatewayAnswer, Never>]>([:])

  init(driver: SluiceGatewayDriver) { self.driver = driver }

  /// Opens connections of its own for `body`, and gives closing them a moment only: the process ends afterwards.
  static func with<Result>(_ workspace: Workspace, _ body: (GatewaySurvey) async throws -> Result) async throws -> Result {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let hosts = FleetHosts(fleet: workspace.fleet, group: group, artifacts: { _ in "" }, secrets: { _, _ in [:] })
    let driver = GatewayAccess.driver(workspace: workspace, hosts: hosts)
    let close = {
      await Bounded.run(.milliseconds(500)) {
        await driver.close()
        await hosts.close()
        try? await group.shutdownGracefully()
      }
    }
    do {
      let result = try await body(GatewaySurvey(driver: driver))
      _ = await close()
      return result
    } catch {
      _ = await close()
      throw error
    }
  }

  /// One answer for every gateway, within the limit.
  func ask(_ gateways: [GatewayID], within limit: Duration = .seconds(2)) async -> [GatewayID: GatewayAnswer] {
    await withTaskGroup(of: (GatewayID, GatewayAnswer).self) { group in
      for id in gateways {
        let question = question(to: id)
        group.addTask {
          (id, await Bounded.run(limit) { await question.value } ?? .silent("it has not answered within \(limit.components.seconds) s"))
        }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  private func question(to id: GatewayID) -> Task<GatewayAnswer, Never> {
    questions.withLock { questions in
      if let question = questions[id] { return question }
      let question = Task {
        let answer: GatewayAnswer
        do { answer = .status(try await driver.status(id)) } catch { answer = .silent("\(error)") }
        self.questions.withLock { $0[id] = nil }
        return answer
      }
      questions[id] = question
      return question
    }
  }
}

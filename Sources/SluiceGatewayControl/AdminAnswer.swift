internal import Foundation
internal import NIOCore
internal import SluiceEngine
internal import SluiceGatewayAPI
internal import SluiceModel
internal import SluiceRollout

/// Reads the answers of the admin API.
enum AdminAnswer {
  /// The value of a success; otherwise throws `AdminError`, or `GatewayInDoubt` where the answer cannot be read.
  static func value<Value: Decodable>(_ type: Value.Type, _ response: AdminResponse, bounded: Bool = true) throws -> Value {
    guard response.status == 200 else { throw refusal(response.status, response.body) }
    let bytes = Array(response.body.readableBytesView)
    if bounded { try refuseExcess(bytes) }
    do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
      throw GatewayInDoubt("the gateway's answer is no \(type) (\(error)): it is of another version than this sluice")
    }
  }

  /// A gateway may say anything, and what is made of it must not overflow. Throws `GatewayUnreachable`: who says what cannot be is not asked further.
  static func refuseExcess(_ bytes: [UInt8]) throws(GatewayUnreachable) {
    guard let number = NumberScan.excess(in: bytes, most: RecordLimits.told) else { return }
    throw GatewayUnreachable("its answer holds the number \(number), which no gateway reaches: sluice adopt -f PATH --reset-fence SERVICE")
  }

  static func refusal(_ status: Int, _ body: ByteBuffer) -> AdminError {
    let bytes = Array(body.readableBytesView)
    if var error = try? JSONDecoder().decode(AdminError.self, from: Data(bytes)) {
      if let holder = error.holder, holder.epoch > RecordLimits.told {
        error.reason = .badRequest
        error.error += " (its fence has the epoch \(holder.epoch), which nobody reaches)"
        error.remedy = "sluice adopt -f PATH --reset-fence SERVICE sets the fence anew everywhere"
        error.holder = nil
      }
      return error
    }
    return AdminError(
      reason: status == 404 ? .notFound : .badRequest, error: "the gateway answered \(status): \(String(buffer: body).prefix(200))",
      remedy: "Is it of another version than this sluice? The next apply upgrades it")
  }

  static func body(_ value: some Encodable) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [UInt8](try encoder.encode(value))
  }
}

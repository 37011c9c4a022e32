internal import Foundation
internal import NIOCore
internal import SluiceGatewayAPI

/// Reads the answers of the admin API.
enum AdminAnswer {
  /// The value of a success; otherwise throws `AdminError`, or `GatewayInDoubt` where the answer cannot be read.
  static func value<Value: Decodable>(_ type: Value.Type, _ response: AdminResponse) throws -> Value {
    guard response.status == 200 else { throw refusal(response.status, response.body) }
    do { return try JSONDecoder().decode(type, from: Data(response.body.readableBytesView)) } catch {
      throw GatewayInDoubt("the gateway's answer is no \(type) (\(error)): it is of another version than this sluice")
    }
  }

  static func refusal(_ status: Int, _ body: ByteBuffer) -> AdminError {
    if let error = try? JSONDecoder().decode(AdminError.self, from: Data(body.readableBytesView)) { return error }
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

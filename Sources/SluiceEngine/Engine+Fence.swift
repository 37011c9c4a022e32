import SluiceModel
import SluiceRollout

extension Engine {
  /// Why this controller may act no more on the service: an order of its was refused, or a gateway that was heard under its fence tells of a newer
  /// controller's table.
  func fencedOff(_ input: Input, of service: ServiceName) -> Failure? {
    switch input {
    case .outcome(_, .failed(let failure)): return failure.kind == .fenced ? failure : nil
    case .gateway(let fact):
      guard let record = record(service), let fence = record.fence, record.gateway(fact.gateway)?.heard == true,
        let revision = fact.revision, revision.epoch > max(fence.epoch, record.table.revision.epoch)
      else { return nil }
      return Failure(.fenced, "gateway \(fact.gateway) has its table of epoch \(revision.epoch)", remedy: "")
    default: return nil
    }
  }
}

import SluiceLocal
import SluiceModel
import SluiceRollout
import SluiceStore

/// Who drives an unfinished rollout, as far as this machine can tell.
struct RolloutDriver: Codable {
  enum Kind: String, Codable {
    /// A process of this machine.
    case process
    /// No process of this machine, and none of another is known.
    case nobody
    /// A controller of another machine had it last; whether it lives is not known here.
    case elsewhere
  }

  var kind: Kind
  var who: String?
  var machine: String?
  var pid: Int32?
  var command: String?
  var since: WallTime?
  var next: String?
  /// For people.
  var text: String

  /// `fence` is the newest that is known of; `holder` has this machine's lock on the service.
  init(_ rollout: Rollout, of service: ServiceName, fence: Fence?, holder: MachineLock.Holder?, machine own: String) {
    let parts = (fence?.owner ?? "").split(separator: ":")
    let owner = parts.first.map(String.init)
    let machine = fence.map { ControllerIdentity.machine(of: $0.owner) }
    let isHere = machine == nil || machine == own || parts.count != 4
    let pid = parts.count == 4 ? Int32(parts[2]) : nil
    self.machine = machine
    // What stopped there goes on by another verb: the gate's own words say which.
    let resume: String? =
      switch rollout.gate {
      case .failed?, .approval?, .task?, .frozen?, .interrupted?: nil
      default: "sluice rollout resume \(service)"
      }
    if let holder, isHere, holder.pid == pid {
      kind = .process
      (who, self.pid, command, since) = (holder.who, holder.pid, holder.command, holder.since)
      text = "driven by: \(holder.who), \(holder.command), pid \(holder.pid), since \(TimeText.utc(holder.since))"
      return
    }
    if isHere, let fence, let pid, ControllerIdentity.isLive(owner: fence.owner) {
      kind = .process
      (who, self.pid) = (owner, pid)
      text = "driven by: \(owner ?? fence.owner), pid \(pid) on this machine, with another state directory"
      return
    }
    if isHere {
      kind = .nobody
      next = resume
      text = "driven by: nobody on this machine"
      if let holder {
        text += "; \(holder) is just beginning or ending with it"
        next = resume.map { "wait for it, then \($0)" }
      }
    } else {
      kind = .elsewhere
      who = owner
      next = resume.map { "\($0) there, or here: it tells when that controller still holds the service" }
      text = "driven by: nobody on this machine; \(owner ?? "another controller") had it last"
    }
    if let next { text += "; next: \(next)" }
  }
}

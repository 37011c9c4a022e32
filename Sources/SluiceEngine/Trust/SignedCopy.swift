package import SluiceModel

/// What a controller signs when it leaves a copy of a service's record: whose record it is, how old, and the record's bytes.
///
/// As bytes it is one line, `{"revision":"3.41","fleet":"prod","service":"shop"}`, and then the record. A host keeps exactly these bytes as
/// `record.json`, with the signature beside it, so that `ssh-keygen -Y verify -n sluice-record` can check it there.
package struct CopyStatement: Hashable, Sendable {
  /// The namespace of the signature: nothing else that the key signs can be taken for a copy, nor a copy for anything else.
  package static let namespace = "sluice-record"

  package var fleet: FleetName
  package var service: ServiceName
  package var revision: Revision
  /// The record as the store writes it.
  package var record: [UInt8]

  package init(fleet: FleetName, service: ServiceName, revision: Revision, record: [UInt8]) {
    self.fleet = fleet
    self.service = service
    self.revision = revision
    self.record = record
  }

  /// What is signed.
  package var message: [UInt8] { Array(line.utf8) + record }

  private var line: String { "{\"revision\":\"\(revision)\",\"fleet\":\"\(fleet)\",\"service\":\"\(service)\"}\n" }

  /// nil where the bytes are not what `message` makes, to the last one of the first line.
  package init?(_ message: [UInt8]) {
    guard let end = message.prefix(1_024).firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let words = String(decoding: message[..<end], as: UTF8.self).split(separator: "\"", omittingEmptySubsequences: false)
    guard words.count == 13, let revision = Revision(text: words[3]) else { return nil }
    self.init(
      fleet: FleetName(String(words[7])), service: ServiceName(String(words[11])), revision: revision,
      record: Array(message[(end + 1)...]))
    guard line.utf8.elementsEqual(message[...end]) else { return nil }
  }
}

/// A copy of a service record, as it lies on hosts and gateways: whether to believe it is for `CopyVerifier` to say.
package struct SignedCopy: Hashable, Sendable {
  /// How old it is said to be.
  package var revision: Revision
  /// What was signed (`CopyStatement.message`). Sluice 0.1 signed nothing and left the record alone.
  package var bytes: [UInt8]
  /// In OpenSSH's armour, without a newline at its end; nil: there is none.
  package var signature: String?

  package init(revision: Revision, bytes: [UInt8], signature: String?) {
    self.revision = revision
    self.bytes = bytes
    self.signature = signature
  }

  package init(_ statement: CopyStatement, signature: String?) {
    self.init(revision: statement.revision, bytes: statement.message, signature: signature)
  }

  // MARK: On a host

  /// What a host's `record.json` and `record.json.sig` hold. A file that is nothing of the kind makes a copy that nobody believes.
  package init(file: [UInt8], signature: String?) {
    let end = file.prefix(1_024).firstIndex(of: UInt8(ascii: "\n")) ?? file.startIndex
    let line = String(decoding: file[..<end], as: UTF8.self)
    let words = line.split(separator: "\"", omittingEmptySubsequences: false)
    let revision = words.count > 3 ? Revision(text: words[3]) : nil
    if signature == nil, let revision, line == "{\"revision\":\"\(revision)\"}" {
      self.init(revision: revision, bytes: Array(file[(end + 1)...]), signature: nil)
    } else {
      self.init(revision: revision ?? Revision(epoch: 0, version: 0), bytes: file, signature: signature)
    }
  }

  // MARK: On a gateway

  /// What a gateway keeps, which looks no further: the bytes, a newline, the signature. The bytes hold no newline but that of their first line.
  package var envelope: [UInt8] { signature.map { bytes + Array("\n\($0)".utf8) } ?? bytes }

  package init(envelope: [UInt8], revision: Revision) {
    let lines = envelope.split(separator: UInt8(ascii: "\n"), maxSplits: 2, omittingEmptySubsequences: false)
    if lines.count == 3 {
      self.init(
        revision: revision, bytes: Array(lines[0] + [UInt8(ascii: "\n")] + lines[1]), signature: String(decoding: lines[2], as: UTF8.self))
    } else {
      self.init(revision: revision, bytes: envelope, signature: nil)
    }
  }
}

extension Revision {
  /// Reads `3.41`; nil where the text has another form.
  package init?(text: some StringProtocol) {
    let numbers = text.split(separator: ".", omittingEmptySubsequences: false)
    guard numbers.count == 2, let epoch = UInt64(numbers[0]), let version = UInt64(numbers[1]) else { return nil }
    self.init(epoch: epoch, version: version)
  }
}

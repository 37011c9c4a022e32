import SluiceModel

/// What one document declares, with the document for checks among several. With errors in the document the value is only a guess.
struct Declared<Subject> {
  let document: Document
  let value: Subject
}

/// All that the sources declare, right or wrong.
struct Declarations {
  var fleets: [Declared<Fleet>] = []
  var gateways: [Declared<Gateway>] = []
  var services: [Declared<ServiceManifest>] = []

  /// The model of it; only for declarations without errors.
  var manifests: Manifests { Manifests(fleets: fleets.map(\.value), gateways: gateways.map(\.value), services: services.map(\.value)) }

  /// Reads one document and keeps what it declares.
  mutating func add(_ value: Value, report: Report) {
    let document = Document(report: report, place: value.place)
    guard let subject = Form.declaration.read(value, Cursor(document: document, path: "")) else {
      report.isIncomplete = true
      return
    }
    switch subject {
    case .fleet(let fleet): fleets.append(Declared(document: document, value: fleet))
    case .gateway(let gateway): gateways.append(Declared(document: document, value: gateway))
    case .service(let service): services.append(Declared(document: document, value: service))
    }
  }
}

/// What one document can declare.
enum Declaration {
  case fleet(Fleet)
  case gateway(Gateway)
  case service(ServiceManifest)

  /// The words of `kind`.
  enum Kind { case fleet, gateway, service }
}

extension Form where Output == Declaration {
  /// A whole document. Nil when it does not say of what kind it is, or its name is missing: then what it declares is not known.
  static var declaration: Form {
    object { reader in
      let kinds: [(String, Declaration.Kind)] = [("Fleet", .fleet), ("Gateway", .gateway), ("Service", .service)]
      _ = reader.required("apiVersion", .choice([("sluice/v1", true)]), example: "apiVersion: sluice/v1")
      let kind = reader.required("kind", .choice(kinds), example: "kind: Service")
      let (name, former) = names(in: reader, ofService: kind == .service)
      if name.isEmpty { reader.cursor.document.report.isIncomplete = true }
      switch kind {
      case .fleet: return .fleet(FleetReader.read(reader, name: FleetName(name)))
      case .gateway: return .gateway(GatewayReader.read(reader, name: GatewayName(name)))
      case .service: return .service(ServiceReader.read(reader, name: ServiceName(name), formerly: former.map { ServiceName($0) }))
      case nil:
        _ = reader.has("spec")
        return nil
      }
    }
  }

  /// The name of `metadata`, and the one that a service had before. One that is not allowed is reported and used all the same, so that what refers
  /// to it is not reported too.
  private static func names(in reader: MappingReader, ofService isService: Bool) -> (name: String, formerly: String?) {
    var raw = ""
    var former: String?
    let form = Form<String>.object { metadata in
      let anything = Form<String>(read: { value, _ in
        if case .scalar(let text) = value.content { raw = text }
        return Form<String>.name.read(value, metadata.cursor.key("name"))
      })
      if isService { former = metadata.optional("formerly", .name) }
      return metadata.required("name", anything, example: "name: shop")
    }
    return (reader.required("metadata", form, example: "metadata: { name: shop }") ?? raw, former)
  }
}

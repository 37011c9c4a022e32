/// The request that asks an instance whether it is ready (RFC 9112 section 3): the same octets from the host's side and from every gateway.
package enum ProbeRequest {
  /// `authority`: the instance's address and port, which stands for the host where none is given. `agent`: who asks.
  package static func text(path: String, host: String?, headers: [String: String]?, authority: String, agent: String) -> String {
    var fields = [("Host", host ?? authority), ("User-Agent", agent), ("Accept", "*/*")]
    for (name, value) in (headers ?? [:]).sorted(by: { $0.key < $1.key }) {
      fields.removeAll { $0.0.lowercased() == name.lowercased() }
      fields.append((name, value))
    }
    fields.append(("Connection", "close"))
    return "GET \(path) HTTP/1.1\r\n" + fields.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n"
  }
}

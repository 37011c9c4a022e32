import SluiceGateway

/// One request head and what must come of it.
struct CorpusCase: Sendable, CustomStringConvertible {
  enum Expected: Sendable, Equatable {
    case accepted(BodyFraming, keepAlive: Bool)
    case refused(HeadFault)
  }

  var name: String
  var octets: [UInt8]
  var expected: Expected

  var description: String { name }
}

/// Requests that are malformed or ambiguous, and odd ones that are neither. The source of each rule stands beside its group.
enum RequestCorpus {
  private static let ok = CorpusCase.Expected.accepted(.none, keepAlive: true)

  private static func accepted(_ name: String, _ text: String, _ expected: CorpusCase.Expected = ok) -> CorpusCase {
    CorpusCase(name: name, octets: Array(text.utf8), expected: expected)
  }

  private static func refused(_ name: String, _ text: String, _ reason: HeadFault.Reason) -> CorpusCase {
    CorpusCase(name: name, octets: Array(text.utf8), expected: .refused(.malformed(reason)))
  }

  private static func refused(_ name: String, _ text: String, as fault: HeadFault) -> CorpusCase {
    CorpusCase(name: name, octets: Array(text.utf8), expected: .refused(fault))
  }

  private static func get(_ fields: String) -> String { "GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n" }
  private static func post(_ fields: String) -> String { "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n" }

  static let all: [CorpusCase] = requestLines + fields + hosts + framings + connections + bounds

  /// RFC 9112 sections 2.2 and 3.
  private static let requestLines: [CorpusCase] = [
    accepted("plain", get("")),
    accepted("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", .accepted(.none, keepAlive: false)),
    accepted("an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    refused("a bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    accepted("an unknown method", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"),
    accepted("a method with every kind of token character", "M-_.!#$%&'*+^`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a method of 33 characters", String(repeating: "A", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    refused("a method with a colon", "GE:T / HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    refused("a leading space", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    refused("two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("a tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .method),
    refused("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", .requestLine),
    refused("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", .requestLine),
    refused("a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .requestLine),
    refused("no version (HTTP/0.9)", "GET /\r\n\r\n", .requestLine),
    refused("a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", .requestLine),
    refused("a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .lineEnd),
    refused("a bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", .lineEnd),
    refused("HTTP/2.0 in text", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", as: .version),
    refused("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", as: .version),
    refused("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", as: .version),
    refused("TLS on a plain port", "\u{16}\u{3}\u{1}", .method),
    refused("NUL in the target", "GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n", .requestLine),
    refused("DEL in the target", "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("an octet above 127 in the target", "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    accepted("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", as: .notImplemented),
    accepted("an absolute target", "GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    accepted("an absolute target without a path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("an absolute target with a user", "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("an absolute target of another scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", .target),
    refused("an absolute target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", .target),
  ]

  /// RFC 9112 sections 5 and 2.2; RFC 9110 section 5.5.
  private static let fields: [CorpusCase] = [
    accepted("an empty value", get("X:\r\n")),
    accepted("spaces and tabs around a value", get("X: \t a \t\r\n")),
    accepted("obs-text in a value", get("X: é\r\n")),
    accepted("a colon in a value", get("X: a:b\r\n")),
    refused("a space before the colon", get("X : a\r\n"), .whitespaceBeforeColon),
    refused("a tab before the colon", get("X\t: a\r\n"), .whitespaceBeforeColon),
    refused("Content-Length with a space before the colon", post("Content-Length : 5\r\n"), .whitespaceBeforeColon),
    refused("a folded line", get("X: a\r\n b\r\n"), .folded),
    refused("a line folded by a tab", get("X: a\r\n\tb\r\n"), .folded),
    refused("white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .folded),
    refused("a field without a colon", get("X\r\n"), .lineEnd),
    refused("an empty name", get(": a\r\n"), .fieldName),
    refused("a name with a bracket", get("X[: a\r\n"), .fieldName),
    refused("a name with an octet above 127", get("Ä: a\r\n"), .fieldName),
    refused("NUL in a name", get("X\u{0}: a\r\n"), .fieldName),
    refused("NUL in a value", get("X: a\u{0}b\r\n"), .fieldValue),
    refused("NUL late in a long value", get("X: \(String(repeating: "a", count: 61))\u{0}b\r\n"), .fieldValue),
    refused("DEL in a value", get("X: a\u{7f}\r\n"), .fieldValue),
    refused("a bare LF in a value", get("X: a\nY: b\r\n"), .lineEnd),
    refused("a bare CR in a value", get("X: a\rY: b\r\n"), .lineEnd),
    refused("a bare LF as the last line", "GET / HTTP/1.1\r\nHost: a\r\n\n", .lineEnd),
    refused("CR without LF as the last line", "GET / HTTP/1.1\r\nHost: a\r\n\rX", .lineEnd),
  ]

  /// RFC 9112 section 3.2.
  private static let hosts: [CorpusCase] = [
    refused("no Host", "GET / HTTP/1.1\r\n\r\n", .noHost),
    refused("two Hosts", get("Host: b\r\n"), .severalHosts),
    refused("the same Host twice", get("host: a\r\n"), .severalHosts),
    accepted("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    accepted("Host with port and IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"),
    refused("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .host),
    refused("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .host),
    refused("Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .host),
    refused("an absolute target and two Hosts", "GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .severalHosts),
    refused("an absolute target and no Host", "GET http://b/ HTTP/1.1\r\n\r\n", .noHost),
  ]

  /// RFC 9112 sections 6.1 to 6.3, and what request smuggling is made of.
  private static let framings: [CorpusCase] = [
    accepted("a length", post("Content-Length: 5\r\n"), .accepted(.length(5), keepAlive: true)),
    accepted("a length with zeros in front", post("Content-Length: 005\r\n"), .accepted(.length(5), keepAlive: true)),
    accepted("a length of zero", post("Content-Length: 0\r\n")),
    accepted("a GET with a body", get("Content-Length: 5\r\n"), .accepted(.length(5), keepAlive: true)),
    refused("two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n"), .severalLengths),
    refused("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n"), .severalLengths),
    refused("a list of lengths", post("Content-Length: 5, 5\r\n"), .contentLength),
    refused("a length with a plus", post("Content-Length: +5\r\n"), .contentLength),
    refused("a length below zero", post("Content-Length: -1\r\n"), .contentLength),
    refused("a length in hexadecimal", post("Content-Length: 0x5\r\n"), .contentLength),
    refused("an empty length", post("Content-Length:\r\n"), .contentLength),
    refused("a length with a space within", post("Content-Length: 1 2\r\n"), .contentLength),
    refused("a length that would overflow", post("Content-Length: 18446744073709551621\r\n"), .contentLength),
    accepted("chunked", post("Transfer-Encoding: chunked\r\n"), .accepted(.chunked, keepAlive: true)),
    accepted("chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n"), .accepted(.chunked, keepAlive: true)),
    refused("chunked, then a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), .lengthAndCoding),
    refused("a length, then chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), .lengthAndCoding),
    refused("a length of zero, then chunked", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), .lengthAndCoding),
    refused("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), .transferEncoding),
    refused("another coding", post("Transfer-Encoding: gzip\r\n"), as: .notImplemented),
    refused("chunked after another coding", post("Transfer-Encoding: gzip, chunked\r\n"), as: .notImplemented),
    refused("chunked before another coding", post("Transfer-Encoding: chunked, identity\r\n"), as: .notImplemented),
    refused("identity", post("Transfer-Encoding: identity\r\n"), as: .notImplemented),
    refused("chunked with a vertical tab", post("Transfer-Encoding: \u{b}chunked\r\n"), .fieldValue),
    refused("chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n"), .transferEncoding),
    refused("xchunked", post("Transfer-Encoding: xchunked\r\n"), as: .notImplemented),
    refused("an empty coding", post("Transfer-Encoding:\r\n"), .transferEncoding),
    refused("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncoding),
  ]

  /// RFC 9110 section 7.6.1, RFC 9112 section 9.3.
  private static let connections: [CorpusCase] = [
    accepted("close", get("Connection: close\r\n"), .accepted(.none, keepAlive: false)),
    accepted("close among others", get("Connection: x , CLOSE\r\n"), .accepted(.none, keepAlive: false)),
    accepted("close in a second field", get("Connection: x\r\nConnection: close\r\n"), .accepted(.none, keepAlive: false)),
    accepted("empty elements in Connection", get("Connection: ,, ,\r\n")),
    accepted("HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    accepted("HTTP/1.0 that says both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", .accepted(.none, keepAlive: false)),
    refused("Connection names Host", get("Connection: Host\r\n"), .connection),
    refused("Connection names Content-Length", post("Content-Length: 5\r\nConnection: content-length\r\n"), .connection),
    refused("Connection names Transfer-Encoding", post("Connection: x,Transfer-Encoding\r\n"), .connection),
  ]

  private static let bounds: [CorpusCase] = [
    refused("a long target", "GET /\(String(repeating: "a", count: 8_192)) HTTP/1.1\r\nHost: a\r\n\r\n", as: .targetTooLong),
    accepted("the longest target", "GET /\(String(repeating: "a", count: 8_191)) HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a big head", get("X: \(String(repeating: "a", count: 40_000))\r\n"), as: .tooBig),
    refused("many fields", get(String(repeating: "X: a\r\n", count: 128)), as: .tooBig),
    accepted("the most fields", get(String(repeating: "X: a\r\n", count: 127))),
  ]
}

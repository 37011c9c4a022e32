import Glibc
import SluiceGateway
import SluiceGatewayAPI
import SluiceModel
import Testing

extension WithGateway {
  @Suite(.timeLimit(.minutes(3))) struct BridgeTests {
    @Test func `the bridge carries a request and its answer, also when the input ends at once`() async throws {
      try await withGateway { gateway, upstreams in
        try await gateway.serve(TestGateway.table(1, [(1, upstreams[0], .active)]))
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        #expect(pipe(&input) == 0 && pipe(&output) == 0)
        let request = Array("GET /v1/services/shop HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        #expect(write(input[1], request, request.count) == request.count)
        close(input[1])
        try StdioBridge.run(socket: "\(gateway.directory)/admin.sock", input: input[0], output: output[1])
        close(output[1])
        var answer = [UInt8](repeating: 0, count: 65_536)
        let count = read(output[0], &answer, answer.count)
        let response = Response(Array(answer[..<max(count, 0)]))
        #expect(response.status == 200)
        let status = try AdminJSON.decode(ServiceStatus.self, Array(response.body.utf8))
        #expect(status.revision == Revision(epoch: 1, version: 1))
        close(input[0])
        close(output[0])
      }
    }

    @Test func `a bridge to nothing says so`() {
      #expect(throws: StdioBridge.Failure.self) { try StdioBridge.run(socket: "/nonexistent/admin.sock") }
    }

    @Test func `a configuration with an unknown or missing key is refused by name`() throws {
      var template = Array("/tmp/sluice-gateway-test-XXXXXX".utf8CString)
      let file = mkstemp(&template)
      let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      defer {
        close(file)
        unlink(path)
      }
      for (text, word) in [
        ("{\"listen\":[],\"stateDir\":1}", "stateDir"), ("{\"listen\":[]}", "adminSocket"), ("{", "line"),
        ("{\"limits\":{\"heads\":1}}", "limits.heads"),
      ] {
        ftruncate(file, 0)
        pwrite(file, text, text.utf8.count, 0)
        let error = #expect(throws: (any Error).self) { _ = try GatewayCommand.readConfiguration(path) }
        #expect(error.map { "\($0)".contains(word) } == true || word == "line")
      }
    }
  }
}

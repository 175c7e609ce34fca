import Testing

@testable import StatusServer

@Suite struct StatusAddressTests {
    @Test(arguments: [
        ("127.0.0.1:7780", "127.0.0.1", 7780, true), ("0.0.0.0:0", "0.0.0.0", 0, false), ("[::1]:1", "::1", 1, true),
        ("[fe80::1]:65535", "fe80::1", 65535, false),
    ])
    func `numeric addresses are understood`(text: String, host: String, port: Int, isLoopback: Bool) throws {
        let address = try StatusAddress(text)
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.isLoopback == isLoopback)
        #expect(address.description == text)
    }

    @Test(arguments: [
        "", "7780", ":7780", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
        "localhost:7780", "::1:7780", "[::1]", "[x]:1", "1.2.3:4", "1.2.3.256:4", "+1.2.3.4:5", "127.0.0.1:7780 ",
        "http://127.0.0.1:1",
    ])
    func `anything else is refused with an example`(text: String) {
        #expect(throws: StatusServerError.malformedAddress(text)) { try StatusAddress(text) }
        #expect(
            StatusServerError.malformedAddress(text).description
                == "\"\(text)\" is no address for status pages; expected ADDRESS:PORT with a numeric address, such as "
                + "127.0.0.1:7780 or [::1]:7780, or \"off\".")
    }

    @Test func `texts are JSON whatever they hold`() {
        #expect(JSONText.quoted("a\"b\\c\n\u{1}é") == "\"a\\\"b\\\\c\\u000a\\u0001é\"")
    }
}
